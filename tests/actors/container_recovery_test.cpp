// What the driver of processes finds again after it was away, with real ones.

#include <doctest/doctest.h>

#include <csignal>
#include <fstream>

#include "actors/instance/container_folder.hpp"
#include "tests/actors/process_driver_fixture.hpp"

using namespace prunella::tests;

TEST_CASE_FIXTURE(process_driver_under_test, "a fresh driver adopts the running process with the same pid and learns how it ends") {
  const auto first = start(order("while [ ! -e go ]; do sleep 0.01; done; exit 5"));
  REQUIRE_FALSE(error);
  crash_driver();
  const auto found = ask<recovered_containers>(recover_containers{});
  REQUIRE(found.containers.size() == 1);
  CHECK(found.containers[0].pid == first.pid);
  CHECK(found.containers[0].instance == "default.shop.web-1");
  CHECK(ask<recovered_containers>(recover_containers{true}) == found);
  const auto adopted = ask<container_started>(adopt_container{order("other")});
  CHECK(is_driver_error(error, driver_errc::not_running));
  const auto again = start(order("while [ ! -e go ]; do sleep 0.01; done; exit 5"));
  CHECK(again.adopted);
  CHECK(ask<recovered_containers>(recover_containers{true}).containers.empty()); // we own it now
  CHECK(again.pid == first.pid);
  CHECK(again.start_ticks == first.start_ticks);
  CHECK(again.started_at_ms == first.started_at_ms);
  std::ofstream{container_folder(data.path(), first.name) + "/work/go"} << "now";
  const auto exited = next_exit();
  CHECK(exited.known);
  CHECK(exited.exit_code == 5);
}

TEST_CASE_FIXTURE(process_driver_under_test, "a process that ended while no driver was there is not adopted and starts afresh") {
  const auto first = start(order("exec sleep 1000"));
  end_driver(caf::exit_reason::kill);
  ::kill(to_pid(first), SIGKILL);
  REQUIRE(eventually([&] { return is_gone(to_pid(first)); }));
  driver = spawn();
  const auto again = start(order("exec sleep 1000"));
  CHECK_FALSE(error);
  CHECK_FALSE(again.adopted);
  CHECK(again.pid != first.pid);
  stop();
}

TEST_CASE_FIXTURE(process_driver_under_test, "a record whose process number means another process is dropped, and that process is left alone") {
  const auto first = start(order("exec sleep 1000"));
  auto record = records->list()->front();
  end_driver(caf::exit_reason::kill);
  record.start_time_ticks -= 1;
  record.name = "default.other.web-1.server";
  REQUIRE(records->put(record));
  driver = spawn();
  const auto found = ask<recovered_containers>(recover_containers{});
  REQUIRE(found.containers.size() == 1);
  CHECK(found.containers[0].name == first.name);
  CHECK(records->list()->size() == 1);
  CHECK_FALSE(is_gone(to_pid(first)));
  stop();
}

TEST_CASE_FIXTURE(process_driver_under_test, "a process that was started but not recorded before a crash is ended by the next driver") {
  const auto first = start(order("exec sleep 1000"));
  end_driver(caf::exit_reason::kill);
  REQUIRE(records->erase(first.name));
  driver = spawn();
  CHECK(ask<recovered_containers>(recover_containers{}).containers.empty());
  CHECK(eventually([&] { return is_gone(to_pid(first)); }));
}

TEST_CASE_FIXTURE(process_driver_under_test, "a driver that ends leaves its containers, a released one also refuses to touch them") {
  const auto first = start(order("exec sleep 1000"));
  tell(release_containers{"the agent is being updated"});
  CHECK_FALSE(error);
  stop();
  CHECK(is_driver_error(error, driver_errc::released));
  CHECK(prunella::runtime::reason_text(error) == "the containers of this host stay as they are: the agent is being updated");
  start(order("exec sleep 1000", 2));
  CHECK(is_driver_error(error, driver_errc::released));
  end_driver(caf::exit_reason::user_shutdown);
  CHECK_FALSE(is_gone(to_pid(first)));
  driver = spawn();
  CHECK(stop().pid == first.pid);
}
