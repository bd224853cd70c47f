// When an update is over, and what the way back restarts.

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "actors/host/assigned.hpp"
#include "actors/site/update_verdict.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using actors::update_phase;

namespace {

config::application_spec shop(std::uint32_t replicas, const std::string& version) {
  auto web = service("web", replicas);
  web.containers[0].command = {"serve", version};
  auto made = application("shop", {web, service("db", 1)});
  made.version = version;
  return made;
}

const std::string key = "default.shop";
std::string web(int replica) { return "default.shop.web-" + std::to_string(replica); }

/// Three hosts whose web replicas run version 1 and were just asked to be version 2.
struct updated_site : small_site {
  std::set<std::string> away;
  std::set<std::string> fresh;
  actors::sight_reason reasons = [](const std::string& instance, const actors::assignment&) { return "not ready: " + instance; };

  explicit updated_site(std::uint32_t replicas, config::update_failure on_failure = config::update_failure::rollback)
    : small_site({host("host-1"), host("host-2"), host("host-3")}) {
    seen = [this](const std::string& instance, const actors::assignment&, const config::update_spec&) {
      return away.count(instance) != 0    ? actors::seen_as::away
             : fresh.count(instance) != 0 ? actors::seen_as::fresh
                                          : actors::seen_as::steady;
    };
    run(actors::put_application{shop(replicas, "1")});
    settle();
    auto next = shop(replicas, "2");
    next.services[0].update.on_failure = on_failure;
    run(actors::put_application{next, true});
  }

  const actors::application_record& record() const { return state.applications.at(key); }
  const actors::assignment& at(const std::string& instance) const { return state.assignments.at(instance); }
  actors::update_verdicts verdicts() const { return actors::judge_updates(state, gave_up, now, seen, reasons); }

  /// The next step of the update; false: there is none.
  bool step() {
    const auto next = plan().changes;
    if (!next.changes.empty())
      run(next);
    return !next.changes.empty();
  }
  void fail(const std::string& instance, const std::string& why) {
    gave_up[instance] = {at(instance).host, at(instance).generation, why};
  }
  template <class Decision>
  Decision only_decision() const {
    const auto all = verdicts().decisions;
    REQUIRE(all.size() == 1);
    REQUIRE(std::holds_alternative<Decision>(all[0]));
    return std::get<Decision>(all[0]);
  }
};

} // namespace

TEST_CASE("an update is watched where what it replaces was seen to run, and is through when all that it changed is steady") {
  updated_site site{2};
  CHECK(site.record().update == update_phase::running);
  CHECK(site.record().former.spec.version == "1");
  CHECK(site.verdicts().decisions.empty());
  CHECK(site.verdicts().waits_for_reports);
  while (site.step()) {
  }
  site.fresh = {web(2)};
  CHECK(site.verdicts().decisions.empty());
  site.fresh.clear();
  site.away = {"default.shop.db-1"}; // not changed by it
  const auto end = site.only_decision<actors::end_update>();
  CHECK(end.failure == "");
  site.run(end);
  CHECK(site.record().update == update_phase::done);
  CHECK(site.record().former.spec.version == "1"); // that it came through does not close the way back
  CHECK_FALSE(site.verdicts().waits_for_reports);
}

TEST_CASE("without a version that was seen to run there is no way back, and nobody watches") {
  small_site site{{host("host-1")}};
  site.run(actors::put_application{shop(1, "1"), true});
  CHECK(site.state.applications.at(key).update == update_phase::done);
  site.run(actors::put_application{shop(1, "2"), false});
  CHECK(site.state.applications.at(key).update == update_phase::done);
  CHECK(site.state.applications.at(key).former.revision == 0);
  CHECK(site.run(actors::roll_back{key, 2, "why"}).outcome.result == actors::command_result::not_found);
}

TEST_CASE("an updated instance that gives up takes the site back, and only what was updated is restarted") {
  updated_site site{3};
  REQUIRE(site.step());
  CHECK(site.at(web(1)).generation == 2);
  site.fail(web(1), "exited with code 1");
  site.away = {web(1)};
  const auto back = site.only_decision<actors::roll_back>();
  CHECK(back.reason == web(1) + " gave up on " + site.at(web(1)).host + ": exited with code 1");
  const auto applied = site.run(back);
  CHECK(applied.events.at(0).reason == "rolled back: " + back.reason);
  CHECK(site.record().spec.version == "1");
  CHECK(site.record().revision == 3);
  CHECK(site.record().former.revision == 0); // what failed is nothing to go back to
  site.gave_up.clear();
  site.away.clear();
  while (site.step()) {
  }
  CHECK(site.at(web(1)).generation == 3);
  CHECK(site.at(web(2)).generation == 1);
  CHECK(site.at(web(3)).generation == 1);
  CHECK(site.at("default.shop.db-1").generation == 1);
}

