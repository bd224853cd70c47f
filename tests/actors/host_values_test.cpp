#include <doctest/doctest.h>

#include <limits>

#include "actors/host/assigned.hpp"
#include "actors/host/instance_table.hpp"
#include "actors/host/journal_actor.hpp"
#include "actors/names.hpp"
#include "actors/site/site_views.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using actors::container_phase;
using actors::instance_phase;

namespace {

const std::string web = "default.popcorn.web-1";

actors::instance_plan plan_of(std::uint64_t generation, config::restart_type restart = config::restart_type::permanent,
                              std::vector<std::string> containers = {"main"}) {
  actors::instance_plan plan;
  plan.name = web;
  plan.service = "web";
  plan.replica = 1;
  plan.generation = generation;
  plan.restart.type = restart;
  for (const auto& name : containers) {
    actors::container_order order;
    order.name = web + '.' + name;
    order.instance = web;
    order.generation = generation;
    plan.containers.push_back(order);
  }
  return plan;
}

actors::container_report report(container_phase phase, std::uint64_t generation = 1, std::string container = "main",
                                bool adopted = false) {
  actors::container_report x;
  x.instance = web;
  x.container = web + '.' + container;
  x.generation = generation;
  x.phase = phase;
  x.pid = 42;
  x.adopted = adopted;
  x.reason = phase == container_phase::failed ? "exited with code 3" : "";
  return x;
}

storage::journal_event event(std::int64_t time_ms, const std::string& origin, std::uint64_t sequence) {
  return {origin, sequence, time_ms, "host/host-1", "up", "down", "silent", ""};
}

} // namespace

TEST_CASE("an instance runs when all its containers do") {
  actors::instance_table table;
  CHECK_FALSE(table.report(web));
  table.expect(plan_of(1, config::restart_type::permanent, {"main", "side"}));
  CHECK(table.report(web)->phase == instance_phase::pending);
  table.take(report(container_phase::starting));
  table.take(report(container_phase::running));
  CHECK(table.report(web)->phase == instance_phase::starting);
  table.take(report(container_phase::starting, 1, "side"));
  table.take(report(container_phase::running, 1, "side"));
  CHECK(table.report(web)->phase == instance_phase::running);
  CHECK(table.report(web)->pid == 42);
}

TEST_CASE("a container that ended counts a restart when it is started again, an adopted one does not") {
  actors::instance_table table;
  table.expect(plan_of(1));
  table.take(report(container_phase::starting));
  table.take(report(container_phase::running));
  table.take(report(container_phase::starting)); // its actor was restarted
  table.take(report(container_phase::running, 1, "main", true));
  CHECK(table.report(web)->restarts == 0);
  table.take(report(container_phase::failed));
  CHECK(table.report(web)->phase == instance_phase::starting);
  CHECK(table.report(web)->reason == web + ".main exited with code 3");
  table.take(report(container_phase::starting));
  CHECK(table.report(web)->reason == web + ".main exited with code 3");
  table.take(report(container_phase::running));
  CHECK(table.report(web)->restarts == 1);
  CHECK(table.report(web)->reason == "");
}

TEST_CASE("a start that waits for its engine says so and is one start, however often it says it") {
  actors::instance_table table;
  table.expect(plan_of(1));
  table.take(report(container_phase::starting));
  auto waiting = report(container_phase::starting);
  waiting.reason = "the container engine does not answer";
  for (int i = 0; i < 2; ++i)
    table.take(waiting);
  CHECK(table.report(web)->phase == instance_phase::starting);
  CHECK(table.report(web)->reason == web + ".main waits: the container engine does not answer");
  table.take(report(container_phase::running));
  CHECK(table.report(web)->phase == instance_phase::running);
  CHECK(table.report(web)->restarts == 0);
  CHECK(table.report(web)->reason == "");
}

