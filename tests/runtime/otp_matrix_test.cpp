// The matrix of Erlang/OTP's supervisor_SUITE: what is restarted after which end. Names as there.

#include <doctest/doctest.h>

#include "tests/runtime/supervision_fixture.hpp"

using namespace prunella;
using namespace prunella::runtime;
using namespace prunella::tests;
using config::restart_strategy;
using config::restart_type;
using words = std::vector<std::string>;

namespace {

struct row {
  const char* name;
  restart_type type;
  exit_kind end;
  bool is_restarted;
  bool spec_is_kept;
};

constexpr row rows[] = {
    {"permanent_normal", restart_type::permanent, exit_kind::normal, true, true},
    {"permanent_shutdown", restart_type::permanent, exit_kind::shutdown, true, true},
    {"permanent_abnormal", restart_type::permanent, exit_kind::abnormal, true, true},
    {"permanent_killed", restart_type::permanent, exit_kind::killed, true, true},
    {"transient_normal", restart_type::transient, exit_kind::normal, false, true},
    {"transient_shutdown", restart_type::transient, exit_kind::shutdown, false, true},
    {"transient_abnormal", restart_type::transient, exit_kind::abnormal, true, true},
    {"transient_killed", restart_type::transient, exit_kind::killed, true, true},
    {"temporary_normal", restart_type::temporary, exit_kind::normal, false, false},
    {"temporary_shutdown", restart_type::temporary, exit_kind::shutdown, false, false},
    {"temporary_abnormal", restart_type::temporary, exit_kind::abnormal, false, false},
    {"temporary_killed", restart_type::temporary, exit_kind::killed, false, false},
};

/// The middle one of three children is the one under test.
supervised_names three(restart_strategy strategy, restart_type middle) {
  auto spec = over({"a", "b", "c"}, strategy);
  spec.children[1].restart = middle;
  supervised_names world{std::move(spec)};
  world.begin();
  world.taken();
  return world;
}

} // namespace

TEST_CASE("one_for_one: the matrix of restart types and ends, nobody else is touched") {
  for (const auto& r : rows) {
    CAPTURE(r.name);
    auto world = three(restart_strategy::one_for_one, r.type);
    world.exit("b", r.end);
    CHECK(world.taken() == (r.is_restarted ? words{"start b"} : r.spec_is_kept ? words{} : words{"forget b"}));
    CHECK(world.core.find_child("b").has_value() == r.spec_is_kept);
    CHECK(world.count(report_kind::restart_scheduled) == (r.is_restarted ? 1u : 0u));
    CHECK(!world.has_ended);
  }
}

TEST_CASE("one_for_all: the matrix, a restart stops the others in reverse order and starts all in order") {
  for (const auto& r : rows) {
    CAPTURE(r.name);
    auto world = three(restart_strategy::one_for_all, r.type);
    world.exit("b", r.end);
    CHECK(world.taken() == (r.is_restarted   ? words{"stop c", "stop a", "start a", "start b", "start c"}
                            : r.spec_is_kept ? words{}
                                             : words{"forget b"}));
  }
}

TEST_CASE("rest_for_one: the matrix, a restart stops and starts only those after the child") {
  for (const auto& r : rows) {
    CAPTURE(r.name);
    auto world = three(restart_strategy::rest_for_one, r.type);
    world.exit("b", r.end);
    CHECK(world.taken() == (r.is_restarted   ? words{"stop c", "start b", "start c"}
                            : r.spec_is_kept ? words{}
                                             : words{"forget b"}));
  }
}

TEST_CASE("temporary_bystander: a group restart ends a temporary child and does not start it again") {
  for (auto strategy : {restart_strategy::one_for_all, restart_strategy::rest_for_one}) {
    auto spec = over({"a", "b", "c"}, strategy);
    spec.children[1].restart = restart_type::temporary;
    supervised_names world{std::move(spec)};
    world.begin();
    world.taken();
    world.exit("a");
    CHECK(world.taken() == words{"stop c", "stop b", "forget b", "start a", "start c"});
    CHECK(world.core.count_children().specs == 2);
  }
}

