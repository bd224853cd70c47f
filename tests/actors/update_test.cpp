#include <doctest/doctest.h>

#include <set>

#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;

namespace {

config::application_spec shop(std::uint32_t replicas, const std::string& argument) {
  auto web = service("web", replicas);
  web.containers[0].command = {"serve", argument};
  return application("shop", {web});
}

/// A site whose web replicas run version "a" and were just asked to be "b". `not_running` says which do not.
struct updated_site : small_site {
  std::set<std::string> not_running;
  std::set<std::string> fresh;

  explicit updated_site(std::uint32_t replicas, config::restart_type restart = config::restart_type::permanent,
                        std::uint32_t parallel = 1)
    : small_site({host("host-1"), host("host-2"), host("host-3")}) {
    seen = [this](const std::string& instance, const actors::assignment&, const config::update_spec&) {
      return not_running.count(instance) != 0 ? actors::seen_as::away
             : fresh.count(instance) != 0     ? actors::seen_as::fresh
                                              : actors::seen_as::steady;
    };
    for (const auto* argument : {"a", "b"}) {
      auto spec = shop(replicas, argument);
      spec.services[0].restart.type = restart;
      spec.services[0].update.parallel = parallel;
      settle();
      run(actors::put_application{spec});
    }
  }

  std::uint64_t generation(int replica) const { return state.assignments.at(name(replica)).generation; }
  static std::string name(int replica) { return "default.shop.web-" + std::to_string(replica); }
};

} // namespace

TEST_CASE("replicas are updated one after the other where they are, the next when all run again") {
  updated_site site{3};
  const auto before = site.state.assignments;
  for (int replica = 1; replica <= 3; ++replica) {
    site.not_running.clear();
    auto next = site.plan();
    REQUIRE(next.changes.changes.size() == 1);
    CHECK(next.changes.changes[0].instance == site.name(replica));
    CHECK(next.waits_for_reports == (replica < 3));
    site.run(next.changes);
    CHECK(site.generation(replica) == 2);
    CHECK(site.host_of(site.name(replica)) == before.at(site.name(replica)).host);
    site.not_running = {site.name(replica)};
    next = site.plan();
    CHECK(next.changes.changes.empty());
    CHECK(next.waits_for_reports == (replica < 3));
  }
  site.not_running.clear();
  CHECK(site.plan().changes.changes.empty());
}

TEST_CASE("what does not run anyway is updated at once and does not let others go meanwhile") {
  updated_site site{3};
  site.not_running = {site.name(2), site.name(3)};
  const auto next = site.plan().changes.changes;
  REQUIRE(next.size() == 2);
  CHECK(next[0].instance == site.name(2));
  CHECK(next[1].instance == site.name(3));
}

TEST_CASE("an updated replica that has not run for long lets the others wait, an old one that has not does not") {
  updated_site site{3};
  site.fresh = {site.name(1), site.name(3)};
  auto next = site.plan().changes;
  REQUIRE(next.changes.size() == 1);
  CHECK(next.changes[0].instance == site.name(1));
  site.run(next);
  CHECK(site.plan().changes.changes.empty());
  CHECK(site.plan().waits_for_reports);
}

TEST_CASE("as many replicas are updated at a time as the service says, those that are away counted in") {
  updated_site site{5, config::restart_type::permanent, 3};
  site.run(site.plan().changes);
  for (int i = 1; i <= 5; ++i)
    CHECK(site.generation(i) == (i <= 3 ? 2 : 1));
  site.fresh = {site.name(2), site.name(3)};
  site.not_running = {site.name(5)};
  const auto next = site.plan().changes;
  REQUIRE(next.changes.size() == 1);
  CHECK(next.changes[0].instance == site.name(5)); // it is away anyway, and with 2 and 3 that makes three
}

TEST_CASE("services whose instances may end for good are updated at once") {
  CHECK(updated_site(3, config::restart_type::transient).plan().changes.changes.size() == 3);
  CHECK(updated_site(3, config::restart_type::temporary).plan().changes.changes.size() == 3);
}

TEST_CASE("an instance of a lost host is placed anew with the new spec, without a turn") {
  updated_site site{3};
  const auto lost = site.host_of(site.name(3));
  site.run(actors::set_host_state{lost, false, "silent"});
  site.not_running = {site.name(3)};
  const auto next = site.plan().changes;
  REQUIRE(next.changes.size() == 1);
  CHECK(next.changes[0].instance == site.name(3));
  site.run(next);
  CHECK(site.state.assignments.at(site.name(3)).revision == 2);
}

