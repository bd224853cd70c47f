// Requests to the supervision value: children that come and go while it runs; names follow OTP's suite where it has the case.

#include <doctest/doctest.h>

#include "tests/runtime/supervision_fixture.hpp"

using namespace prunella;
using namespace prunella::runtime;
using namespace prunella::tests;
using namespace std::chrono_literals;
using config::restart_strategy;
using config::restart_type;
using words = std::vector<std::string>;

TEST_CASE("child_adm: a child is added, terminated, restarted, terminated and deleted") {
  supervised_names world{over({})};
  world.begin();
  world.run(world.core.start_child(1, child("x"), world.now));
  CHECK(world.replies.at(1).code == supervision_errc::none);
  world.run(world.core.start_child(2, child("x"), world.now));
  CHECK(world.replies.at(2).code == supervision_errc::already_started);
  world.run(world.core.delete_child(3, "x", world.now));
  CHECK(world.replies.at(3).code == supervision_errc::running);
  world.run(world.core.restart_child(4, "x", world.now));
  CHECK(world.replies.at(4).code == supervision_errc::running);
  world.run(world.core.terminate_child(5, "x", world.now));
  CHECK(world.replies.at(5).code == supervision_errc::none);
  CHECK(world.core.find_child("x")->state == child_state::stopped);
  world.run(world.core.start_child(6, child("x"), world.now));
  CHECK(world.replies.at(6).code == supervision_errc::already_present);
  world.run(world.core.restart_child(7, "x", world.now));
  CHECK(world.replies.at(7).code == supervision_errc::none);
  world.run(world.core.terminate_child(8, "x", world.now));
  world.run(world.core.delete_child(9, "x", world.now));
  CHECK(world.replies.at(9).code == supervision_errc::none);
  for (std::uint64_t request : {10, 11, 12}) {
    world.run(request == 10   ? world.core.terminate_child(request, "x", world.now)
              : request == 11 ? world.core.restart_child(request, "x", world.now)
                              : world.core.delete_child(request, "x", world.now));
    CHECK(world.replies.at(request).code == supervision_errc::not_found);
  }
  CHECK(world.count(report_kind::restart_scheduled) == 0);
}

TEST_CASE("start_child of a child that fails is refused with the reason, not kept and not counted") {
  auto spec = over({"a"});
  spec.limit.intensity = 0;
  supervised_names world{std::move(spec)};
  world.fails_to_start = {"x"};
  world.begin();
  world.run(world.core.start_child(1, child("x"), world.now));
  CHECK(world.replies.at(1).code == supervision_errc::start_failed);
  CHECK(world.replies.at(1).text == "no such file");
  CHECK(!world.core.find_child("x"));
  CHECK(!world.has_ended);
}

TEST_CASE("restart_child of a child that fails is refused, and its spec stays") {
  supervised_names world{over({"a"})};
  world.begin();
  world.run(world.core.terminate_child(1, "a", world.now));
  world.fails_to_start = {"a"};
  world.run(world.core.restart_child(2, "a", world.now));
  CHECK(world.replies.at(2).code == supervision_errc::start_failed);
  CHECK(world.core.find_child("a")->state == child_state::stopped);
  CHECK(!world.has_ended);
}

TEST_CASE("terminate_child of a temporary child removes its spec, of a restarting one ends the row of restarts") {
  auto spec = over({"t", "a"});
  spec.limit.intensity = 100;
  spec.children[0].restart = restart_type::temporary;
  spec.children[1].backoff = backoff_options{};
  supervised_names world{std::move(spec)};
  world.begin();
  world.run(world.core.terminate_child(1, "t", world.now));
  CHECK(!world.core.find_child("t"));
  world.exit("a");
  world.exit("a");
  world.run(world.core.restart_child(2, "a", world.now));
  CHECK(world.replies.at(2).code == supervision_errc::restarting);
  world.run(world.core.delete_child(3, "a", world.now));
  CHECK(world.replies.at(3).code == supervision_errc::restarting);
  world.run(world.core.terminate_child(4, "a", world.now));
  CHECK(world.replies.at(4).code == supervision_errc::none);
  world.taken();
  world.advance(1h);
  CHECK(world.taken().empty());
  CHECK(world.core.find_child("a")->state == child_state::stopped);
}

TEST_CASE("terminate_child of a child that is still starting refuses whoever waits for its start") {
  supervised_names world{over({})};
  world.slow_to_start = {"x"};
  world.begin();
  world.run(world.core.start_child(1, child("x"), world.now));
  CHECK(world.replies.count(1) == 0);
  world.run(world.core.terminate_child(2, "x", world.now));
  CHECK(world.replies.at(1).code == supervision_errc::terminated);
  CHECK(world.replies.at(2).code == supervision_errc::none);
}

TEST_CASE("a brutal terminate_child kills whatever the shutdown policy, also a child that was asked to stop before") {
  supervised_names world{over({"a", "b"})};
  world.stubborn = {"b"};
  world.begin();
  world.taken();
  world.run(world.core.terminate_child(1, "a", world.now, true));
  CHECK(world.taken() == words{"kill a"});
  CHECK(world.replies.at(1).code == supervision_errc::none);
  CHECK(world.core.find_child("a")->state == child_state::stopped);
  world.run(world.core.terminate_child(2, "b", world.now));
  CHECK(world.taken() == words{"stop b"});
  world.run(world.core.terminate_child(3, "b", world.now, true));
  CHECK(world.taken() == words{"kill b"});
  CHECK(world.replies.at(2).code == supervision_errc::none);
  CHECK(world.replies.at(3).code == supervision_errc::none);
}

