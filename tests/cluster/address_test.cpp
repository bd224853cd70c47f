// The address of a site, held by one of three hosts on cables of their own, and a client that knows no other.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "actors/host/address_guard.hpp"
#include "net/address_device.hpp"
#include "net/devices.hpp"
#include "net/http_client.hpp"
#include "tests/cluster/program.hpp"
#include "tests/cluster/scratch_area.hpp"
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
        for (auto last = std::chrono::steady_clock::now(); !stopping_;) {
          if (page().empty())
            continue;
          const auto now = std::chrono::steady_clock::now();
          const auto pause = (now - std::exchange(last, now)).count();
          for (auto known = longest_pause_.load(); pause > known && !longest_pause_.compare_exchange_weak(known, pause);) {
          }
          served_at_ = now.time_since_epoch().count();
        }
      }) {}
  ~outside_client() {
    stopping_ = true;
    thread_.join();
  }

  /// Whether a page was served that was asked for well after `since`.
  bool is_served_after(std::chrono::steady_clock::time_point since) const {
    return served_at_ > (since + 20ms).time_since_epoch().count();
  }
  /// The longest time between two pages since this was asked last.
  std::chrono::milliseconds take_longest_pause() {
    const std::chrono::steady_clock::duration longest{longest_pause_.exchange(0)};
    return std::chrono::duration_cast<std::chrono::milliseconds>(longest);
  }

private:
  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> served_at_{0};
  std::atomic<std::int64_t> longest_pause_{0};
  std::thread thread_;
};

bool holds(site_processes& site, const std::string& host) {
  const inside_network there{site.network().fd(host)};
  std::string problem;
  const auto all = net::list_addresses(problem);
  return std::any_of(all.begin(), all.end(), [](const auto& x) { return x.address.address == address; });
}

/// When the site's address was put last on `host`; empty: it is not there.
std::optional<std::uint32_t> renewed_at(site_processes& site, const std::string& host) {
  const inside_network there{site.network().fd(host)};
  return net::make_address_device("eth0")->renewed_at({address, 24, false});
}

/// Looks all the time whether a host has the site's address.
class address_watch {
public:
  address_watch(site_processes& site, const std::string& host)
    : thread_([this, &site, host] {
        const inside_network there{site.network().fd(host)};
        const auto device = net::make_address_device("eth0");
        for (; !stopping_; ++looks_)
          if (!device->renewed_at({address, 24, false}))
            ++misses_;
      }) {}
  ~address_watch() {
    stopping_ = true;
    thread_.join();
  }

  std::uint64_t looks() const { return looks_; }
  std::uint64_t misses() const { return misses_; }

private:
  std::atomic<bool> stopping_{false};
  std::atomic<std::uint64_t> looks_{0};
  std::atomic<std::uint64_t> misses_{0};
  std::thread thread_;
};

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

site_processes site_with_address(int hosts = 3) {
  return site_processes::with_network(config::liveness_profile::balanced, hosts, [](config::site_spec& spec) {
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
  outside_client client{site};
  const auto begin = std::chrono::steady_clock::now();
  site.wait_for("it is served from outside", [&] { return client.is_served_after(begin); });
  client.take_longest_pause();

  site.kill_host(leader);
  const auto killed = std::chrono::steady_clock::now();
  site.wait_for("another host serves it", [&] { return client.is_served_after(killed); });
  const auto pause = client.take_longest_pause();
  MESSAGE("no page for " << pause.count() << " ms when the host that held it was killed");
  CHECK(pause < 1s);
  site.wait_for("the dead agent's address went by itself", [&] { return !holds(site, leader); });
  site.start(leader);
  site.wait_for_running(3);

  const auto next = site.leader();
  client.take_longest_pause();
  site.network().cut(next);
  const auto cut = std::chrono::steady_clock::now();
  site.wait_for("a third host serves it after the cable of the second was cut", [&] { return client.is_served_after(cut + 100ms); });
  MESSAGE("no page for " << client.take_longest_pause().count()
                         << " ms when the cable of the host that held it was cut");
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
  outside_client client{site};
  const auto begin = std::chrono::steady_clock::now();
  site.wait_for("it is served from outside", [&] { return client.is_served_after(begin); });
  client.take_longest_pause();

  const auto killed = std::chrono::steady_clock::now();
  site.kill_agent(leader);
  site.wait_for("the address is gone from the host whose agent died", [&] { return !holds(site, leader); });
  const auto gone = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - killed);
  site.wait_for("another host serves it", [&] { return client.is_served_after(killed); });
  MESSAGE("gone after " << gone.count() << " ms and no page for " << client.take_longest_pause().count()
                        << " ms when the agent that held it was killed");
  CHECK(gone < 1s); // by its lifetime alone it would go after one and a half to two seconds
  CHECK(holders(site).size() == 1);
}

TEST_CASE("the address of a site of one host stays the whole time that its agent is killed and started again") {
  if (const auto why = site_network::why_not(); !why.empty()) {
    MESSAGE("SKIPPED: " << why);
    return;
  }
  auto site = site_with_address(1);
  site.start_all();
  const auto only = site.hosts().front();
  site.wait_for("the only host holds the address", [&] { return holds(site, only); });
  const address_watch watch{site, only};
  for (int life = 0; life < 3; ++life) {
    site.kill_agent(only);
    const auto before = renewed_at(site, only);
    REQUIRE(before);
    site.start(only);
    site.wait_for("the next agent puts it again", [&] { return renewed_at(site, only).value_or(0) > *before; });
  }
  const auto looks = watch.looks();
  site.wait_for("it was looked at after that", [&] { return watch.looks() > looks + 2; });
  MESSAGE("looked " << watch.looks() << " times");
  CHECK(watch.misses() == 0);
  CHECK(site.end(only) == 0);
  CHECK_FALSE(holds(site, only));
}

TEST_CASE("a guard removes the address of an agent that is gone, and leaves one that was put again") {
  if (const auto why = site_network::why_not(); !why.empty()) {
    MESSAGE("SKIPPED: " << why);
    return;
  }
  const scratch_area area;
  const auto room = network_namespace::make();
  const inside_network here{room.fd()};
  REQUIRE(net::add_bridge("br7", "ours") == "");
  const config::interface_address it{address, 24, false};
  const auto device = net::make_address_device("br7");
  const std::vector<std::string> words{actors::address_guard_word, "br7", it.address + "/24"};

  REQUIRE(device->put(it, {600}) == "");
  program alone{words, area.path() / "guard.log"}; // its input ends at once, as if the agent had died
  CHECK(alone.wait() == 0);
  CHECK_FALSE(device->renewed_at(it));

  REQUIRE(device->put(it, {600}) == "");
  program late{words, area.path() / "guard.log"};
  while (late.is_alive()) {
    REQUIRE(device->put(it, {600}) == "");
    REQUIRE(device->renewed_at(it));
    std::this_thread::yield();
  }
  CHECK(late.wait() == 0);
  CHECK(device->renewed_at(it));
}