TEST_CASE("an update whose image nobody can bring fails at once, one whose image does not come when its time is over") {
  updated_site site{2};
  actors::awaited_image awaited{"r.example/web:2", "no such image"};
  const auto decisions = [&] {
    return actors::judge_updates(site.state, {}, site.now, site.seen, site.reasons,
                                 [&](const auto&, const auto&, const auto&) { return awaited; })
      .decisions;
  };
  REQUIRE(decisions().size() == 1);
  CHECK(std::get<actors::roll_back>(decisions()[0]).reason
        == "the image r.example/web:2 is not on " + site.at(web(1)).host + ", where " + web(1) + " is to run it: no such image");
  awaited.hopeless.clear();
  CHECK(decisions().empty());
  site.now += 299'999;
  CHECK(decisions().empty());
  site.now += 1;
  REQUIRE(decisions().size() == 1);
  CHECK(std::get<actors::roll_back>(decisions()[0]).reason.find("is to run it, after 5m") != std::string::npos);
  awaited.reference.clear();
  CHECK(decisions().empty());
}

TEST_CASE("what gave up in the version that is left goes back where it is, and holds nothing up") {
  updated_site site{2};
  REQUIRE(site.step());
  const auto where = site.at(web(1)).host;
  site.fail(web(1), "exited with code 1"); // its host says so until it hears of the next generation
  site.away = {web(1)};
  site.run(site.only_decision<actors::roll_back>());
  REQUIRE(site.step());
  CHECK(site.at(web(1)).host == where);
  CHECK(site.at(web(1)).generation == 3);
  CHECK(site.at(web(1)).revision == 1);
  CHECK(site.at(web(1)).avoided.empty());
}

TEST_CASE("a rollback that is decided twice, or of another revision, goes back once") {
  updated_site site{1};
  CHECK(site.run(actors::roll_back{key, 1, "why"}).outcome.result == actors::command_result::stale);
  CHECK(site.run(actors::roll_back{key, 2, "why"}).outcome.result == actors::command_result::updated);
  CHECK(site.run(actors::roll_back{key, 2, "why"}).outcome.result == actors::command_result::not_found);
  CHECK(site.record().spec.version == "1");
}

TEST_CASE("a finished update can be gone back from, and that again") {
  updated_site site{1};
  site.run(actors::end_update{key, 2, {}});
  site.run(actors::roll_back{key, 2, {}});
  CHECK(site.record().spec.version == "1");
  site.run(actors::roll_back{key, 3, {}});
  CHECK(site.record().spec.version == "2");
  CHECK(site.record().update_reason == "went back from version 1: asked for");
}

TEST_CASE("what gave up as it was before the update fails nothing") {
  updated_site site{2};
  site.fail(web(2), "exited with code 1");
  CHECK(site.verdicts().decisions.empty());
}

TEST_CASE("a paused update updates nothing more, moves instances as they are, and goes on with the next version") {
  updated_site site{3, config::update_failure::pause};
  REQUIRE(site.step());
  site.fail(web(1), "exited with code 1");
  site.away = {web(1)};
  const auto end = site.only_decision<actors::end_update>();
  CHECK(end.failure.find("exited with code 1") != std::string::npos);
  site.run(end);
  CHECK(site.record().update == update_phase::paused);
  CHECK(site.verdicts().decisions.empty());
  site.gave_up.clear();
  site.away = {web(1), web(2), web(3)};
  CHECK(site.plan().changes.changes.empty());
  CHECK_FALSE(site.plan().waits_for_reports);
  const auto lost = site.at(web(3)).host;
  site.run(actors::set_host_state{lost, false, "silent"});
  while (site.step()) {
  }
  CHECK(site.at(web(3)).host != lost);
  CHECK(site.at(web(3)).revision == 1);
  CHECK(&actors::version_of(site.record(), site.at(web(3))) == &site.record().former.spec);
  CHECK(actors::service_of(site.state, site.at(web(3))) == &site.record().former.spec.services[0]);
  site.run(actors::scale_service{key, "web", 4});
  while (site.step()) {
  }
  CHECK(site.at(web(4)).revision == 1); // nothing new begins with what failed
  site.run(actors::put_application{shop(4, "3"), false});
  CHECK(site.record().former.spec.version == "1"); // version 2 never came through
  CHECK(site.record().update == update_phase::running);
  site.away.clear();
  while (site.step()) {
  }
  for (int i = 1; i <= 4; ++i)
    CHECK(site.at(web(i)).revision == site.record().revision);
}

TEST_CASE("an instance of a lost host is placed as it is while an update runs, and updated in its turn") {
  updated_site site{3};
  const auto lost = site.at(web(3)).host;
  site.run(actors::set_host_state{lost, false, "silent"});
  REQUIRE(site.step());
  CHECK(site.at(web(3)).host != lost);
  CHECK(site.at(web(3)).revision == 1);
  while (site.step()) {
  }
  CHECK(site.at(web(3)).revision == 2);
}

