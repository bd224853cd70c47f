// The driver of processes as an actor, with real ones: starts, stops and what it answers meanwhile.

#include <doctest/doctest.h>

#include <csignal>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "tests/actors/process_driver_fixture.hpp"

using namespace prunella::tests;

TEST_CASE_FIXTURE(process_driver_under_test, "a container runs with its environment in its own folder, and its end reaches the owner") {
  const auto started = start(order("echo $GREETING $PRUNELLA_CONTAINER; pwd; echo oops >&2; exit 3"));
  REQUIRE_FALSE(error);
  CHECK(started.generation == 1);
  CHECK(started.pid > 0);
  CHECK_FALSE(started.adopted);
  const auto exited = next_exit();
  CHECK(exited.known);
  CHECK(exited.exit_code == 3);
  CHECK(exited.instance == "default.shop.web-1");
  CHECK(exited.pid == started.pid);
  CHECK_FALSE(exited.stopped);
  CHECK(output() == "hello default.shop.web-1.server\n" + container_folder(data.path(), exited.name) + "/work\n");
  CHECK(lines_of(log(), "stderr") == "oops\n");
  CHECK(records->list()->empty());
}

TEST_CASE_FIXTURE(process_driver_under_test, "kill -9 of a container is an exit by signal 9, noticed at once") {
  const auto started = start(order("exec sleep 1000"));
  REQUIRE_FALSE(error);
  const auto begin = std::chrono::steady_clock::now();
  ::kill(to_pid(started), SIGKILL);
  const auto exited = next_exit();
  const std::chrono::duration<double, std::milli> noticed = std::chrono::steady_clock::now() - begin;
  MESSAGE("death of a process to message: ", noticed.count(), " ms");
  CHECK(exited.signal == SIGKILL);
  CHECK_FALSE(exited.stopped);
  CHECK(noticed < 1s);
}

TEST_CASE_FIXTURE(process_driver_under_test, "what a container leaves in its process group when it exits by itself is killed") {
  start(order("trap '' TERM; sleep 1000 & echo $!; exit 0"));
  CHECK(next_exit().exit_code == 0);
  const auto left = static_cast<pid_t>(std::stoi(output()));
  CHECK(eventually([&] { return is_gone(left); }));
}

TEST_CASE_FIXTURE(process_driver_under_test, "the same order again adopts what runs, a changed spec of the same generation replaces it") {
  const auto first = start(order("exec sleep 1000"));
  const auto second = start(order("exec sleep 1000"));
  CHECK(second.adopted);
  CHECK(second.pid == first.pid);
  CHECK(second.started_at_ms == first.started_at_ms);
  const auto third = start(order("exec sleep 999"));
  REQUIRE_FALSE(error);
  CHECK_FALSE(third.adopted);
  CHECK(third.pid != first.pid);
  CHECK(is_gone(to_pid(first)));
  CHECK(next_exit().stopped);
  stop();
}

TEST_CASE_FIXTURE(process_driver_under_test, "a newer generation ends the older one first, an older one is refused and disturbs nothing") {
  const auto first = start(order("exec sleep 1000", 1));
  const auto second = start(order("exec sleep 1000", 2));
  REQUIRE_FALSE(error);
  CHECK(is_gone(to_pid(first)));
  CHECK(next_exit().generation == 1);
  start(order("exec sleep 1000", 1));
  CHECK(is_driver_error(error, driver_errc::stale_generation));
  stop(1);
  CHECK(is_driver_error(error, driver_errc::stale_generation));
  stop(3);
  CHECK(is_driver_error(error, driver_errc::not_running));
  CHECK_FALSE(is_gone(to_pid(second)));
  CHECK(stop(2).generation == 2);
}

TEST_CASE_FIXTURE(process_driver_under_test, "a polite process ends by SIGTERM within its grace and with its own code") {
  start(order("trap 'exit 7' TERM; echo ready; while :; do sleep 0.01; done"));
  REQUIRE(has_output("ready"));
  const auto exited = stop(1, 20s);
  CHECK(exited.exit_code == 7);
  CHECK(exited.signal == 0);
  CHECK(exited.stopped);
  CHECK(next_exit().exit_code == 7); // the owner is told as well
  stop();
  CHECK(is_driver_error(error, driver_errc::not_running));
}

