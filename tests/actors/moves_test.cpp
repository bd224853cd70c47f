// Instances that have to leave a host that is up: they end there before they begin elsewhere.

#include <map>
#include <set>

#include <doctest/doctest.h>

#include "actors/host/leftovers.hpp"
#include "actors/site/observations.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/update_verdict.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using namespace std::chrono_literals;

namespace {

/// A site that knows which instances have ended where they were.
struct moving_site : small_site {
  using small_site::small_site;

  std::set<std::string> ended;
  std::set<std::string> left_over; ///< of deleted ones

  actors::site_plan plan() const {
    return actors::plan(state, gave_up, now, {}, seen, [this](const auto& instance, const auto& x) {
      return x.host.empty() ? left_over.count(instance) == 0 : ended.count(instance) != 0;
    });
  }

  void settle() {
    for (int i = 0; i < 40; ++i) {
      auto next = plan();
      if (next.changes.changes.empty())
        return;
      run(next.changes);
    }
    FAIL("40 plans did not settle it");
  }

  const actors::assignment& at(const std::string& instance) const { return state.assignments.at(instance); }
};

const std::string web = "default.shop.web-1";

config::application_spec shop(std::uint32_t replicas, std::string labels = {}) {
  auto x = service("web", replicas);
  x.placement.match_host_labels = std::move(labels);
  return application("shop", {x});
}

/// One instance on host-1 that is told to go to host-2.
moving_site leaving_site() {
  moving_site site{{host("host-1", {{"zone", "a"}}), host("host-2", {{"zone", "b"}}), host("host-3", {{"zone", "b"}})}};
  site.run(actors::put_application{shop(1, "zone = a")});
  site.settle();
  site.run(actors::put_application{shop(1, "zone = b")});
  return site;
}

} // namespace

TEST_CASE("who has to leave a host that is up stays assigned to it, in its generation, until it has ended there") {
  auto site = leaving_site();
  const auto before = site.at(web);
  const auto told = site.run(site.plan().changes);
  REQUIRE(told.events.size() == 1);
  CHECK(told.events[0].from == "host-1 (generation 1)");
  CHECK(told.events[0].to == "leaves host-1");
  CHECK(site.at(web).host == "host-1");
  CHECK(site.at(web).generation == before.generation);
  CHECK(site.at(web).leaves_since == site.index);
  const auto waiting = site.plan();
  CHECK(waiting.changes.changes.empty());
  CHECK(waiting.waits_for_reports);
  site.ended.insert(web);
  const auto moved = site.run(site.plan().changes);
  REQUIRE(moved.events.size() == 1);
  CHECK(moved.events[0].from == "leaves host-1");
  CHECK(moved.events[0].to == "host-2 (generation 2)");
  CHECK(moved.events[0].reason == "host-1 no longer fits (not matching the labels `zone = b`)");
  CHECK(site.at(web).leaves_since == 0);
  CHECK(site.plan().changes.changes.empty());
}

TEST_CASE("a host that is lost while an instance leaves it is waited for no longer") {
  auto site = leaving_site();
  site.settle();
  REQUIRE(site.at(web).leaves_since != 0);
  site.run(actors::set_host_state{"host-1", false, "no heartbeat for 500ms"});
  site.run(site.plan().changes);
  CHECK(site.at(web).host == "host-2");
  CHECK(site.at(web).reason == "host-1 is down: no heartbeat for 500ms");
}

TEST_CASE("a host that holds who leaves it has no room for others before that has ended") {
  moving_site site{{host("host-1", {{"zone", "a"}}, {100, 1 << 20}), host("host-2", {{"zone", "b"}}, {100, 1 << 20})}};
  site.run(actors::put_application{shop(1, "zone = a")});
  site.settle();
  site.run(actors::put_application{shop(1, "zone = b")});
  site.run(actors::put_application{application("late", {service("job", 2)})});
  site.settle();
  // host-2 is free and taken by the first of the others, so there is no room for the shop when it has left.
  CHECK(site.at("default.late.job-1").host == "host-2");
  CHECK(site.at("default.late.job-2").host.empty());
  site.ended.insert(web);
  site.settle();
  CHECK(site.at(web).host.empty());
  CHECK(site.at("default.late.job-2").host == "host-1");
}

