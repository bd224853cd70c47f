// Instances leave a host that is up, and something goes wrong with their end: two generations never run at once.

#include "tests/sim/site_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

const std::string instance = "default.shop.web-1";

/// Of one host of three that is drained, with its only instance just told to stop. Returns that host.
std::string begin_to_leave(simulated_site& site) {
  auto service = simulated_service("web", 1);
  service.containers[0].grace = 10s;
  establish(site, simulated_application("shop", {service}));
  const auto host = host_of(site, instance);
  REQUIRE(site.ask(site.leader(), "POST", "/v1/hosts/" + host + "/drain") == 200);
  REQUIRE(site.await([&] { return !site.machine(host).stops.empty(); }, 5s));
  return host;
}

/// Time passes, in which the instance runs there and nowhere else.
void stays_alone(simulated_site& site, const std::string& host, std::chrono::milliseconds time) {
  for (std::chrono::milliseconds passed{0}; passed < time; passed += 100ms) {
    site.advance(100ms);
    CAPTURE(passed.count());
    const auto running = site.running();
    REQUIRE(running.size() == 1);
    REQUIRE(running.begin()->second.first == host);
  }
}

void moves(simulated_site& site, const std::string& host) {
  const auto has_moved = [&] { return site.is_satisfied() && host_of(site, instance) != host; };
  CHECK_MESSAGE(site.await(has_moved, 20s), site.difference());
  CHECK(site.running().size() == 1);
}

} // namespace

TEST_CASE("a container whose actors are killed while it stops is started nowhere else before it has ended") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    for (const auto& host : site.hosts())
      site.machine(host).stop_time = 8s;
    const auto host = begin_to_leave(site);
    site.advance(300ms);
    REQUIRE(site.kill_actor(host + "/root/applications/default.shop"));
    stays_alone(site, host, 6s);
    moves(site, host);
  });
}

TEST_CASE("a container that cannot be stopped is started nowhere else, although its actors waited long enough") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    for (const auto& host : site.hosts())
      site.machine(host).deaf_to_stops = true;
    const auto host = begin_to_leave(site);
    stays_alone(site, host, 45s); // its grace, and what its actor and those above it wait beyond that
    site.machine(host).finish(instance + ".main", 0, 9, true);
    moves(site, host);
  });
}
