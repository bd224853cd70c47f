// Start, shutdown, automatic shutdown and delays of the supervision value; names follow OTP's suite where it has the case.

#include <doctest/doctest.h>

#include "runtime/first_cause.hpp"
#include "tests/runtime/supervision_fixture.hpp"

using namespace prunella;
using namespace prunella::runtime;
using namespace prunella::tests;
using namespace std::chrono_literals;
using config::restart_strategy;
using config::restart_type;
using words = std::vector<std::string>;

TEST_CASE("sup_start: a child starts when the one before it is ready, and the supervisor is ready after the last") {
  supervised_names world{over({"a", "b", "c"})};
  world.slow_to_start = {"b"};
  world.begin();
  CHECK(world.taken() == words{"start a", "start b"});
  world.say_ready("b");
  CHECK(world.taken() == words{"start c", "ready"});
}

TEST_CASE("a supervisor without children is ready at once, and ends at once when asked to") {
  supervised_names world{over({})};
  world.begin();
  CHECK(world.taken() == words{"ready"});
  world.stop();
  CHECK(world.taken() == words{"finish orderly"});
}

TEST_CASE("sup_start_fail: a child that fails its first start fails the supervisor, which stops the started ones") {
  supervised_names world{over({"a", "b", "c"})};
  world.fails_to_start = {"c"};
  world.begin();
  CHECK(world.taken() == words{"start a", "start b", "start c", "stop b", "stop a", "finish failed"});
  CHECK(world.end.code == supervision_errc::start_failed);
  CHECK(world.end.reason == "child 'c': no such file");
  CHECK(world.count(report_kind::restart_scheduled) == 0);
}

TEST_CASE("a child that is not ready one millisecond before its start timeout has time, at the timeout it is killed") {
  auto spec = over({"a", "b"});
  spec.children[1].start_timeout = 300ms;
  supervised_names world{std::move(spec)};
  world.slow_to_start = {"b"};
  world.begin();
  world.advance(299ms);
  CHECK(!world.has_ended);
  world.advance(1ms);
  CHECK(world.taken() == words{"start a", "start b", "kill b", "stop a", "finish failed"});
  CHECK(world.end.reason.find("within 300 ms") != std::string::npos);
}

TEST_CASE("sup_start_ignore_child: a child with nothing to run keeps its spec, a temporary one does not") {
  for (auto type : {restart_type::permanent, restart_type::temporary}) {
    auto spec = over({"a", "b"});
    spec.children[0].restart = type;
    supervised_names world{std::move(spec)};
    world.slow_to_start = {"a"};
    world.begin();
    world.run(world.core.child_ignored(world.alive.at("a"), world.now));
    CHECK(world.running() == words{"b"});
    CHECK(world.core.find_child("a").has_value() == (type == restart_type::permanent));
  }
}

TEST_CASE("sup_stop: children end in reverse order, each after the one behind it has ended") {
  supervised_names world{over({"a", "b", "c"})};
  world.stubborn = {"b"};
  world.begin();
  world.taken();
  world.stop();
  CHECK(world.taken() == words{"stop c", "stop b"});
  world.exit("b", exit_kind::shutdown);
  CHECK(world.taken() == words{"stop a", "finish orderly"});
}

TEST_CASE("sup_stop_timeout: a child that does not end within its grace is killed, not a millisecond sooner") {
  auto spec = over({"a", "b"});
  spec.children[1].shutdown = shutdown_policy::after(1000ms);
  supervised_names world{std::move(spec)};
  world.stubborn = {"b"};
  world.begin();
  world.taken();
  world.stop();
  world.advance(999ms);
  CHECK(world.taken() == words{"stop b"});
  world.advance(1ms);
  CHECK(world.taken() == words{"kill b", "stop a", "finish orderly"});
}

TEST_CASE("sup_stop_brutal_kill: a brutal child is not asked") {
  auto spec = over({"a"});
  spec.children[0].shutdown = shutdown_policy::brutal();
  supervised_names world{std::move(spec)};
  world.begin();
  world.taken();
  world.stop();
  CHECK(world.taken() == words{"kill a", "finish orderly"});
}

TEST_CASE("sup_stop_infinity: a child supervisor is given all the time it needs") {
  auto spec = over({"a"});
  spec.children[0].kind = child_kind::supervisor;
  supervised_names world{std::move(spec)};
  world.stubborn = {"a"};
  world.begin();
  world.taken();
  world.stop();
  world.advance(24h);
  CHECK(world.taken() == words{"stop a"});
  CHECK(!world.has_ended);
}

TEST_CASE("children of a supervisor that stops together are told at once, so their graces do not add up") {
  auto spec = over({"a", "b", "c"});
  spec.order = shutdown_order::together;
  supervised_names world{std::move(spec)};
  world.stubborn = {"a", "b", "c"};
  world.begin();
  world.taken();
  world.stop();
  CHECK(world.taken() == words{"stop c", "stop b", "stop a"});
  world.advance(5000ms);
  CHECK(world.taken() == words{"kill c", "kill b", "kill a", "finish orderly"});
}

