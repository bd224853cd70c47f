// Containers of images through the driver, with real runc and conmon: their life from start to end.

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>

#include "actors/instance/proc_filesystem.hpp"
#include "tests/actors/oci_fixture.hpp"

using namespace prunella::tests;

TEST_CASE("a container of an image runs the image's command or its own, with its environment, and leaves only its log") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  CHECK(x->run(x->order("")) == "from the image\n");
  CHECK(x->last_exit.known);
  CHECK(x->last_exit.exit_code == 0);
  CHECK(x->last_exit.instance == "default.shop.web-1");
  CHECK(x->run(x->order("echo $GREETING $NAME; hostname() { busybox hostname; }; hostname; echo oops >&2; exit 7")) ==
        "from the image\nhello popcorn\nweb-1\n");
  CHECK(x->last_exit.exit_code == 7);
  CHECK(x->last_exit.last_words == "oops");
  CHECK(x->last_exit.max_rss_bytes > 0);
  CHECK(describe_exit(x->last_exit) == "exited with code 7: oops");
  CHECK(x->nothing_is_left());
}

TEST_CASE("a container is started again without its image being asked for anew, until its folder is tidied away or it is another generation's") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  x->run(x->order(""));
  x->has_images = false;
  x->run(x->order(""));
  CHECK(x->output() == "from the image\nfrom the image\n");
  REQUIRE(x->nothing_is_left());
  SUBCASE("to another generation a tag may mean something else") {
    x->ask<container_started>(start_container{x->order("", 2)});
    CHECK(is_driver_error(x->error, driver_errc::image_awaited));
    return;
  }
  REQUIRE(eventually([&] { // not while the last start is being cleared away
    x->tell(tidy_folders{});
    return !fs::exists(container_folder(x->data.path(), x->order("").name));
  }));
  x->ask<container_started>(start_container{x->order("")});
  CHECK(is_driver_error(x->error, driver_errc::image_unavailable));
}

TEST_CASE("a container that is killed is reported with its signal at once, and one that says 137 itself with its code") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto started = x->start(x->order("exec busybox sleep 1000"));
  REQUIRE(kill(to_pid(started), SIGKILL) == 0);
  const auto exited = x->next_exit();
  CHECK(exited.signal == SIGKILL);
  CHECK_FALSE(exited.stopped);
  CHECK_FALSE(exited.out_of_memory);
  if (kernel_at_least(6, 15)) {
    x->run(x->order("exit 137"));
    CHECK(x->last_exit.exit_code == 137);
    CHECK(x->last_exit.signal == 0);
  }
}

TEST_CASE("a command that is not in the image, cannot be executed, or a folder that is not there refuse the start") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto refused = [&](container_order order, driver_errc code) {
    x->ask<container_started>(start_container{order});
    CHECK_MESSAGE(is_driver_error(x->error, code), prunella::runtime::reason_text(x->error));
  };
  auto order = x->order("");
  order.spec.command = {"nosuch"};
  refused(order, driver_errc::command_not_found);
  CHECK(prunella::runtime::reason_text(x->error).find("nosuch") != std::string::npos);
  CHECK(prunella::runtime::reason_text(x->error).find("correct `command`") != std::string::npos);
  order.spec.command = {"/etc/passwd"};
  refused(order, driver_errc::command_not_executable);
  order = x->order("exec true");
  order.spec.files = {{"/etc", "", "0644"}};
  refused(order, driver_errc::runtime_failed);
  const auto once = prunella::runtime::reason_text(x->error);
  CHECK_MESSAGE(once.find("`/etc` cannot be mounted") != std::string::npos, once);
  refused(order, driver_errc::runtime_failed);
  CHECK(prunella::runtime::reason_text(x->error) == once);
  order = x->order("");
  order.spec.image = "nginx";
  refused(order, driver_errc::image_unavailable);
  CHECK(prunella::runtime::reason_text(x->error).find("there is no image nginx") != std::string::npos);
  order = x->order("");
  order.spec.user = "nobody-here";
  refused(order, driver_errc::invalid_request);
  CHECK(x->nothing_is_left());
}

TEST_CASE("a container that takes more memory than its limit is said to have run out of it") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("x=$(busybox dd if=/dev/zero bs=1M count=200 2>/dev/null | busybox tr '\\0' 'x'); echo survived");
  order.spec.resources.memory_bytes = 16 << 20;
  x->run(order);
  CHECK(x->last_exit.out_of_memory);
  CHECK(x->last_exit.memory_limit_bytes == 16 << 20);
  CHECK(describe_exit(x->last_exit).find("ran out of memory (its limit is 16 MiB)") == 0);
}

TEST_CASE("a container that fails and had as many processes as it may is said to have reached that limit, beside its own words") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("i=0; while [ $i -lt 200 ]; do busybox sleep 60 & i=$((i+1)); done");
  order.spec.pids = 64; // the runtime itself needs some of them, more where there are more cores
  x->run(order);
  const auto said = describe_exit(x->last_exit);
  CHECK(said.find("exited with code ") == 0);
  CHECK(said.find("fork") != std::string::npos);
  CHECK(said.find("(it had reached its limit of processes and threads, `pids: 64`)") != std::string::npos);
}

