// What a site does when the spec of what runs changes, by name.

#include <algorithm>

#include "tests/sim/site_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

config::application_spec shop(std::uint32_t replicas, std::string version, std::vector<std::string> command = {"serve"}) {
  auto spec = simulated_application("shop", {simulated_service("web", replicas)}, std::move(version));
  spec.services[0].containers[0].command = std::move(command);
  return spec;
}

void put(simulated_site& site, const config::application_spec& spec) {
  const auto answer = site.put(spec, site.leader());
  REQUIRE(site.await([&] { return answer->has_value(); }, 9s));
  REQUIRE((*answer)->status == 200);
}

/// Containers that run with this command.
std::size_t with_command(simulated_site& site, const std::vector<std::string>& command) {
  std::size_t count = 0;
  for (const auto& host : site.hosts())
    for (const auto& [name, x] : site.machine(host).running)
      count += site.is_on(host) && x.order.spec.command == command ? 1 : 0;
  return count;
}

} // namespace

TEST_CASE("a changed grace, restart policy, reservation or intensity restarts nothing, and is in force") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    auto spec = shop(6, "1");
    spec.services[0].restart.intensity = 1;
    establish(site, spec);
    const auto before = starts(site);
    spec.version = "2";
    auto& web = spec.services[0];
    web.containers[0].grace += 1s;
    web.containers[0].resources.cpu_millis += 10;
    web.restart.intensity = 5;
    put(site, spec);
    site.advance(3s);
    spec.version = "3";
    spec.intensity += 4;
    put(site, spec);
    site.advance(3s);
    CHECK_MESSAGE(site.is_satisfied(), site.difference());
    CHECK(starts(site) == before);
    // Three ends within the period: with an intensity of 1 the instance would have been started afresh by now, or moved.
    const auto host = host_of(site, "default.shop.web-1");
    for (int i = 0; i < 3; ++i) {
      site.machine(host).end("default.shop.web-1.main", 1);
      site.advance(1s);
    }
    CHECK_MESSAGE(site.is_satisfied(), site.difference());
    CHECK(host_of(site, "default.shop.web-1") == host);
    CHECK(starts(site) == before + 3);
  });
}

TEST_CASE("a changed command reaches all replicas, one after the other, each after the one before ran for the healthy time") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(6, "1"));
    const auto before = starts(site);
    put(site, shop(6, "2", {"serve", "2"}));
    const auto begun = site.elapsed();
    const auto is_updated = [&] {
      const auto count = with_command(site, {"serve", "2"});
      CHECK(count <= 1 + (site.elapsed() - begun) / 5s);
      return count == 6;
    };
    CHECK(site.await(is_updated, 60s));
    site.advance(2s);
    CHECK_MESSAGE(site.is_satisfied(), site.difference());
    CHECK(starts(site) == before + 6);
  });
}

TEST_CASE("an update that does not run stops at the first replica, and goes on with a spec that does") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    auto spec = shop(3, "1");
    spec.services[0].update.on_failure = config::update_failure::pause;
    establish(site, spec);
    site.begin_crash_loop("default.shop.web-1", {});
    spec.version = "2";
    spec.services[0].containers[0].command = {"serve", "broken"};
    put(site, spec);
    site.advance(60s);
    CHECK(with_command(site, {"serve"}) == 2);
    site.end_crash_loops();
    put(site, shop(3, "3", {"serve", "3"}));
    CHECK(site.await([&] { return with_command(site, {"serve", "3"}) == 3; }, 60s));
  });
}

TEST_CASE("an update goes on under the next leader") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(6, "1"));
    for (const auto& host : site.hosts())
      site.machine(host).start_time = 200ms;
    put(site, shop(6, "2", {"serve", "2"}));
    REQUIRE(site.await([&] { return with_command(site, {"serve", "2"}) == 2; }, 20s));
    const auto lost = site.leader();
    site.crash_host(lost);
    CHECK(site.await([&] { return with_command(site, {"serve", "2"}) == 6; }, 60s));
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 5s), site.difference());
  });
}

TEST_CASE("an update that does not run takes the site back, and the replicas that were not updated run on untouched") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    auto spec = shop(4, "1"); // two on one host, so one of them shares an application's supervisor with what fails
    establish(site, spec);
    site.advance(6s);
    const auto before = site.state().assignments;
    site.begin_crash_loop("default.shop.web-1", {});
    spec.version = "2";
    spec.services[0].containers[0].command = {"serve", "broken"};
    put(site, spec);
    REQUIRE(site.await([&] { return site.state().applications.at("default.shop").spec.version == "1"; }, 120s));
    site.end_crash_loops();
    REQUIRE(site.await([&] { return with_command(site, {"serve"}) == 4; }, 60s));
    CHECK(with_command(site, {"serve", "broken"}) == 0);
    for (const auto& [name, x] : site.state().assignments)
      if (name != "default.shop.web-1")
        CHECK_MESSAGE(x.generation == before.at(name).generation, name);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 60s), site.difference());
    CHECK(site.state().applications.at("default.shop").update_reason.find("went back from version 2: default.shop.web-1 gave up on") == 0);
  });
}

TEST_CASE("a host that is lost in the middle of a paused update has its instances placed as they were") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    auto spec = shop(3, "1");
    spec.services[0].update.on_failure = config::update_failure::pause;
    establish(site, spec);
    site.advance(6s);
    site.begin_crash_loop("default.shop.web-1", {});
    spec.version = "2";
    spec.services[0].containers[0].command = {"serve", "broken"};
    put(site, spec);
    REQUIRE(site.await([&] { return site.state().applications.at("default.shop").update == actors::update_phase::paused; }, 120s));
    site.crash_host(host_of(site, "default.shop.web-2"));
    site.advance(30s);
    CHECK(with_command(site, {"serve"}) == 2);
    const auto restarted = host_of(site, "default.shop.web-3");
    site.crash_agent(restarted);
    site.start_host(restarted);
    site.advance(10s);
    CHECK(with_command(site, {"serve"}) == 2);
  });
}