TEST_CASE("a child that ends by itself during the shutdown is not restarted, whatever its type") {
  supervised_names world{over({"a", "b", "c"}, restart_strategy::one_for_all)};
  world.stubborn = {"c"};
  world.begin();
  world.taken();
  world.stop();
  world.exit("a");
  world.exit("c");
  CHECK(world.taken() == words{"stop c", "stop b", "finish orderly"});
  CHECK(world.count(report_kind::restart_scheduled) == 0);
}

TEST_CASE("a shutdown during the start interrupts it: what is starting is stopped, the rest never starts") {
  supervised_names world{over({"a", "b", "c"})};
  world.slow_to_start = {"b"};
  world.begin();
  world.taken();
  world.stop();
  CHECK(world.taken() == words{"stop b", "stop a", "finish orderly"});
}

TEST_CASE("a shutdown while a restart waits for its delay does not wait for it") {
  auto spec = over({"a"});
  spec.limit.intensity = 10;
  spec.children[0].backoff = backoff_options{};
  supervised_names world{std::move(spec)};
  world.begin();
  world.exit("a");
  world.exit("a");
  CHECK(world.core.find_child("a")->state == child_state::restarting);
  world.taken();
  world.stop();
  CHECK(world.taken() == words{"finish orderly"});
  world.advance(1h);
  CHECK(world.taken().empty());
}

TEST_CASE("an earlier child that ends while a rest_for_one group stops widens the group, and counts") {
  supervised_names world{over({"a", "b", "c"}, restart_strategy::rest_for_one)};
  world.stubborn = {"c"};
  world.begin();
  world.taken();
  world.exit("b");
  CHECK(world.taken() == words{"stop c"});
  world.exit("a");
  CHECK(world.taken().empty());
  world.exit("c", exit_kind::shutdown);
  CHECK(world.taken() == words{"start a", "start b", "start c"});
  CHECK(world.count(report_kind::restart_scheduled) == 2);
}

TEST_CASE("a member that ends by itself while its group is being stopped does not count") {
  supervised_names world{over({"a", "b", "c"}, restart_strategy::one_for_all)};
  world.stubborn = {"c"};
  world.begin();
  world.exit("b");
  world.exit("a");
  world.exit("c", exit_kind::abnormal);
  CHECK(world.count(report_kind::restart_scheduled) == 1);
  CHECK(world.running() == words{"a", "b", "c"});
}

TEST_CASE("a killed child that does not end makes the supervisor give up instead of starting a second one beside it") {
  auto spec = over({"a", "b"});
  spec.kill_timeout = 2000ms;
  supervised_names world{std::move(spec)};
  world.stubborn = world.unkillable = {"b"};
  world.begin();
  world.run(world.core.terminate_child(7, "b", world.now));
  world.advance(5000ms + 1999ms);
  CHECK(world.replies.empty());
  world.advance(1ms);
  CHECK(world.replies.at(7).code == supervision_errc::unkillable);
  CHECK(world.has_ended);
  CHECK(world.end.code == supervision_errc::unkillable);
  CHECK(world.count(report_kind::abandoned) == 1);
}

TEST_CASE("backoff: the first restart is immediate, then 100 ms, 200 ms, other children are not delayed") {
  auto spec = over({"a", "b"});
  spec.limit.intensity = 100;
  spec.children[0].backoff = backoff_options{};
  supervised_names world{std::move(spec)};
  world.begin();
  world.taken();
  world.exit("a");
  CHECK(world.taken() == words{"start a"});
  world.exit("a");
  world.exit("b");
  CHECK(world.taken() == words{"start b"});
  world.advance(99ms);
  CHECK(world.taken().empty());
  world.advance(1ms);
  CHECK(world.taken() == words{"start a"});
  world.exit("a");
  world.advance(199ms);
  CHECK(world.taken().empty());
  world.advance(1ms);
  CHECK(world.taken() == words{"start a"});
}

TEST_CASE("backoff of a group: the others stop at once, and all start after the delay") {
  auto spec = over({"a", "b"}, restart_strategy::one_for_all);
  spec.limit.intensity = 100;
  spec.children[0].backoff = backoff_options{};
  supervised_names world{std::move(spec)};
  world.begin();
  world.exit("a");
  world.taken();
  world.exit("a");
  CHECK(world.taken() == words{"stop b"});
  world.advance(99ms);
  CHECK(world.taken().empty());
  world.advance(1ms);
  CHECK(world.taken() == words{"start a", "start b"});
}