TEST_CASE("a stop is the stop signal first, and after the grace the end of every process in the container") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  auto order = x->order("trap 'echo bye; exit 0' INT; echo up; while true; do busybox sleep 0.05; done");
  order.spec.stop_signal = "SIGINT";
  x->start(order);
  REQUIRE(x->has_output("up"));
  auto exited = x->stop();
  CHECK(exited.stopped);
  CHECK(exited.exit_code == 0);
  CHECK(x->output() == "up\nbye\n");
  x->next_exit();
  const auto started = x->start(x->order("trap '' TERM; busybox sleep 1000 & echo two; wait; busybox sleep 1000"));
  REQUIRE(x->has_output("bye\ntwo"));
  const auto begin = std::chrono::steady_clock::now();
  exited = x->stop(1, 300ms);
  CHECK(std::chrono::steady_clock::now() - begin >= 300ms);
  CHECK(exited.signal == SIGKILL);
  CHECK(exited.stopped);
  CHECK(is_gone(to_pid(started)));
  CHECK(x->nothing_is_left());
}

TEST_CASE("a fresh driver finds a container with the same process, adopts it, and hears of its end") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto order = x->order("trap 'exit 5' TERM; echo up; while true; do busybox sleep 0.05; done");
  const auto started = x->start(order);
  REQUIRE(x->has_output("up"));
  x->crash_driver();
  const auto found = x->ask<recovered_containers>(recover_containers{true});
  REQUIRE(found.containers.size() == 1);
  CHECK(found.containers[0].pid == started.pid);
  const auto again = x->start(order);
  CHECK(again.adopted);
  CHECK(again.pid == started.pid);
  CHECK(again.started_at_ms == started.started_at_ms);
  kill(to_pid(started), SIGTERM);
  CHECK(x->next_exit().exit_code == 5);
  CHECK(x->output() == "up\n");
  CHECK(x->nothing_is_left());
}

TEST_CASE("how a container ended while no driver was there is told to who claims it, and it is not started again") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto order = x->order("trap 'echo sorry >&2; exit 6' TERM; echo up; while true; do busybox sleep 0.05; done");
  const auto started = x->start(order);
  REQUIRE(x->has_output("up"));
  const auto conmon = read_proc_stat(to_pid(started))->parent;
  x->end_driver(caf::exit_reason::kill);
  kill(to_pid(started), SIGTERM);
  REQUIRE(eventually([&] { return is_gone(to_pid(started)) && is_gone(conmon); }));
  x->driver = x->spawn();
  const auto again = x->start(order);
  CHECK(again.adopted);
  CHECK(again.pid == started.pid);
  const auto exited = x->next_exit();
  CHECK(exited.known);
  CHECK(exited.exit_code == 6);
  CHECK(exited.last_words == "sorry");
  CHECK(x->output() == "up\n");
  CHECK(x->nothing_is_left());
  x->ask<container_started>(adopt_container{order});
  CHECK(is_driver_error(x->error, driver_errc::not_running));
}

TEST_CASE("a container whose conmon is killed is ended, and one without a record is removed by the next driver") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto order = x->order("exec busybox sleep 1000");
  auto started = x->start(order);
  kill(read_proc_stat(to_pid(started))->parent, SIGKILL);
  x->next_exit();
  CHECK(is_gone(to_pid(started)));
  started = x->start(order);
  x->end_driver(caf::exit_reason::kill);
  CHECK(x->records->erase(order.name));
  x->driver = x->spawn();
  CHECK(x->ask<recovered_containers>(recover_containers{}).containers.empty());
  CHECK(eventually([&] { return is_gone(to_pid(started)); }));
  CHECK(x->nothing_is_left());
}

TEST_CASE("a start that cannot be recorded or is told to stop meanwhile leaves nothing that runs") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto order = x->order("exec busybox sleep 1000");
  x->records->set_full(true);
  x->ask<container_started>(start_container{order});
  CHECK(is_driver_error(x->error, driver_errc::record_failed));
  x->records->set_full(false);
  CHECK(x->nothing_is_left());
  caf::error start_error;
  auto pending = x->self->request(x->driver, 60s, start_container{order});
  auto stopped = x->self->request(x->driver, 60s, stop_container{order.name, 1, 0ms});
  pending.receive([](container_started&) { FAIL("it was told to stop"); }, [&](caf::error& why) { start_error = why; });
  stopped.receive([](container_exited& exited) { CHECK(exited.stopped); },
                  [](caf::error& why) { CHECK(is_driver_error(why, driver_errc::not_running)); });
  CHECK(is_driver_error(start_error, driver_errc::superseded));
  CHECK(x->nothing_is_left());
}

TEST_CASE("a newer generation replaces what runs, and the older is refused after that") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto first = x->start(x->order("exec busybox sleep 1000"));
  const auto second = x->start(x->order("exec busybox sleep 1000", 2));
  CHECK(second.pid != first.pid);
  CHECK(is_gone(to_pid(first)));
  CHECK(x->next_exit().generation == 1);
  x->ask<container_started>(start_container{x->order("exec busybox sleep 1000")});
  CHECK(is_driver_error(x->error, driver_errc::stale_generation));
  x->stop(2);
}

TEST_CASE("a log over the cap is kept in two halves and no line of it is lost") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const auto log = container_log_path(x->data.path(), x->order("").name);
  x->start(x->order("i=0; while [ $i -lt 2000 ]; do echo line $i of the log; i=$((i+1)); done; echo end; exec busybox sleep 1000"));
  REQUIRE(eventually([&] { return (read_text(older_log_path(log)) + read_text(log)).find("F end") != std::string::npos && fs::exists(older_log_path(log)); }));
  REQUIRE(eventually([&] { return fs::exists(log); })); // conmon makes the new one
  CHECK(fs::file_size(log) <= 64 * 1024);
  const auto all = lines_of(read_text(older_log_path(log)) + read_text(log));
  CHECK(std::count(all.begin(), all.end(), '\n') == 2001);
  CHECK(all.substr(0, 18) == "line 0 of the log\n");
  x->stop();
}