TEST_CASE("an instance says what it waits for, and of an init container that fails or waits that rather than who waits for it") {
  actors::instance_table table;
  auto plan = plan_of(1, config::restart_type::permanent, {"migrate", "main"});
  plan.containers[0].init = true;
  table.expect(plan);
  auto waiting = report(container_phase::starting, 1, "main");
  waiting.reason = "its init container migrate is not done yet";
  table.take(waiting);
  table.take(report(container_phase::running, 1, "migrate"));
  CHECK(table.report(web)->reason == web + ".main waits: its init container migrate is not done yet");
  auto first = report(container_phase::starting, 1, "migrate");
  first.reason = "the image m:1 is not here yet";
  table.take(first);
  CHECK(table.report(web)->reason == web + ".migrate waits: the image m:1 is not here yet");
  table.take(report(container_phase::failed, 1, "migrate"));
  CHECK(table.report(web)->reason == web + ".migrate exited with code 3");
  table.take(report(container_phase::exited, 1, "migrate"));
  waiting.reason = "the image w:1 is not here yet";
  table.take(waiting);
  CHECK(table.report(web)->reason == web + ".main waits: the image w:1 is not here yet");
}

TEST_CASE("an init container that fails is why its instance does not run, and only its own starts count as restarts") {
  actors::instance_table table;
  auto plan = plan_of(1, config::restart_type::permanent, {"migrate", "bad", "main"});
  plan.containers[0].init = plan.containers[1].init = true;
  table.expect(plan);
  for (unsigned round = 0; round < 3; ++round) {
    for (const auto* name : {"migrate", "bad", "main"})
      table.take(report(container_phase::starting, 1, name));
    table.take(report(container_phase::running, 1, "migrate"));
    auto passed = report(container_phase::exited, 1, "migrate");
    passed.reason = "exited with code 0";
    table.take(passed);
    table.take(report(container_phase::running, 1, "bad"));
    table.take(report(container_phase::failed, 1, "bad"));
    CHECK(table.report(web)->reason == web + ".bad exited with code 3");
    table.take(report(container_phase::stopping, 1, "main"));
    auto told = report(container_phase::exited, 1, "main");
    told.reason = "it did not run";
    table.take(told);
    CHECK(table.report(web)->reason == web + ".bad exited with code 3");
    CHECK(table.report(web)->restarts == round);
  }
  CHECK(table.cause_of(web) == web + ".bad exited with code 3");
}

TEST_CASE("what a container was told to do is not blamed on it, and the last that ended by itself is why") {
  actors::instance_table table;
  table.expect(plan_of(1, config::restart_type::permanent, {"main", "side"}));
  for (const auto* name : {"main", "side"}) {
    table.take(report(container_phase::starting, 1, name));
    table.take(report(container_phase::running, 1, name));
  }
  CHECK(table.cause_of(web).empty());
  table.take(report(container_phase::stopping, 1, "side"));
  auto told = report(container_phase::exited, 1, "side");
  told.reason = "was killed by signal 9 (SIGKILL)";
  table.take(told);
  CHECK(table.cause_of(web).empty());
  table.take(report(container_phase::failed));
  CHECK(table.cause_of(web) == web + ".main exited with code 3");
  CHECK_FALSE(table.is_adopted(web));
}

TEST_CASE("an instance is adopted when all of its containers were, and no longer when one was started since") {
  actors::instance_table table;
  table.expect(plan_of(1, config::restart_type::permanent, {"main", "side"}));
  for (const auto* name : {"main", "side"}) {
    CHECK_FALSE(table.is_adopted(web));
    table.take(report(container_phase::starting, 1, name));
    table.take(report(container_phase::running, 1, name, true));
  }
  CHECK(table.is_adopted(web));
  table.take(report(container_phase::failed));
  table.take(report(container_phase::starting));
  table.take(report(container_phase::running));
  CHECK_FALSE(table.is_adopted(web));
}

TEST_CASE("reports of another generation or container are not mixed in") {
  actors::instance_table table;
  table.expect(plan_of(2));
  table.take(report(container_phase::running, 1));
  table.take(report(container_phase::running, 2, "ghost"));
  CHECK(table.report(web)->phase == instance_phase::pending);
}

