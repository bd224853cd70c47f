// The address of a site, held by one of three hosts on cables of their own, and a client that knows no other.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "net/devices.hpp"
#include "net/http_client.hpp"
#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

constexpr const char* address = "10.77.0.100";
constexpr std::uint16_t port = 8088;

/// A page from whichever host answers at the site's address; empty: none within a short time.
std::string page() {
  net::http_call_options options;
  options.timeout = 250ms;
  const auto outcome = net::http_call("http://" + std::string{address} + ':' + std::to_string(port), "GET", "/index.html", {}, options);
  const auto* answer = std::get_if<net::http_answer>(&outcome);
  return answer == nullptr || answer->status != 200 ? std::string{} : answer->body.substr(0, answer->body.find('\n'));
}

/// Asks for the page all the time, from outside of the site.
class outside_client {
public:
  explicit outside_client(site_processes& site)
    : thread_([this, network = site.network().fd(site_network::outside)] {
        const inside_network there{network};
        while (!stopping_)
          if (!page().empty())
            served_at_ = std::chrono::steady_clock::now().time_since_epoch().count();
      }) {}
  ~outside_client() {
    stopping_ = true;
    thread_.join();
  }

  /// Whether a page was served that was asked for well after `since`.
  bool is_served_after(std::chrono::steady_clock::time_point since) const { return served_at_ > (since + 20ms).time_since_epoch().count(); }
  std::chrono::milliseconds last_served_after(std::chrono::steady_clock::time_point since) const {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::duration{served_at_.load()} - since.time_since_epoch());
  }

private:
  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> served_at_{0};
  std::thread thread_;
};

bool holds(site_processes& site, const std::string& host) {
  const inside_network there{site.network().fd(host)};
  std::string problem;
  const auto all = net::list_addresses(problem);
  return std::any_of(all.begin(), all.end(), [](const auto& x) { return x.address.address == address; });
}

std::vector<std::string> holders(site_processes& site) {
  std::vector<std::string> found;
  for (const auto& host : site.hosts())
    if (holds(site, host))
      found.push_back(host);
  return found;
}

/// The page is in every host's own instance, so that only the address decides who serves it.
config::application_spec web_application() {
  auto spec = simple_application(
    "shop", {"sh", "-c", "echo $PRUNELLA_HOST > index.html; exec busybox httpd -f -p $PRUNELLA_PORT_HTTP -h ."}, 3);
  spec.services[0].containers[0].ports = {{"http", 8000, config::port_protocol::tcp, port}};
  return spec;
}

site_processes site_with_address() {
  return site_processes::with_network(config::liveness_profile::balanced, 3, [](config::site_spec& spec) {
    spec.address = std::string{address} + "/24";
    for (auto& host : spec.hosts)
      host.interface = "eth0";
  });
}

} // namespace

TEST_CASE("the site's address is held by one host, and serves on another within a second when that host dies") {
  if (const auto why = site_network::why_not(); !why.empty()) {
    MESSAGE("SKIPPED: " << why);
    return;
  }
  auto site = site_with_address();
  site.start_all();
  REQUIRE(site.apply(web_application()).status == 201);
  site.wait_for_running(3);
  const auto leader = site.leader();
  site.wait_for("the leader alone holds the address", [&] { return holders(site) == std::vector<std::string>{site.leader()}; });
  const outside_client client{site};
  const auto begin = std::chrono::steady_clock::now();
  site.wait_for("it is served from outside", [&] { return client.is_served_after(begin); });

  site.kill_host(leader);
  const auto killed = std::chrono::steady_clock::now();
  site.wait_for("another host serves it", [&] { return client.is_served_after(killed); });
  const auto first = client.last_served_after(killed);
  MESSAGE("served again " << first.count() << " ms after the host that held it was killed");
  CHECK(first < 1s);
  site.wait_for("the dead agent's address went by itself", [&] { return !holds(site, leader); });
  site.start(leader);
  site.wait_for_running(3);

  const auto next = site.leader();
  site.network().cut(next);
  const auto cut = std::chrono::steady_clock::now();
  site.wait_for("a third host serves it after the cable of the second was cut", [&] { return client.is_served_after(cut + 100ms); });
  MESSAGE("served again " << client.last_served_after(cut).count() << " ms after the cable of the host that held it was cut");
  site.wait_for("who lost its quorum lets go", [&] { return !holds(site, next); });
  site.network().mend(next);
  site.wait_for_agreement(site.hosts());
  site.wait_for("one host holds it", [&] { return holders(site) == std::vector<std::string>{site.leader()}; });
  for (const auto& host : site.hosts())
    CHECK(site.end(host) == 0);
  CHECK(holders(site).empty());
}

TEST_CASE("the site's address leaves a host whose agent alone is killed, and serves on another, within a second") {
  if (const auto why = site_network::why_not(); !why.empty()) {
    MESSAGE("SKIPPED: " << why);
    return;
  }
  auto site = site_with_address();
  site.start_all();
  REQUIRE(site.apply(web_application()).status == 201);
  site.wait_for_running(3);
  const auto leader = site.leader();
  site.wait_for("the leader alone holds the address", [&] { return holders(site) == std::vector<std::string>{leader}; });
  const outside_client client{site};
  const auto begin = std::chrono::steady_clock::now();
  site.wait_for("it is served from outside", [&] { return client.is_served_after(begin); });

  const auto killed = std::chrono::steady_clock::now();
  site.kill_agent(leader);
  site.wait_for("the address is gone from the host whose agent died", [&] { return !holds(site, leader); });
  const auto gone = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - killed);
  site.wait_for("another host serves it", [&] { return client.is_served_after(killed); });
  const auto first = client.last_served_after(killed);
  MESSAGE("gone " << gone.count() << " ms and served again " << first.count() << " ms after the agent that held it was killed");
  CHECK(gone < 1s); // by its lifetime alone it would go after one and a half to two seconds
  CHECK(holders(site).size() == 1);
}
