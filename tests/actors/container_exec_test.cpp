// Commands in containers of the driver of processes, with real ones.

#include <doctest/doctest.h>

#include <csignal>
#include <fstream>
#include <vector>

#include "actors/instance/container_folder.hpp"
#include "tests/actors/process_driver_fixture.hpp"

using namespace prunella::tests;

TEST_CASE_FIXTURE(process_driver_under_test, "a command has the environment, folder and streams of its container, and its code and output are told") {
  start(order("while [ ! -e go ]; do sleep 0.01; done; echo done"));
  REQUIRE_FALSE(error);
  const auto name = order("").name;
  const auto result = ask<exec_result>(exec_container{name, 0, {"sh", "-c", "echo $GREETING $PRUNELLA_CONTAINER; pwd; echo oops >&2; cat; exit 3"}});
  std::ofstream{container_folder(data.path(), name) + "/work/go"}.close(); // not before: a command ends with its container
  CHECK_FALSE(error);
  CHECK(result.exit_code == 3);
  CHECK_FALSE(result.timed_out);
  CHECK_FALSE(result.succeeded());
  CHECK(result.output == "hello " + name + "\n" + container_folder(data.path(), name) + "/work\noops\n");
  next_exit();
  CHECK(output() == "done\n"); // what commands print is not in the log
  ask<exec_result>(exec_container{name, 0, {"true"}});
  CHECK(is_driver_error(error, driver_errc::not_running));
}

TEST_CASE_FIXTURE(process_driver_under_test, "a command that takes a millisecond longer than it may is killed with its process group") {
  start(order("exec sleep 1000"));
  const auto name = order("").name;
  const auto result = ask<exec_result>(exec_container{name, 1, {"sh", "-c", "sleep 1000 & echo $!; wait"}, 300ms});
  CHECK(result.timed_out);
  CHECK_FALSE(result.succeeded());
  CHECK(result.took >= 300ms);
  CHECK(eventually([&] { return is_gone(std::stoi(result.output)); })); // killed, which takes a moment
  CHECK(ask<exec_result>(exec_container{name, 1, {"sh", "-c", "kill -TERM $$"}}).exit_code == 128 + SIGTERM);
  for (const auto timeout : {0ms, std::chrono::milliseconds{1h} + 1ms}) {
    ask<exec_result>(exec_container{name, 1, {"true"}, timeout});
    CHECK(is_driver_error(error, driver_errc::invalid_request));
  }
}

TEST_CASE_FIXTURE(process_driver_under_test, "of a command's output the first 4096 bytes are kept, and the command goes on") {
  start(order("exec sleep 1000"));
  const auto name = order("").name;
  auto result = ask<exec_result>(exec_container{name, 1, {"sh", "-c", "head -c 4096 /dev/zero | tr '\\0' x; exit 4"}});
  CHECK(result.output == std::string(4096, 'x'));
  CHECK_FALSE(result.has_more_output);
  result = ask<exec_result>(exec_container{name, 1, {"sh", "-c", "head -c 400000 /dev/zero | tr '\\0' x; exit 5"}});
  CHECK(result.output.size() == 4096);
  CHECK(result.has_more_output);
  CHECK(result.exit_code == 5);
}

TEST_CASE_FIXTURE(process_driver_under_test, "a command is refused when it does not exist, is empty, or the generation is another one") {
  start(order("exec sleep 1000", 2));
  const auto name = order("").name;
  const auto refused = [&](exec_container request, driver_errc code) {
    ask<exec_result>(std::move(request));
    CHECK_MESSAGE(is_driver_error(error, code), prunella::runtime::reason_text(error));
  };
  refused({name, 2, {"/nosuch/program"}}, driver_errc::command_not_found);
  refused({name, 2, {"/etc/passwd"}}, driver_errc::command_not_executable);
  refused({name, 2, {}}, driver_errc::invalid_request);
  refused({name, 2, {"echo", std::string{"a\0b", 3}}}, driver_errc::invalid_request);
  refused({name, 1, {"true"}}, driver_errc::not_running);
  refused({"default.shop.web-2.server", 0, {"true"}}, driver_errc::not_running);
  tell(release_containers{"the agent is being updated"});
  refused({name, 2, {"true"}}, driver_errc::released);
}

TEST_CASE_FIXTURE(process_driver_under_test, "an instance's fourth command at a time is refused, another's is not, and all end with their container") {
  start(order("exec sleep 1000"));
  const auto name = order("").name;
  auto other = order("exec sleep 1000");
  other.name = "default.shop.web-2.server";
  other.instance = "default.shop.web-2";
  start(other);
  using handle = decltype(self->request(driver, 20s, exec_container{}));
  std::vector<handle> pending;
  for (int i = 0; i < 3; ++i)
    pending.push_back(self->request(driver, 20s, exec_container{name, 1, {"sleep", "1000"}, 1h}));
  ask<exec_result>(exec_container{name, 1, {"true"}});
  CHECK(is_driver_error(error, driver_errc::too_many));
  CHECK(ask<exec_result>(exec_container{other.name, 1, {"echo", "asked"}}).output == "asked\n");
  CHECK_FALSE(error);
  stop(1, 0ms);
  for (auto& one : pending)
    one.receive([](exec_result&) { FAIL("its container ended"); },
                [](caf::error& why) { CHECK(is_driver_error(why, driver_errc::not_running)); });
}

TEST_CASE_FIXTURE(process_driver_under_test, "a command ends with its driver, and the next driver runs commands once the container is claimed") {
  const auto wanted = order("exec sleep 1000");
  start(wanted);
  self->request(driver, 20s, exec_container{wanted.name, 1, {"sh", "-c", "echo $$ > pid.new; mv pid.new pid; exec sleep 1000"}, 1h});
  const auto pid_path = container_folder(data.path(), wanted.name) + "/work/pid";
  REQUIRE(eventually([&] { return !read_text(pid_path).empty(); }));
  const auto pid = std::stoi(read_text(pid_path));
  CHECK_FALSE(is_gone(pid));
  crash_driver();
  CHECK(eventually([&] { return is_gone(pid); }));
  ask<exec_result>(exec_container{wanted.name, 1, {"true"}});
  CHECK(is_driver_error(error, driver_errc::not_running));
  ask<container_started>(adopt_container{wanted});
  CHECK(ask<exec_result>(exec_container{wanted.name, 1, {"sh", "-c", "echo $GREETING"}}).output == "hello\n");
}