TEST_CASE("an instance that gave up is failed in that generation, and a later one starts clean") {
  actors::instance_table table;
  table.expect(plan_of(1));
  table.give_up(web, "exited too often");
  CHECK(table.report(web)->phase == instance_phase::failed);
  CHECK(table.report(web)->gave_up);
  CHECK(table.has_given_up(web, 1));
  table.expect(plan_of(2));
  CHECK_FALSE(table.has_given_up(web, 1));
  CHECK_FALSE(table.has_given_up(web, 2));
  CHECK(table.report(web)->phase == instance_phase::pending);
}

TEST_CASE("a reason of 1024 bytes is kept, what is longer is cut there") {
  actors::instance_table table;
  table.expect(plan_of(1));
  table.give_up(web, std::string(1'024, 'x'));
  CHECK(table.report(web)->reason.size() == 1'024);
  table.give_up(web, std::string(100'000, 'x'));
  CHECK(table.report(web)->reason.size() == 1'024);
}

TEST_CASE("a transient container that ended well is not waited for, a permanent one is") {
  actors::instance_table table;
  table.expect(plan_of(1, config::restart_type::transient, {"main", "init"}));
  table.take(report(container_phase::running));
  table.take(report(container_phase::exited, 1, "init"));
  CHECK(table.report(web)->phase == instance_phase::running);
  table.expect(plan_of(1, config::restart_type::permanent, {"main", "init"}));
  CHECK(table.report(web)->phase == instance_phase::starting);
}

TEST_CASE("an instance whose containers all ended well and are not started again has finished, until it is told to stop") {
  actors::instance_table table;
  table.expect(plan_of(1, config::restart_type::transient, {"main", "init"}));
  table.take(report(container_phase::running));
  table.take(report(container_phase::exited, 1, "init"));
  table.take(report(container_phase::exited));
  CHECK(table.report(web)->phase == instance_phase::finished);
  table.take(report(container_phase::failed, 1, "init")); // which is started again
  CHECK(table.report(web)->phase == instance_phase::starting);
  table.take(report(container_phase::stopping, 1, "init"));
  table.take(report(container_phase::exited, 1, "init"));
  CHECK(table.report(web)->phase == instance_phase::stopping);
}

TEST_CASE("a temporary container that ended badly is not started again, and its instance has failed") {
  actors::instance_table table;
  table.expect(plan_of(1, config::restart_type::temporary, {"main"}));
  table.take(report(container_phase::running));
  table.take(report(container_phase::failed));
  const auto found = table.report(web);
  CHECK(found->phase == instance_phase::failed);
  CHECK_FALSE(found->gave_up);
  CHECK(found->reason.find("; it is not started again") != std::string::npos);
}

TEST_CASE("a host plans what is assigned to it, without what gave up there") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 2)})});
  site.settle();
  actors::instance_table table;
  actors::assigned_applications assigned{{"shop", site.host_of(web), ""}};
  const auto& plans = assigned.plans(site.state, table);
  REQUIRE(plans.size() == 1);
  REQUIRE(plans.begin()->second.instances.size() == 1);
  CHECK(plans.begin()->second.instances[0].name == web);
  table.expect(plan_of(1));
  table.give_up(web, "exited too often");
  CHECK(assigned.plans(site.state, table).empty());
  table.forget(web);
  CHECK(assigned.plans(site.state, table).size() == 1);
  site.run(actors::delete_application{"default.popcorn"});
  CHECK(assigned.plans(site.state, table).empty());
}

TEST_CASE("a plan that is kept from call to call is the one that would be made anew") {
  small_site site{{host("host-1"), host("host-2")}};
  actors::assigned_applications kept{{"shop", "host-1", ""}};
  const auto check = [&] {
    site.settle();
    actors::assigned_applications anew{{"shop", "host-1", ""}};
    CHECK(kept.plans(site.state, {}) == anew.plans(site.state, {}));
  };
  auto popcorn = application("popcorn", {service("web", 3)});
  site.run(actors::put_application{popcorn});
  site.run(actors::put_application{application("soda", {service("bar", 2)})});
  check();
  popcorn.services[0].containers[0].command = {"sleep", "2000"};
  site.run(actors::put_application{popcorn});
  check();
  site.run(actors::set_host_state{"host-2", false, "silent"});
  check();
  // Deleted and applied again between two looks: the revision counts from 1 once more.
  site.run(actors::delete_application{"default.soda"});
  site.now += 1'000;
  site.run(actors::put_application{application("soda", {service("bar", 2, {200, 1 << 20})})});
  check();
}

