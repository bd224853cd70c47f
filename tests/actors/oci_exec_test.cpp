// Commands in containers of images, with real runc.

#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_input.hpp"
#include "tests/actors/command_client.hpp"
#include "tests/actors/oci_fixture.hpp"

using namespace prunella::tests;

namespace {

exec_container shell(const std::string& script, std::chrono::milliseconds timeout = 20s) {
  return {oci_driver_under_test::order("").name, 0, {"/bin/sh", "-c", script}, timeout};
}

/// How many processes `sleep DURATION` the container has.
int sleepers(oci_driver_under_test& x, const std::string& duration) {
  const auto listed = x.ask<exec_result>(shell("busybox ps -o args | busybox grep -c '[s]leep " + duration + "'"));
  return std::atoi(listed.output.c_str());
}

} // namespace

TEST_CASE("a command in a container has its root, environment, user, folder and limits, and its code and output are told") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("exec busybox sleep 1000");
  order.spec.user = "www";
  order.spec.working_directory = "/tmp";
  x->start(order);
  const auto result = x->ask<exec_result>(shell(
    "echo $GREETING $NAME; pwd; busybox id -u; busybox grep -E 'CapEff|NoNewPrivs' /proc/self/status | busybox tr -d '\\t'; "
    "busybox ps -o args | busybox grep -c '[s]leep 1000'; busybox cat; exit 7"));
  CHECK_FALSE(x->error);
  CHECK(result.output == "hello popcorn\n/tmp\n33\nCapEff:0000000000000000\nNoNewPrivs:1\n1\n");
  CHECK(result.exit_code == 7);
  CHECK_FALSE(result.timed_out);
  CHECK(x->ask<exec_result>(shell("echo oops >&2")).output == "oops\n");
  CHECK(x->output().empty());
  CHECK(x->starts().size() == 1);
  for (const auto& file : fs::directory_iterator(x->starts().front()))
    CHECK(file.path().filename().string().find("exec.pid") == std::string::npos);
  x->stop(1, 0ms);
}

TEST_CASE("a container with input reads what is written to it to its end, and its output goes on meanwhile and after it") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("busybox cat; echo end; exit 4");
  order.has_input = true;
  order.spec.logs.max_size_bytes = 64 << 20;
  auto input = std::make_unique<container_input>(container_folder(x->data.path(), order.name));
  x->start(order);
  std::string text;
  for (int i = 0; i < 100'000; ++i)
    text += "line " + std::to_string(i) + '\n';
  std::string_view left{text};
  CHECK(eventually([&] {
    input->drain();
    left.remove_prefix(input->write(left));
    return left.empty();
  }));
  input->close();
  CHECK(eventually([&] {
    input->drain();
    return x->output().size() >= text.size() + 4;
  }));
  CHECK((x->output() == text + "end\n"));
  input = nullptr; // who is attached and reads nothing holds conmon up
  CHECK(x->next_exit().exit_code == 4);
}

TEST_CASE("a command in a container that takes too long is killed there with its process group") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  x->start(x->order("exec busybox sleep 1000"));
  const auto result = x->ask<exec_result>(shell("busybox sleep 2000 & echo up; wait", 1s));
  CHECK(result.timed_out);
  CHECK(result.output == "up\n");
  CHECK(eventually([&] { return sleepers(*x, "2000") == 0; }));
  CHECK(x->ask<exec_result>(shell("exit 0")).succeeded());
  x->stop(1, 0ms);
}

TEST_CASE("a command that is not in the image is refused, one that says 255 itself is not") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  x->start(x->order("exec busybox sleep 1000"));
  const auto name = x->order("").name;
  x->ask<exec_result>(exec_container{name, 0, {"nosuch"}});
  CHECK_MESSAGE(is_driver_error(x->error, driver_errc::command_not_found), prunella::runtime::reason_text(x->error));
  CHECK(prunella::runtime::reason_text(x->error).find("nosuch") != std::string::npos);
  x->ask<exec_result>(exec_container{name, 0, {"/etc/passwd"}});
  CHECK_MESSAGE(is_driver_error(x->error, driver_errc::command_not_executable), prunella::runtime::reason_text(x->error));
  CHECK(x->ask<exec_result>(shell("exit 255")).exit_code == 255);
  CHECK_FALSE(x->error);
  CHECK(x->ask<exec_result>(shell("kill -TERM $$")).exit_code == 128 + 15);
  x->stop(1, 0ms);
}