TEST_CASE("two that change places both leave first, and neither is said to fit nowhere meanwhile") {
  moving_site site{{host("host-1", {{"zone", "a"}}, {100, 1 << 20}), host("host-2", {{"zone", "b"}}, {100, 1 << 20})}};
  auto one = service("one", 1);
  auto two = service("two", 1);
  one.placement.match_host_labels = "zone = a";
  two.placement.match_host_labels = "zone = b";
  site.run(actors::put_application{application("shop", {one, two})});
  site.settle();
  std::swap(one.placement, two.placement);
  site.run(actors::put_application{application("shop", {one, two})});
  site.settle();
  site.ended.insert("default.shop.one-1");
  site.settle();
  CHECK(site.at("default.shop.one-1").host == "host-1");
  CHECK(site.at("default.shop.one-1").leaves_since != 0);
  site.ended.insert("default.shop.two-1");
  site.settle();
  CHECK(site.at("default.shop.one-1").host == "host-2");
  CHECK(site.at("default.shop.two-1").host == "host-1");
}

TEST_CASE("of a service that its host does not suit any more as many leave at a time as update.parallel says") {
  for (const std::uint32_t parallel : {1u, 2u}) {
    CAPTURE(parallel);
    moving_site site{{host("host-1", {{"zone", "a"}}), host("host-2", {{"zone", "b"}})}};
    auto spec = shop(4, "zone = a");
    spec.services[0].update.parallel = parallel;
    site.run(actors::put_application{spec});
    site.settle();
    std::map<std::string, actors::seen_as> states;
    site.seen = [&](const std::string& instance, const auto&, const auto&) {
      const auto x = states.find(instance);
      return x == states.end() ? actors::seen_as::steady : x->second;
    };
    spec.services[0].placement.match_host_labels = "zone = b";
    site.run(actors::put_application{spec});
    for (std::uint32_t done = 0; done < 4; done += parallel) {
      site.settle();
      std::uint32_t leave = 0;
      for (const auto& [name, x] : site.state.assignments) {
        leave += x.leaves_since != 0 ? 1 : 0;
        if (x.leaves_since != 0)
          site.ended.insert(name);
      }
      CHECK(leave == parallel);
      for (const auto& name : site.ended)
        if (site.at(name).leaves_since != 0)
          states[name] = actors::seen_as::fresh;
      site.settle();
      const auto waiting = site.plan();
      CHECK(waiting.changes.changes.empty()); // the next wait until these have run for a while
      CHECK(waiting.waits_for_reports == (done + parallel < 4));
      states.clear();
    }
    for (const auto& [name, x] : site.state.assignments)
      CHECK(x.host == "host-2");
  }
}

TEST_CASE("who gave up on a host that is up ends there before it is placed elsewhere, and what it did there is remembered") {
  moving_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{shop(1)});
  site.settle();
  const auto before = site.at(web);
  site.gave_up[web] = {before.host, before.generation, "exited with code 3"};
  site.settle();
  CHECK(site.at(web).leaves_since != 0);
  CHECK(site.at(web).avoided.size() == 1);
  site.gave_up.clear(); // as its host no longer reports it
  site.ended.insert(web);
  site.settle();
  CHECK(site.at(web).host != before.host);
  CHECK(site.at(web).reason == "gave up on " + before.host + ": exited with code 3");
  CHECK(site.at(web).avoided.size() == 1);
}

TEST_CASE("an update is not over, and has not failed, while an instance leaves its host") {
  moving_site site{{host("host-1", {{"zone", "a"}}), host("host-2", {{"zone", "b"}})}};
  site.run(actors::put_application{shop(1, "zone = a")});
  site.settle();
  auto spec = shop(1, "zone = b");
  spec.version = "2";
  spec.services[0].containers[0].command = {"sleep", "2000"};
  site.run(actors::put_application{spec, true});
  site.settle();
  REQUIRE(site.at(web).leaves_since != 0);
  const auto verdicts = actors::judge_updates(site.state, {}, site.now, site.seen, {}, {});
  CHECK(verdicts.decisions.empty());
  CHECK(verdicts.waits_for_reports);
  site.ended.insert(web);
  site.settle();
  CHECK(site.at(web).host == "host-2");
  CHECK(site.at(web).revision == site.state.applications.at("default.shop").changed_at.at("web"));
}

