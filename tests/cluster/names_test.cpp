// Services that call each other by name, from bridges on hosts of their own, while instances are killed and a host is lost.

#include <doctest/doctest.h>

#include <net/if.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "actors/instance/container_log.hpp"
#include "actors/instance/network/cni.hpp"
#include "net/devices.hpp"
#include "net/http_client.hpp"
#include "tests/cluster/image_containers.hpp"
#include "tests/cluster/image_site.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

constexpr auto bridge = config::instance_network::bridge;

std::string obstacle() {
  auto why = image_site_obstacle();
  if (why.empty())
    why = site_network::why_not();
  return why.empty() ? actors::missing_for_cni(std::string{actors::default_cni_folder}, true) : why;
}

/// A web server that says which host it is on, on the same port in every instance.
config::application_spec web_application() {
  auto spec = image_application(
    "shop", "busybox mkdir /srv; echo $PRUNELLA_HOST > /srv/index.html; exec busybox httpd -f -p ${PORT_http} -h /srv", 2);
  spec.services[0].name = "web";
  spec.services[0].placement.anti_affinity = {"web"};
  spec.services[0].network = bridge;
  spec.services[0].containers[0].ports = {{"http", 8080, config::port_protocol::tcp, 8090}};
  spec.services[0].restart.intensity = 100;
  spec.services[0].restart.backoff_max = 100ms;
  return on("host = host-1 or host = host-2", std::move(spec));
}

/// Calls the web server by its name for ever. (The time limit of Debian's `busybox wget -T` is a crash.)
config::application_spec caller(const std::string& name, config::instance_network network, const std::string& where) {
  auto spec = image_application(
    name, "while :; do busybox timeout 8 busybox wget -q -O - http://web.shop:8080/index.html || echo failed; busybox usleep 20000; done");
  spec.services[0].network = network;
  return on("host = " + where, std::move(spec));
}

class calls {
public:
  calls(const site_processes& site, const std::string& name, const std::string& where)
    : path_(actors::container_log_path(site.data_dir(where).string(), "default." + name + ".main-1.one")) {}

  std::size_t count(const std::string& line) const {
    const auto text = file_text(path_);
    std::size_t found = 0;
    for (auto at = text.find(" stdout F " + line + '\n'); at != text.npos; at = text.find(" stdout F " + line + '\n', at + 1))
      ++found;
    return found;
  }
  std::size_t served() const { return count("host-1") + count("host-2"); }

private:
  std::string path_;
};

pid_t main_of(const site_processes& site, const std::string& host, const std::string& container) {
  for (const auto& found : image_containers_in(site.data_dir(host).string()))
    if (found.name == container)
      return found.main;
  return 0;
}

std::vector<std::string> bridges_of(site_processes& site, const std::string& host) {
  const inside_network there{site.network().fd(host)};
  std::string problem;
  std::vector<std::string> names;
  for (const auto& device : net::list_devices(problem))
    if (device.kind == "bridge")
      names.push_back(device.name);
  return names;
}

/// Gives the device of the place in `network` an IPv6 address.
void give_ipv6(int network, const std::string& address) {
  const inside_network there{network};
  CHECK(net::put_address(static_cast<int>(::if_nametoindex("eth0")), {address, 64, true}) == "");
}

/// The page behind the published port, asked for in `network`; empty: there was none.
std::string published_page(int network, const std::string& address) {
  const inside_network there{network};
  const auto outcome = net::http_call("http://[" + address + "]:8090", "GET", "/index.html", {}, {});
  const auto* answer = std::get_if<net::http_answer>(&outcome);
  return answer == nullptr ? std::string{} : answer->body.substr(0, answer->body.find('\n'));
}

} // namespace