TEST_CASE("a supervisor that is to spare its children's work kills them when it gives up, and asks them when it is stopped") {
  auto spec = over({"a", "b", "c"});
  spec.limit = {1, 5s};
  spec.kills_on_give_up = true;
  SUBCASE("gives up") {
    supervised_names world{std::move(spec)};
    world.begin();
    world.exit("b");
    world.taken();
    world.exit("b");
    CHECK(world.taken() == words{"kill c", "kill a", "finish failed"});
  }
  SUBCASE("is stopped") {
    supervised_names world{std::move(spec)};
    world.begin();
    world.taken();
    world.stop();
    CHECK(world.taken() == words{"stop c", "stop b", "stop a", "finish orderly"});
  }
}

TEST_CASE(
    "significant_upgrade: any_significant ends the supervisor when one ends by itself, not when it is restarted") {
  auto spec = over({"a", "b"});
  spec.auto_shutdown = auto_shutdown::any_significant;
  spec.children[1].restart = restart_type::transient;
  spec.children[1].significant = true;
  supervised_names world{std::move(spec)};
  world.begin();
  world.exit("b", exit_kind::abnormal);
  CHECK(!world.has_ended);
  world.exit("b", exit_kind::normal);
  CHECK(world.has_ended);
  CHECK(world.end.code == supervision_errc::none);
  CHECK(world.alive.empty());
}

TEST_CASE("all_significant: the supervisor ends with the last of them, terminate_child of one does not count") {
  auto spec = over({"a", "b", "c"});
  spec.auto_shutdown = auto_shutdown::all_significant;
  for (std::size_t i : {std::size_t{1}, std::size_t{2}}) {
    spec.children[i].restart = restart_type::temporary;
    spec.children[i].significant = true;
  }
  SUBCASE("both end by themselves") {
    supervised_names world{spec};
    world.begin();
    world.exit("b", exit_kind::abnormal);
    CHECK(!world.has_ended);
    world.exit("c", exit_kind::normal);
    CHECK(world.has_ended);
  }
  SUBCASE("the last is terminated on request") {
    supervised_names world{spec};
    world.begin();
    world.exit("b", exit_kind::abnormal);
    world.run(world.core.terminate_child(1, "c", world.now));
    CHECK(!world.has_ended);
  }
  SUBCASE("the first ends while the other has not been started yet") {
    std::swap(spec.children[0], spec.children[1]); // b, a, c
    supervised_names world{spec};
    world.slow_to_start = {"a"};
    world.begin();
    world.exit("b", exit_kind::normal);
    CHECK(!world.has_ended);
    world.say_ready("a");
    CHECK(world.running() == words{"a", "c"});
    world.exit("c", exit_kind::normal);
    CHECK(world.has_ended);
  }
}

TEST_CASE("events of an incarnation that is no more change nothing") {
  supervised_names world{over({"a"})};
  world.begin();
  const auto old = world.alive.at("a");
  world.exit("a");
  world.taken();
  CHECK(world.core.child_exited(old, {exit_kind::abnormal, "again"}, world.now).empty());
  CHECK(world.core.child_ready(old, world.now).empty());
  CHECK(world.core.child_start_failed(old, "late", world.now).empty());
  CHECK(world.core.timer_elapsed(old, world.now).empty());
  CHECK(world.running() == words{"a"});
}

TEST_CASE("sup_flags: what is refused in a supervisor's spec, all of it at once and each with what would be right") {
  auto spec = over({"a", "a", ""});
  spec.limit.period = 0ms;
  spec.kill_timeout = 0ms;
  spec.children[0].significant = true;
  spec.children[0].backoff = backoff_options{200ms, 100ms, 0ms, 2};
  const auto problems = problems_of(spec);
  for (const auto* part : {"limit.period", "kill_timeout", "auto_shutdown is never", "significant and permanent",
                           "backoff.max", "backoff.calm", "backoff.jitter", "used twice", "no id"}) {
    CAPTURE(part);
    CHECK(joined(problems).find(part) != std::string::npos);
  }
  CHECK(problems_of(over({"a", "b"})).empty());
}

TEST_CASE("the first cause is what stands behind the words of every supervisor it climbed") {
  CHECK(first_cause("the disk is full") == "the disk is full");
  CHECK(first_cause("") == "");
  CHECK(first_cause("a child could not be started: child 'core': it ended before it was ready: a child could not be started: "
                    "child 'log': it ended before it was ready: the log is damaged: cut short") == "the log is damaged: cut short");
  CHECK(first_cause("a child could not be started: child 'core': it ended before it was ready: a child could not be started: "
                    "child 'consensus': its start function threw: no such file") == "no such file");
  CHECK(first_cause("the supervisor gave up: its children needed more restarts than its intensity allows: more than 10 restarts "
                    "within 60000 ms; the last was of child 'journal': a child could not be started: not ours") == "not ours");
  CHECK(first_cause("the supervisor gave up: its children needed more restarts than its intensity allows: more than 5 restarts "
                    "within 60000 ms; the last was of child 'log': the disk failed") == "the disk failed");
}