TEST_CASE("who is placed for the first time waits until what ran under its name before has ended") {
  moving_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{shop(2)});
  site.left_over = {web};
  site.settle();
  CHECK(site.state.assignments.count(web) == 0);
  CHECK(site.state.assignments.count("default.shop.web-2") == 1);
  CHECK(site.plan().waits_for_reports);
  site.left_over.clear();
  site.settle();
  CHECK(site.state.assignments.count(web) == 1);
}

// -- hosts that take nothing new -----------------------------------------------------------------------------------------

TEST_CASE("a drained host is left, one after the other, is given nothing, and gets nothing back by itself when that is over") {
  moving_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{shop(4)});
  site.settle();
  CHECK(site.run(actors::drain_host{"host-1", true}).events.at(0).to == "drained");
  CHECK(site.run(actors::drain_host{"host-1", true}).outcome.result == actors::command_result::unchanged);
  std::size_t moved = 0;
  for (; moved < 2; ++moved) {
    site.settle();
    std::string leaving;
    for (const auto& [name, x] : site.state.assignments)
      if (x.leaves_since != 0) {
        CHECK(leaving.empty());
        leaving = name;
        CHECK(x.reason == "host-1 is drained");
      }
    REQUIRE_FALSE(leaving.empty());
    site.ended.insert(leaving);
  }
  site.settle();
  site.run(actors::scale_service{"default.shop", "web", 6});
  site.settle();
  for (const auto& [name, x] : site.state.assignments)
    CHECK(x.host == "host-2");
  site.run(actors::drain_host{"host-1", false});
  CHECK(site.plan().changes.changes.empty());
}

TEST_CASE("what no other host can hold ends on a drained host all the same, and says why it is nowhere") {
  moving_site site{{host("host-1"), host("host-2", {}, {50, 1 << 30})}};
  site.run(actors::put_application{shop(1)});
  site.settle();
  REQUIRE(site.at(web).host == "host-1");
  site.run(actors::drain_host{"host-1", true});
  site.settle();
  site.ended.insert(web);
  site.settle();
  CHECK(site.at(web).host.empty());
  CHECK(site.at(web).reason == "0 of 2 hosts fit: 1 drained, 1 with less than 100m cpu left");
  site.run(actors::drain_host{"host-1", false});
  site.settle();
  CHECK(site.at(web).host == "host-1");
}

TEST_CASE("an instance waits on a drained host neither for its turn to be updated nor for the end of a pause") {
  moving_site site{{host("host-1"), host("host-2")}};
  auto spec = shop(1);
  site.run(actors::put_application{spec});
  site.settle();
  const auto before = site.at(web);
  spec.version = "2";
  spec.services[0].containers[0].command = {"sleep", "2000"};
  site.run(actors::put_application{spec, true});
  site.run(actors::end_update{"default.shop", 2, "it does not run"});
  site.settle();
  REQUIRE(site.at(web).revision == before.revision);
  site.run(actors::drain_host{before.host, true});
  site.settle();
  site.ended.insert(web);
  site.settle();
  CHECK(site.at(web).host != before.host);
  CHECK(site.at(web).revision == before.revision); // who only has to move is not updated by the way
}