TEST_CASE("a command ends with its container, and with the driver that runs it") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto order = x->order("exec busybox sleep 1000");
  x->start(order);
  auto pending = x->self->request(x->driver, 60s, shell("exec busybox sleep 2000", 1h));
  REQUIRE(eventually([&] { return sleepers(*x, "2000") == 1; }));
  x->stop(1, 0ms);
  pending.receive([](exec_result&) { FAIL("its container ended"); },
                  [](caf::error& why) { CHECK(is_driver_error(why, driver_errc::not_running)); });
  x->next_exit();
  x->start(order);
  x->self->request(x->driver, 60s, shell("exec busybox sleep 2000", 1h));
  REQUIRE(eventually([&] { return sleepers(*x, "2000") == 1; }));
  x->crash_driver();
  x->start(order);
  CHECK(eventually([&] { return sleepers(*x, "2000") == 0; }));
  CHECK(x->ask<exec_result>(shell("echo $NAME")).output == "popcorn\n");
  x->stop(1, 0ms);
}

TEST_CASE("a command that is refused for want of a place leaves no file in the container's folder") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto order = x->order("exec busybox sleep 1000");
  x->start(order);
  const auto files_of_commands = [&] {
    std::size_t count = 0;
    for (const auto& file : fs::directory_iterator(x->starts().at(0)))
      count += file.path().filename().string().rfind("exec.pid.", 0) == 0 ? 1 : 0;
    return count;
  };
  using handle = decltype(x->self->request(x->driver, 60s, exec_container{}));
  std::vector<handle> pending;
  for (int i = 0; i < 3; ++i)
    pending.push_back(x->self->request(x->driver, 60s, shell("exec busybox sleep 2000", 1h)));
  REQUIRE(eventually([&] { return files_of_commands() == 6; })); // a pid and a process each
  for (int i = 0; i < 5; ++i) {
    x->ask<exec_result>(shell("true"));
    CHECK(is_driver_error(x->error, driver_errc::too_many));
  }
  CHECK(files_of_commands() == 6);
  x->stop(1, 0ms);
  for (auto& one : pending)
    one.receive([](exec_result&) { FAIL("its container ended"); },
                [](caf::error& why) { CHECK(is_driver_error(why, driver_errc::not_running)); });
}

TEST_CASE("a person at a terminal in a container has its size, and a command that runs there ends when the line is cut") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  x->start(x->order("exec busybox sleep 1000"));
  const auto plan = x->ask<command_plan>(plan_command{x->order("").name, 0, {"/bin/sh"}, "xterm-256color"});
  REQUIRE_FALSE(x->error);
  command_client person{plan, {true, true, {33, 101}}};
  // The runtime starts the shell before it tells its terminal the size.
  person.type("while [ \"$(busybox stty size)\" != '33 101' ]; do busybox sleep 0.05; done; echo as''wide; echo $NAME\n");
  CHECK_MESSAGE(person.sees("aswide"), person.output);
  CHECK(person.sees("popcorn"));
  person.type("echo te''rm=$TERM\n");
  CHECK_MESSAGE(person.sees("term=xterm-256color"), person.output);
  person.command.resize({44, 122});
  person.type("while [ \"$(busybox stty size)\" != '44 122' ]; do busybox sleep 0.05; done; echo re''sized\n");
  CHECK_MESSAGE(person.sees("resized"), person.output);
  person.type("trap '' HUP; busybox sleep 2000\n");
  REQUIRE(eventually([&] { return sleepers(*x, "2000") == 1; }));
  person.command.hang_up();
  CHECK(eventually([&] { return sleepers(*x, "2000") == 0; }, 20s));
  const auto missing = x->ask<command_plan>(plan_command{x->order("").name, 0, {"nosuch"}, {}});
  const auto end = command_client{missing, {}}.end();
  REQUIRE(end.failure);
  CHECK(end.failure->code == driver_errc::command_not_found);
  x->stop(1, 0ms);
}