TEST_CASE("an updated instance fails the update at its deadline, not before, with what is seen of it") {
  updated_site site{1};
  REQUIRE(site.step());
  site.away = {web(1)};
  const auto since = site.at(web(1)).assigned_at;
  const auto deadline = site.record().spec.services[0].update.deadline.count();
  site.now = since + deadline - 1;
  CHECK(site.verdicts().decisions.empty());
  CHECK(site.verdicts().waits_for_reports);
  site.now = since + deadline;
  CHECK(site.only_decision<actors::roll_back>().reason == web(1) + " was not ready within 5m: not ready: " + web(1));
}

TEST_CASE("an update that no host can hold any more goes back") {
  updated_site site{1};
  auto larger = shop(1, "3");
  larger.services[0].containers[0].resources.cpu_millis = 100'000;
  site.run(actors::end_update{key, 2, {}});
  site.run(actors::put_application{larger, true});
  while (site.step()) {
  }
  REQUIRE(site.at(web(1)).host.empty());
  const auto back = site.only_decision<actors::roll_back>();
  CHECK(back.reason.find(web(1) + " has no host any more: ") == 0);
  site.run(back);
  while (site.step()) {
  }
  CHECK_FALSE(site.at(web(1)).host.empty());
}

TEST_CASE("applying the version before by hand restarts only what was updated, as going back does") {
  updated_site site{2};
  REQUIRE(site.step());
  site.run(actors::put_application{shop(2, "1"), false});
  while (site.step()) {
  }
  CHECK(site.at(web(1)).generation == 3);
  CHECK(site.at(web(2)).generation == 1);
  CHECK(site.record().former.revision == 0); // it is not there to go back to from itself
}

TEST_CASE("a service that is new is waited for as one that changed, and a change that restarts nothing is not watched") {
  updated_site site{1};
  site.run(actors::end_update{key, 2, {}});
  auto next = shop(1, "2");
  next.version = "3";
  next.services[0].containers[0].grace *= 2;
  site.run(actors::put_application{next, true});
  CHECK(site.record().update == update_phase::done);
  next.services.push_back(service("cache", 1));
  site.run(actors::put_application{next, true});
  CHECK(site.record().update == update_phase::running);
  CHECK(site.verdicts().decisions.empty());
  while (site.step()) {
  }
  site.away = {"default.shop.cache-1"};
  CHECK(site.verdicts().decisions.empty());
  site.away.clear();
  CHECK(site.only_decision<actors::end_update>().failure == "");
}

TEST_CASE("how many copies there are is no question of the version") {
  updated_site site{2};
  site.run(actors::scale_service{key, "web", 5});
  site.run(actors::roll_back{key, 3, {}});
  CHECK(site.record().spec.services[0].replicas == 5);
}

TEST_CASE("a version is worth going back to when an instance of each service is ready, and not one that may end by itself") {
  small_site site{{host("host-1")}};
  site.run(actors::put_application{shop(2, "1")});
  std::set<std::string> away;
  const actors::sight seen = [&](const std::string& instance, const actors::assignment&, const config::update_spec&) {
    return away.count(instance) != 0 ? actors::seen_as::away : actors::seen_as::fresh;
  };
  const auto runs = [&] { return actors::runs_well(site.state.applications.at(key), site.state, seen); };
  CHECK_FALSE(runs());
  site.settle();
  CHECK(runs());
  away = {web(1)};
  CHECK(runs());
  away = {web(1), web(2)};
  CHECK_FALSE(runs());
  away = {"default.shop.db-1"};
  CHECK_FALSE(runs());
}

TEST_CASE("a host starts an instance that waits for its update with the version before, and an updated one with the new") {
  updated_site site{3};
  REQUIRE(site.step());
  for (int i = 1; i <= 2; ++i) {
    actors::assigned_applications assigned{{"shop", site.at(web(i)).host, {}}};
    for (const auto& instance : assigned.plans(site.state, {}).at(key).instances)
      if (instance.name == web(i))
        CHECK(instance.containers[0].spec.command == std::vector<std::string>{"serve", i == 1 ? "2" : "1"});
  }
}

TEST_CASE("containers that only the version before has are known, and may take as long to end as it says") {
  updated_site site{1};
  auto renamed = shop(1, "3");
  renamed.services[0].containers[0].name = "other";
  site.run(actors::end_update{key, 2, {}});
  site.run(actors::put_application{renamed, true});
  const auto known = actors::known_containers(site.state);
  CHECK(std::count(known.begin(), known.end(), web(1) + ".main") == 1);
  CHECK(std::count(known.begin(), known.end(), web(1) + ".other") == 1);
}