TEST_CASE("the sixteenth request waits for a child's end, the seventeenth is refused") {
  supervised_names world{over({"a"})};
  world.stubborn = {"a"};
  world.begin();
  for (std::uint64_t request = 1; request <= 17; ++request)
    world.run(world.core.terminate_child(request, "a", world.now));
  CHECK(world.replies.size() == 1);
  CHECK(world.replies.at(17).code == supervision_errc::too_many_waiting);
  world.exit("a", exit_kind::shutdown);
  CHECK(world.replies.size() == 17);
  CHECK(world.replies.at(16).code == supervision_errc::none);
}

TEST_CASE("requests to a supervisor that shuts down are refused, and those that wait for a start as well") {
  supervised_names world{over({"a"})};
  world.stubborn = {"a"};
  world.slow_to_start = {"x"};
  world.begin();
  world.run(world.core.start_child(1, child("x"), world.now));
  world.stop();
  CHECK(world.replies.at(1).code == supervision_errc::shutting_down);
  world.run(world.core.start_child(2, child("y"), world.now));
  world.run(world.core.terminate_child(3, "a", world.now));
  world.run(world.core.restart_child(4, "a", world.now));
  world.run(world.core.delete_child(5, "a", world.now));
  for (std::uint64_t request : {2, 3, 4, 5})
    CHECK(world.replies.at(request).code == supervision_errc::shutting_down);
}

TEST_CASE("one child more than max_children is refused, an invalid spec is refused with all its problems") {
  auto spec = over({"a"});
  spec.max_children = 2;
  supervised_names world{std::move(spec)};
  world.begin();
  world.run(world.core.start_child(1, child("b"), world.now));
  CHECK(world.replies.at(1).code == supervision_errc::none);
  world.run(world.core.start_child(2, child("c"), world.now));
  CHECK(world.replies.at(2).code == supervision_errc::too_many_children);
  auto bad = child("x/y");
  bad.start_timeout = 0ms;
  world.run(world.core.start_child(3, bad, world.now));
  CHECK(world.replies.at(3).code == supervision_errc::invalid_spec);
  CHECK(world.replies.at(3).text.find("'/'") != std::string::npos);
  CHECK(world.replies.at(3).text.find("start_timeout") != std::string::npos);
}

TEST_CASE("start_child during the ordered start waits for its turn") {
  supervised_names world{over({"a", "b"}, restart_strategy::rest_for_one)};
  world.slow_to_start = {"a"};
  world.begin();
  world.run(world.core.start_child(1, child("c"), world.now));
  CHECK(world.taken() == words{"start a"});
  world.say_ready("a");
  CHECK(world.taken() == words{"start b", "start c", "ready"});
  CHECK(world.replies.at(1).code == supervision_errc::none);
}

TEST_CASE("who waits for the start of a temporary child is told when a group restart ends it first") {
  supervised_names world{over({"a"}, restart_strategy::one_for_all)};
  world.slow_to_start = {"t"};
  world.begin();
  world.run(world.core.start_child(1, child("t", restart_type::temporary), world.now));
  world.exit("a");
  CHECK(world.replies.at(1).code == supervision_errc::terminated);
  CHECK(world.running() == words{"a"});
}

TEST_CASE(
    "a child terminated on request stays down through the group restart that is under way, as if asked after it") {
  supervised_names world{over({"a", "b", "c"}, restart_strategy::one_for_all)};
  world.stubborn = {"c"};
  world.begin();
  world.exit("a");
  world.run(world.core.terminate_child(1, "b", world.now));
  world.exit("c", exit_kind::shutdown);
  CHECK(world.running() == words{"a", "c"});
  CHECK(world.core.find_child("b")->state == child_state::stopped);
}

TEST_CASE("a child terminated while its group stops stays down also when an earlier child widens the group") {
  supervised_names world{over({"a", "b", "c", "d"}, restart_strategy::rest_for_one)};
  world.stubborn = {"d"};
  world.begin();
  world.exit("b");
  world.run(world.core.terminate_child(1, "c", world.now));
  world.exit("a");
  world.exit("d", exit_kind::shutdown);
  CHECK(world.running() == words{"a", "b", "d"});
  CHECK(world.core.find_child("c")->state == child_state::stopped);
}

TEST_CASE("restart_child while the group is being stopped takes its place in the start that follows") {
  supervised_names world{over({"a", "b", "c"}, restart_strategy::one_for_all)};
  world.stubborn = {"c"};
  world.begin();
  world.exit("a");
  world.run(world.core.terminate_child(1, "b", world.now));
  world.taken();
  world.run(world.core.restart_child(2, "b", world.now));
  CHECK(world.taken().empty());
  world.exit("c", exit_kind::shutdown);
  CHECK(world.taken() == words{"start a", "start b", "start c"});
  CHECK(world.replies.at(2).code == supervision_errc::none);
}

TEST_CASE("count_children counts specs, actors, supervisors and workers") {
  auto spec = over({"a", "b", "c"});
  spec.children[2].kind = child_kind::supervisor;
  supervised_names world{std::move(spec)};
  world.begin();
  world.run(world.core.terminate_child(1, "b", world.now));
  CHECK(world.core.count_children() == child_counts{3, 2, 1, 2});
}