TEST_CASE("a host with a full disk keeps what it has, is given nothing new, and both its ends are events") {
  moving_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{shop(2)});
  site.settle();
  using config::driver_kind;
  const auto full = site.run(actors::set_host_drivers{"host-1", {driver_kind::process}, {actors::host_lack::disk_room},
                                                      {{"process"}, {{"disk room", "the disk is full"}}}});
  REQUIRE(full.events.size() == 1);
  CHECK(full.events[0].to == "disk full");
  CHECK(full.events[0].reason == "the disk is full");
  CHECK(site.plan().changes.changes.empty());
  site.run(actors::scale_service{"default.shop", "web", 4});
  site.settle();
  CHECK(site.at("default.shop.web-3").host == "host-2");
  CHECK(site.at("default.shop.web-4").host == "host-2");
  site.run(actors::set_host_state{"host-2", false, "silent"});
  site.settle();
  CHECK(site.at("default.shop.web-4").reason == "0 of 2 hosts fit: 1 down, 1 with a full disk");
  const auto free = site.run(actors::set_host_drivers{"host-1", {driver_kind::process}, {}, {{"process"}, {}}});
  REQUIRE(free.events.size() == 1);
  CHECK(free.events[0].to == "its disk has room again");
  site.settle();
  CHECK(site.at("default.shop.web-4").host == "host-1");
}

// -- restarts ------------------------------------------------------------------------------------------------------------

TEST_CASE("a service that is restarted is updated to what it runs, one instance after the other") {
  moving_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{shop(2)});
  site.settle();
  CHECK(site.run(actors::restart_instances{"default.shop", "web", 7, {}, 0}).outcome.result == actors::command_result::stale);
  CHECK(site.run(actors::restart_instances{"default.shop", "job", 1, {}, 0}).outcome.result == actors::command_result::not_found);
  CHECK(site.run(actors::restart_instances{"default.shop", "web", 1, {}, 0}).outcome.result == actors::command_result::updated);
  CHECK(site.run(actors::restart_instances{"default.shop", "web", 1, {}, 0}).outcome.result == actors::command_result::stale); // once
  site.seen = [&](const auto&, const actors::assignment& x, const auto&) {
    return x.generation == 2 ? actors::seen_as::fresh : actors::seen_as::steady;
  };
  site.settle();
  CHECK(site.at("default.shop.web-1").generation == 2);
  CHECK(site.at("default.shop.web-2").generation == 1);
  site.seen = [](const auto&, const auto&, const auto&) { return actors::seen_as::steady; };
  site.settle();
  CHECK(site.at("default.shop.web-2").generation == 2);
  CHECK(site.plan().changes.changes.empty());
}

TEST_CASE("an instance that is restarted gets its next generation where it is, and once for each time that somebody saw it") {
  moving_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{shop(1)});
  site.settle();
  const auto host_before = site.at(web).host;
  const auto done = site.run(actors::restart_instances{{}, {}, 0, web, 1});
  REQUIRE(done.events.size() == 1);
  CHECK(done.events[0].reason == "restarted by hand");
  CHECK(site.at(web).host == host_before);
  CHECK(site.at(web).generation == 2);
  CHECK(site.run(actors::restart_instances{{}, {}, 0, web, 1}).outcome.result == actors::command_result::stale);
  CHECK(actors::refuse({0, actors::restart_instances{{}, {}, 0, web, 1}}, site.state).status == 409);
  CHECK(actors::refuse({0, actors::restart_instances{{}, {}, 0, "default.shop.web-9", 1}}, site.state).status == 404);
  CHECK(site.plan().changes.changes.empty());
}

// -- what the leader knows of it -----------------------------------------------------------------------------------------

namespace {

actors::host_heartbeat beat(std::uint64_t since, std::uint64_t revision, std::uint64_t carried_out) {
  actors::host_heartbeat x;
  x.host = "host-1";
  x.incarnation = 7;
  x.has_reports = true;
  x.since_revision = since;
  x.revision = revision;
  x.carried_out = carried_out;
  return x;
}

} // namespace

TEST_CASE("an instance has ended when its host carried out the entry that took it away, and not one entry before") {
  actors::observations seen;
  const auto now = runtime::instant{} + 1s;
  CHECK_FALSE(seen.has_ended("host-1", web, 5)); // not heard
  seen.take(beat(0, 1, 4), now);
  CHECK_FALSE(seen.has_ended("host-1", web, 5)); // it may not know yet that it was to start, either
  seen.take(beat(1, 1, 5), now);
  CHECK(seen.has_ended("host-1", web, 5));
}