TEST_CASE_FIXTURE(process_driver_under_test, "a process that ignores SIGTERM is killed when its grace is over, not before") {
  start(order("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  REQUIRE(has_output("ready"));
  const auto begin = std::chrono::steady_clock::now();
  CHECK(stop(1, 300ms).signal == SIGKILL);
  CHECK(std::chrono::steady_clock::now() - begin >= 300ms);
}

TEST_CASE_FIXTURE(process_driver_under_test, "a grace of zero kills at once, and a second stop with a shorter grace shortens the first") {
  start(order("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  REQUIRE(has_output("ready"));
  self->send(driver, stop_container{order("").name, 1, 1h});
  CHECK(stop(1, 0ms).signal == SIGKILL);
}

TEST_CASE_FIXTURE(process_driver_under_test, "a stop leaves nothing behind, not even a daemon that made its own session") {
  start(order("sh -c 'trap \"\" TERM; sleep 1000' & setsid sleep 1000 & sleep 0.05; echo ready; exec sleep 1000"));
  REQUIRE(has_output("ready"));
  CHECK(find_marked_processes(data.path()).size() >= 3);
  stop();
  CHECK_FALSE(error);
  CHECK(eventually([&] { return find_marked_processes(data.path()).empty(); }));
}

TEST_CASE_FIXTURE(process_driver_under_test, "a command that does not exist is refused with a sentence, and nothing is left of the start") {
  auto wanted = order("");
  wanted.spec.command = {"no-such-program"};
  start(wanted);
  CHECK(is_driver_error(error, driver_errc::command_not_found));
  CHECK(prunella::runtime::reason_text(error).find("`no-such-program` was not found in PATH=") != std::string::npos);
  ask<container_prepared>(prepare_container{wanted});
  CHECK(is_driver_error(error, driver_errc::command_not_found));
  ask<container_prepared>(prepare_container{order("true")});
  CHECK_FALSE(error);
  CHECK(records->list()->empty());
  CHECK(ask<recovered_containers>(recover_containers{}).containers.empty());
}

TEST_CASE_FIXTURE(process_driver_under_test, "a start whose record cannot be kept is undone") {
  records->set_full(true);
  start(order("exec sleep 1000"));
  CHECK(is_driver_error(error, driver_errc::record_failed));
  CHECK(find_marked_processes(data.path()).empty());
}

TEST_CASE_FIXTURE(process_driver_under_test, "the fifth container of a driver for four is refused") {
  for (int i = 0; i < 4; ++i) {
    auto wanted = order("exec sleep 1000");
    wanted.name += std::to_string(i);
    start(wanted);
    CHECK_FALSE(error);
  }
  start(order("exec sleep 1000"));
  CHECK(is_driver_error(error, driver_errc::too_many));
  tell(stop_all_containers{1s});
  CHECK_FALSE(error);
  CHECK(find_marked_processes(data.path()).empty());
}

TEST_CASE_FIXTURE(process_driver_under_test, "a start waits for the stop of its predecessor, and a newer start takes its place") {
  start(order("trap '' TERM; echo ready; while :; do sleep 0.01; done", 1));
  REQUIRE(has_output("ready"));
  auto second = self->request(driver, 20s, start_container{order("exec sleep 1000", 2)});
  auto third = self->request(driver, 20s, start_container{order("exec sleep 1000", 3)});
  second.receive([](container_started&) { FAIL("generation 2 was started"); },
                 [](caf::error& why) { CHECK(is_driver_error(why, driver_errc::superseded)); });
  self->send(driver, stop_container{order("").name, 1, 0ms}); // the old owner's own stop must not cancel the third
  third.receive([](container_started& started) { CHECK(started.generation == 3); },
                [](caf::error& why) { FAIL(prunella::runtime::reason_text(why)); });
  stop(3);
}

TEST_CASE_FIXTURE(process_driver_under_test, "signals, waiting and statistics reach the right container") {
  start(order("trap 'echo got it' USR1; echo ready; sleep 1000 & while :; do sleep 0.01; done"));
  REQUIRE(has_output("ready"));
  tell(signal_container{order("").name, 1, SIGUSR1});
  CHECK_FALSE(error);
  CHECK(has_output("got it"));
  tell(signal_container{order("").name, 1, 4711});
  CHECK(is_driver_error(error, driver_errc::invalid_request));
  tell(signal_container{order("").name, 2, SIGUSR1});
  CHECK(is_driver_error(error, driver_errc::not_running));
  const auto stats = ask<container_stats_list>(get_container_stats{});
  REQUIRE(stats.containers.size() == 1);
  CHECK(stats.containers[0].processes >= 2);
  CHECK(stats.containers[0].rss_bytes > 100 * 1024);
  ask<container_stats_list>(get_container_stats{"nobody"});
  CHECK(is_driver_error(error, driver_errc::not_running));
  auto waiting = self->request(driver, 20s, wait_container{order("").name, 1});
  stop(1, 0ms);
  waiting.receive([](container_exited& exited) { CHECK(exited.signal == SIGKILL); },
                  [](caf::error& why) { FAIL(prunella::runtime::reason_text(why)); });
}