TEST_CASE("a replica that is placed nowhere holds no update up") {
  updated_site site{3};
  auto& x = site.state.assignments.at(site.name(3));
  x.host.clear();
  x.reason = "no host";
  site.not_running = {site.name(3)};
  std::set<std::string> changed;
  for (const auto& change : site.plan().changes.changes)
    changed.insert(change.instance);
  CHECK(changed == std::set<std::string>{site.name(1), site.name(3)});
}

TEST_CASE("a replica that gave up everywhere with the new spec holds the update up until it may be tried again") {
  updated_site site{3};
  site.run(site.plan().changes);
  auto& x = site.state.assignments.at(site.name(1));
  x.avoided = {{x.host, x.generation, 1, site.now + 1'000'000, "exited with code 1"}};
  x.host.clear();
  site.not_running = {site.name(1)};
  for (const auto& change : site.plan().changes.changes)
    CHECK(change.instance == site.name(1));
  // Its host is another's by then: it fits nowhere, and the others need not wait for that.
  site.now += 1'000'000;
  for (auto& [id, record] : site.state.hosts)
    record.spec.capacity.cpu_millis = id == site.host_of(site.name(2)) || id == site.host_of(site.name(3)) ? 100 : 0;
  bool is_updated = false;
  for (const auto& change : site.plan().changes.changes)
    is_updated = is_updated || change.instance == site.name(2);
  CHECK(is_updated);
}

TEST_CASE("an update that no longer fits where it is goes where it fits, in its turn") {
  small_site site{{host("host-1", {}, {1'000, 1 << 30}), host("host-2", {}, {1'000, 1 << 30}), host("host-3", {}, {4'000, 1 << 30})}};
  site.run(actors::put_application{application("shop", {service("web", 2, {900, 1 << 20})})});
  site.settle();
  auto larger = application("shop", {service("web", 2, {1'500, 1 << 20})});
  larger.services[0].containers[0].command = {"serve", "b"};
  site.run(actors::put_application{larger});
  const auto first = site.plan().changes;
  REQUIRE(first.changes.size() == 1);
  CHECK(first.changes[0].next.host == "host-3");
}

TEST_CASE("what a running instance can take as it runs needs no restart, what it was started with does") {
  const auto before = service("web", 2);
  const auto needs = [&](auto change) {
    auto after = before;
    change(after);
    return actors::needs_restart(before, after);
  };
  CHECK_FALSE(needs([](auto& x) { x.replicas = 9; }));
  CHECK_FALSE(needs([](auto& x) { x.placement.match_host_labels = "zone = a"; }));
  CHECK_FALSE(needs([](auto& x) { x.strategy = config::restart_strategy::one_for_all; }));
  CHECK_FALSE(needs([](auto& x) { x.restart.intensity = 9; }));
  CHECK_FALSE(needs([](auto& x) { x.containers[0].grace *= 2; }));
  CHECK_FALSE(needs([](auto& x) { x.containers[0].disk_bytes = 1 << 30; }));
  CHECK_FALSE(needs([](auto& x) { x.containers[0].logs = {1 << 20, std::chrono::hours{1}}; }));
  CHECK_FALSE(needs([](auto& x) { x.containers[0].resources.cpu_millis *= 2; }));
  CHECK(needs([](auto& x) { x.network = config::instance_network::none; }));
  CHECK(needs([](auto& x) { x.init_containers = x.containers; }));
  CHECK(needs([](auto& x) { x.containers[0].image = "r.example/web:2"; }));
  CHECK(needs([](auto& x) { x.containers[0].command.push_back("--fast"); }));
  CHECK(needs([](auto& x) { x.containers[0].env["A"] = "b"; }));
  CHECK(needs([](auto& x) { x.containers[0].working_directory = "/srv"; }));
  CHECK(needs([](auto& x) { x.containers[0].name = "other"; }));
  CHECK(needs([](auto& x) { x.containers[0].ports = {{"http", 80, config::port_protocol::tcp}}; }));
  CHECK(needs([](auto& x) { x.containers.push_back(x.containers[0]); }));
}