TEST_CASE("what a host still reports has not ended there, whatever else it carried out") {
  actors::observations seen;
  const auto now = runtime::instant{} + 1s;
  auto reported = beat(0, 1, 9);
  reported.reports.push_back({});
  reported.reports[0].instance = web;
  seen.take(reported, now);
  CHECK_FALSE(seen.has_ended("host-1", web, 5));
  auto gone = beat(1, 2, 9);
  gone.gone = {web};
  seen.take(gone, now);
  CHECK(seen.has_ended("host-1", web, 5));
}

TEST_CASE("a host that takes its word back says nothing about who ended, until it gives it again") {
  actors::observations seen;
  const auto now = runtime::instant{} + 1s;
  auto reported = beat(0, 1, 9);
  reported.reports.push_back({});
  reported.reports[0].instance = web;
  seen.take(reported, now);
  auto gone = beat(1, 2, 0); // its actors ended, and it has not looked yet what they left
  gone.gone = {web};
  seen.take(gone, now);
  CHECK_FALSE(seen.has_ended("host-1", web, 5));
  const auto before = seen.revision();
  seen.take(beat(2, 2, 9), now);
  CHECK(seen.has_ended("host-1", web, 5));
  CHECK(seen.revision() != before); // who waits for it is to look again
}

TEST_CASE("hosts that report an instance are known until they do no more, or begin anew without it") {
  actors::observations seen;
  const auto now = runtime::instant{} + 1s;
  auto reported = beat(0, 1, 9);
  reported.reports.push_back({});
  reported.reports[0].instance = web;
  seen.take(reported, now);
  reported.host = "host-2";
  seen.take(reported, now);
  CHECK(seen.hosts_of(web) == std::vector<std::string>{"host-1", "host-2"});
  CHECK(seen.hosts_of("default.shop.web").empty());
  auto gone = beat(1, 2, 9);
  gone.gone = {web};
  seen.take(gone, now);
  CHECK(seen.hosts_of(web) == std::vector<std::string>{"host-2"});
  reported.reports.clear();
  seen.take(reported, now);
  CHECK(seen.hosts_of(web).empty());
}

TEST_CASE("a host that begins its reports anew and has not said all of them says nothing about who ended") {
  actors::observations seen;
  const auto now = runtime::instant{} + 1s;
  seen.take(beat(0, 1, 9), now);
  REQUIRE(seen.has_ended("host-1", web, 5));
  auto first_part = beat(0, 1, 0);
  first_part.incarnation = 8;
  seen.take(first_part, now);
  CHECK_FALSE(seen.has_ended("host-1", web, 5));
}

// -- what the host still has ---------------------------------------------------------------------------------------------

TEST_CASE("a leftover is told to stop once, and again only when that failed") {
  actors::leftovers left;
  const auto now = runtime::instant{} + 1s;
  const actors::recovered_container x{web + ".main", web, 3, "", 100, 0};
  REQUIRE(left.take({x}, now).size() == 1);
  left.told(x, 8s);
  CHECK(left.take({x}, now + 5s).empty());
  CHECK(left.generation_of(web, now + 5s) == 3);
  left.failed(x);
  CHECK(left.take({x}, now + 6s).size() == 1);
  left.ended(x);
  CHECK(left.generation_of(web, now + 6s) == 0);
}

TEST_CASE("a leftover counts as running for its grace and a minute, and then nobody waits for it") {
  actors::leftovers left;
  const auto now = runtime::instant{} + 1s;
  const actors::recovered_container x{web + ".main", web, 3, "", 100, 0};
  left.take({x}, now);
  left.told(x, 8s);
  left.take({x}, now + 30s); // seen again, which does not begin it anew
  const auto until = now + 8s + actors::leftovers::patience;
  CHECK(left.instances(until - 1ms) == std::vector<std::string>{web});
  CHECK(left.instances(until).empty());
}

TEST_CASE("a leftover that is found no more is forgotten") {
  actors::leftovers left;
  const auto now = runtime::instant{} + 1s;
  left.take({{web + ".main", web, 3, "", 100, 0}}, now);
  CHECK(left.take({}, now + 5s).empty());
  CHECK(left.instances(now + 5s).empty());
}