TEST_CASE("what is left of an instance may take as long to end as its application asks for, wherever that runs now") {
  small_site site{{host("host-1")}};
  auto spec = application("popcorn", {service("web", 1)});
  spec.services[0].containers[0].grace = std::chrono::seconds{42};
  site.run(actors::put_application{spec});
  const auto container = actors::container_name(web, spec.services[0].containers[0].name);
  CHECK(actors::grace_of(site.state, web, container) == std::chrono::seconds{42});
  CHECK(actors::grace_of(site.state, web, web + ".other") == config::container_spec{}.grace);
  site.run(actors::delete_application{"default.popcorn"});
  CHECK(actors::grace_of(site.state, web, container) == config::container_spec{}.grace);
  CHECK(actors::grace_of(site.state, "no instance", "no container") == config::container_spec{}.grace);
}

TEST_CASE("the containers that the site knows are those of all its instances, wherever they run, and of no deleted application") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 2)})});
  site.settle();
  const auto names = actors::known_containers(site.state);
  REQUIRE(names.size() == 2);
  CHECK(names[0].rfind("default.popcorn.web-1.", 0) == 0);
  CHECK(names[1].rfind("default.popcorn.web-2.", 0) == 0);
  site.run(actors::delete_application{"default.popcorn"});
  CHECK(actors::known_containers(site.state).empty());
}

TEST_CASE("an event's id leads back to its place, and other texts are no ids") {
  storage::journal_position position;
  REQUIRE(actors::parse_event_id(actors::event_id(event(1'793'274'843'042, "till-front-2", 17)), position));
  CHECK(position == storage::journal_position{1'793'274'843'042, "till-front-2", 17});
  for (const auto* text : {"", "-", "--", "1-", "1-2", "x-host-1", "1-host-x", "1--1"}) {
    CAPTURE(text);
    CHECK_FALSE(actors::parse_event_id(text, position));
  }
}

TEST_CASE("events of several hosts come in one order, decisions once, the newest or what follows a place") {
  std::vector<actors::event_view> rows;
  for (const auto& x : {event(30, "host-1", 2), event(10, "site", 1'000), event(20, "host-2", 1), event(10, "site", 1'000),
                        event(10, "host-1", 1)})
    rows.push_back(actors::view_of(x));
  const auto ids = [&](const std::string& after, std::uint32_t limit) {
    std::vector<std::string> result;
    for (const auto& row : actors::merge_events(rows, after, limit))
      result.push_back(row.id);
    return result;
  };
  CHECK(ids("", 10) == std::vector<std::string>{"10-host-1-1", "10-site-1000", "20-host-2-1", "30-host-1-2"});
  CHECK(ids("", 2) == std::vector<std::string>{"20-host-2-1", "30-host-1-2"});
  CHECK(ids("10-host-1-1", 2) == std::vector<std::string>{"10-site-1000", "20-host-2-1"});
  CHECK(ids("30-host-1-2", 2).empty());
}

TEST_CASE("a long text of an event ends at its bound with dots, and never within a character") {
  CHECK(actors::shortened("1234567", 7) == "1234567");
  CHECK(actors::shortened("12345678", 7) == "1234…");
  CHECK(actors::shortened("123ä5678", 7) == "123…");
  CHECK(actors::shortened("\x80\x80\x80\x80\x80", 4) == "…");
}

TEST_CASE("times of other hosts that no clock shows have no text") {
  CHECK(actors::time_text_of(1) == "1970-01-01T00:00:00.001Z");
  CHECK(actors::time_text_of(9'214'646'400'000) == "2262-01-01T00:00:00.000Z");
  for (const auto at : {std::numeric_limits<actors::time_ms>::max(), std::numeric_limits<actors::time_ms>::min(),
                        actors::time_ms{9'223'372'036'855}, actors::time_ms{0}})
    CHECK(actors::time_text_of(at).empty());
}