TEST_CASE("a published port of instances on bridges, which have IPv4 only, is answered over IPv6 on every host, from within and from outside") {
  if (const auto why = obstacle(); !why.empty()) {
    MESSAGE("SKIPPED: " << why);
    return;
  }
  if (::access("/proc/net/if_inet6", R_OK) != 0) {
    MESSAGE("SKIPPED: this machine has no IPv6");
    return;
  }
  auto site = site_processes::with_network(config::liveness_profile::balanced, 3);
  give_image(site);
  auto& network = site.network();
  give_ipv6(network.fd(site_network::outside), "fd77::100");
  for (const auto& host : site.hosts())
    give_ipv6(network.fd(host), "fd77::" + host.substr(5));
  REQUIRE(site.apply(web_application()).status == 201);
  site.wait_for_running(2);
  for (const auto& host : site.hosts()) { // the third has no instance
    site.wait_for(host + " answers on ::1", [&] { return published_page(network.fd(host), "::1").rfind("host-", 0) == 0; });
    CHECK(published_page(network.fd(site_network::outside), "fd77::" + host.substr(5)).rfind("host-", 0) == 0);
  }
}

TEST_CASE("a service is reached by its name from other hosts while its instances are killed and one of its hosts is lost") {
  if (const auto why = obstacle(); !why.empty()) {
    MESSAGE("SKIPPED: " << why);
    return;
  }
  auto site = site_processes::with_network(config::liveness_profile::balanced, 3);
  give_image(site);
  for (const auto& host : site.hosts())
    CHECK(bridges_of(site, host).empty());
  REQUIRE(site.apply(web_application()).status == 201);
  site.wait_for_running(2);
  const auto web = site.instance("default.shop.web-1");
  CHECK(web.address.rfind("10.84.", 0) == 0);
  REQUIRE(site.apply(caller("caller", bridge, "host-3")).status == 201);
  REQUIRE(site.apply(caller("local", config::instance_network::host, "host-3")).status == 201);
  site.wait_for_running(4);
  const calls from_bridge{site, "caller", "host-3"};
  const calls from_host{site, "local", "host-3"};
  site.wait_for("both hosts were reached by name, from a bridge and from the host's own network", [&] {
    return from_bridge.count("host-1") > 0 && from_bridge.count("host-2") > 0 && from_host.served() > 0;
  });
  const auto failed_before = from_bridge.count("failed");

  std::size_t kills = 0;
  for (int round = 0; round < 3; ++round)
    for (const auto* name : {"default.shop.web-1", "default.shop.web-2"}) {
      const auto instance = site.instance(name);
      const auto victim = main_of(site, instance.host, std::string{name} + ".one");
      REQUIRE(victim > 0);
      REQUIRE(kill(victim, SIGKILL) == 0);
      ++kills;
      const auto served = from_bridge.served();
      site.wait_for("calls are served after a kill", [&] { return from_bridge.served() > served + 5; });
      site.wait_for("the killed instance runs again",
                    [&] { return main_of(site, instance.host, std::string{name} + ".one") > 0 && site.all_running(4); });
    }
  const auto failed = from_bridge.count("failed") - failed_before;
  MESSAGE(kills << " kills, " << from_bridge.served() << " calls served, " << failed << " failed");
  CHECK(failed <= kills); // a request that was under way dies with its instance

  const auto lost = site.instance("default.shop.web-1").host;
  site.kill_host(lost);
  const auto served = from_bridge.served();
  const auto gap = site.wait_for("calls are served after a host is lost", [&] { return from_bridge.served() > served + 20; });
  MESSAGE("20 calls were served within " << gap.count() << " ms after a host was lost");
  site.start(lost);
  site.wait_for_running(4);

  for (const auto* name : {"shop", "caller", "local"})
    REQUIRE(site.call(site.some_host(), "DELETE", std::string{"/v1/applications/"} + name).is_good());
  site.wait_for("no bridge is left", [&] {
    return std::all_of(site.hosts().begin(), site.hosts().end(), [&](const auto& host) { return bridges_of(site, host).empty(); });
  });
}