TEST_CASE("one_for_one_escalation: the third restart within the period of a limit of two ends the supervisor") {
  auto world = three(restart_strategy::one_for_one, restart_type::permanent);
  world.exit("a");
  world.exit("b");
  CHECK(!world.has_ended);
  world.taken();
  world.exit("c", exit_kind::abnormal, "disk full");
  CHECK(world.taken() == words{"stop b", "stop a", "finish failed"});
  CHECK(world.end.code == supervision_errc::gave_up);
  CHECK(world.end.reason.find("child 'c': disk full") != std::string::npos);
}

TEST_CASE("one_for_all_escalation and rest_for_one_escalation: a group restart counts once, the third is too many") {
  for (auto strategy : {restart_strategy::one_for_all, restart_strategy::rest_for_one}) {
    auto world = three(strategy, restart_type::permanent);
    world.exit("a");
    world.exit("a");
    CHECK(!world.has_ended);
    world.taken();
    world.exit("a");
    CHECK(world.taken() == words{"stop c", "stop b", "finish failed"});
    CHECK(world.count(report_kind::gave_up) == 1);
  }
}

TEST_CASE("multiple_restarts: restarts spread out so that no period holds three go on for ever") {
  auto spec = over({"a"});
  spec.limit = {2, std::chrono::milliseconds{1000}};
  supervised_names world{std::move(spec)};
  world.begin();
  for (int i = 0; i < 1000; ++i) {
    world.exit("a");
    REQUIRE(!world.has_ended);
    world.advance(std::chrono::milliseconds{501});
  }
  CHECK(world.core.find_child("a")->restarts == 1000);
}

TEST_CASE("a restart exactly one period old still counts, one millisecond older does not") {
  for (auto extra : {0, 1}) {
    CAPTURE(extra);
    auto spec = over({"a"});
    spec.limit = {1, std::chrono::milliseconds{1000}};
    supervised_names world{std::move(spec)};
    world.begin();
    world.exit("a");
    world.advance(std::chrono::milliseconds{1000 + extra});
    world.exit("a");
    CHECK(world.has_ended == (extra == 0));
  }
}

TEST_CASE("an intensity of zero allows no restart at all") {
  auto spec = over({"a"});
  spec.limit.intensity = 0;
  supervised_names world{std::move(spec)};
  world.begin();
  world.exit("a");
  CHECK(world.end.code == supervision_errc::gave_up);
}

TEST_CASE("one_for_all_other_child_fails_restart: the child that fails counts, and the whole group is tried again") {
  auto world = three(restart_strategy::one_for_all, restart_type::permanent);
  world.slow_to_start = {"b"};
  world.exit("c");
  CHECK(world.taken() == words{"stop b", "stop a", "start a", "start b"});
  world.exit("b", exit_kind::abnormal, "cannot bind");
  // All start again; `b` is slow again and now succeeds, so `c` follows.
  CHECK(world.taken() == words{"stop a", "start a", "start b"});
  world.say_ready("b");
  CHECK(world.taken() == words{"start c"});
  CHECK(world.running() == words{"a", "b", "c"});
  CHECK(world.core.find_child("b")->restarts == 1);
  CHECK(world.core.find_child("c")->restarts == 1);
}

TEST_CASE("rest_for_one_other_child_fails_restart: only the child that fails and those after it are tried again") {
  auto world = three(restart_strategy::rest_for_one, restart_type::permanent);
  world.slow_to_start = {"b"};
  world.exit("a");
  CHECK(world.taken() == words{"stop c", "stop b", "start a", "start b"});
  world.exit("b", exit_kind::abnormal, "cannot bind");
  CHECK(world.taken() == words{"start b"});
  world.say_ready("b");
  CHECK(world.taken() == words{"start c"});
  CHECK(world.running() == words{"a", "b", "c"});
}

TEST_CASE("hanging_restart_loop: a child that can never be restarted uses up the intensity and the supervisor ends") {
  auto world = three(restart_strategy::one_for_one, restart_type::permanent);
  world.fails_to_start = {"b"};
  world.exit("b");
  CHECK(world.has_ended);
  CHECK(world.end.code == supervision_errc::gave_up);
  CHECK(world.end.reason.find("no such file") != std::string::npos);
  CHECK(world.alive.empty());
}
