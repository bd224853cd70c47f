// The process driver as an actor, with real processes.

#include <doctest/doctest.h>

#include <sys/stat.h>

#include <csignal>
#include <fstream>

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/after.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/log_bounds.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/instance/images.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/raw_log.hpp"
#include "actors/instance/container_driver.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/actors/memory_container_records.hpp"
#include "tests/actors/real_process.hpp"

using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// The lines of a stream in `log`; every line of it must be one, but for the last while it is being written.
std::string lines_of(const std::string& log, const std::string& stream) {
  std::string lines;
  for (std::size_t at = 0; at < log.size();) {
    const auto end = log.find('\n', at);
    if (end == std::string::npos)
      break;
    const auto line = parse_log_line(std::string_view{log}.substr(at, end - at));
    CHECK(line);
    if (line && line->is_error == (stream == "stderr"))
      lines.append(line->text).append(line->is_partial ? "" : "\n");
    at = end + 1;
  }
  return lines;
}

struct fixture {
  scratch_directory data;
  std::shared_ptr<memory_container_records> records = std::make_shared<memory_container_records>();
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  caf::actor driver = spawn();

  ~fixture() { end_driver(caf::exit_reason::user_shutdown); }

  container_driver_options options() {
    container_driver_options chosen;
    chosen.data_directory = data.path();
    chosen.records = records;
    chosen.max_containers = 4;
    return chosen;
  }

  caf::actor spawn() { return spawn_container_driver(system, options()); }

  void end_driver(caf::exit_reason reason) {
    self->send_exit(driver, reason);
    self->wait_for(driver);
  }

  // As after a crash of the driver actor: the processes stay, a fresh actor finds them.
  void crash_driver() {
    end_driver(caf::exit_reason::kill);
    driver = spawn();
  }

  container_order order(const std::string& script, std::uint64_t generation = 1) {
    container_order made;
    made.name = "default.shop.web-1.server";
    made.instance = "default.shop.web-1";
    made.generation = generation;
    made.spec_hash = "hash of " + script;
    made.spec.name = "server";
    made.spec.logs.max_size_bytes = 128 * 1024;
    made.spec.command = {"sh", "-c", script};
    made.spec.grace = 5s;
    made.env = {{"GREETING", "hello"}};
    return made;
  }

  template <class Answer, class Request>
  Answer ask(Request request) {
    Answer answer;
    error = {};
    self->request(driver, 20s, std::move(request))
      .receive([&](Answer& value) { answer = std::move(value); }, [&](caf::error& why) { error = std::move(why); });
    return answer;
  }

  template <class Request>
  void tell(Request request) {
    error = {};
    self->request(driver, 20s, std::move(request)).receive([] {}, [&](caf::error& why) { error = std::move(why); });
  }

  container_started start(const container_order& wanted) { return ask<container_started>(start_container{wanted}); }

  container_exited stop(std::uint64_t generation = 1, std::chrono::milliseconds grace = 5s) {
    return ask<container_exited>(stop_container{order("").name, generation, grace});
  }

  container_exited next_exit() {
    container_exited seen;
    self->receive([&](container_exited& event) { seen = std::move(event); },
                  caf::after(20s) >> [&] { FAIL("no container_exited within 20 s"); });
    return seen;
  }

  std::string log() { return read_text(container_log_path(data.path(), order("").name)); }
  std::string output() { return lines_of(log(), "stdout"); }

  bool has_output(const std::string& text) {
    return eventually([&] { return output().find(text) != std::string::npos; });
  }

  caf::error error;
};

pid_t to_pid(const container_started& started) {
  return static_cast<pid_t>(started.pid);
}

} // namespace

TEST_CASE_FIXTURE(fixture, "a container runs with its environment in its own folder, and its end reaches the owner") {
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

TEST_CASE_FIXTURE(fixture, "kill -9 of a container is an exit by signal 9, noticed at once") {
  const auto started = start(order("exec sleep 1000"));
  REQUIRE_FALSE(error);
  std::vector<double> took;
  const auto begin = std::chrono::steady_clock::now();
  ::kill(to_pid(started), SIGKILL);
  const auto exited = next_exit();
  const std::chrono::duration<double, std::milli> noticed = std::chrono::steady_clock::now() - begin;
  MESSAGE("death of a process to message: ", noticed.count(), " ms");
  CHECK(exited.signal == SIGKILL);
  CHECK_FALSE(exited.stopped);
  CHECK(noticed < 1s);
}

TEST_CASE_FIXTURE(fixture, "what a container leaves in its process group when it exits by itself is killed") {
  start(order("trap '' TERM; sleep 1000 & echo $!; exit 0"));
  CHECK(next_exit().exit_code == 0);
  const auto left = static_cast<pid_t>(std::stoi(output()));
  CHECK(eventually([&] { return is_gone(left); }));
}

TEST_CASE_FIXTURE(fixture, "the same order again adopts what runs, a changed spec of the same generation replaces it") {
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

TEST_CASE_FIXTURE(fixture, "a newer generation ends the older one first, an older one is refused and disturbs nothing") {
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

TEST_CASE_FIXTURE(fixture, "a polite process ends by SIGTERM within its grace and with its own code") {
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

TEST_CASE_FIXTURE(fixture, "a process that ignores SIGTERM is killed when its grace is over, not before") {
  start(order("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  REQUIRE(has_output("ready"));
  const auto begin = std::chrono::steady_clock::now();
  CHECK(stop(1, 300ms).signal == SIGKILL);
  CHECK(std::chrono::steady_clock::now() - begin >= 300ms);
}

TEST_CASE_FIXTURE(fixture, "a grace of zero kills at once, and a second stop with a shorter grace shortens the first") {
  start(order("trap '' TERM; echo ready; while :; do sleep 0.01; done"));
  REQUIRE(has_output("ready"));
  self->send(driver, stop_container{order("").name, 1, 1h});
  CHECK(stop(1, 0ms).signal == SIGKILL);
}

TEST_CASE_FIXTURE(fixture, "a stop leaves nothing behind, not even a daemon that made its own session") {
  start(order("sh -c 'trap \"\" TERM; sleep 1000' & setsid sleep 1000 & sleep 0.05; echo ready; exec sleep 1000"));
  REQUIRE(has_output("ready"));
  CHECK(find_marked_processes(data.path()).size() >= 3);
  stop();
  CHECK_FALSE(error);
  CHECK(eventually([&] { return find_marked_processes(data.path()).empty(); }));
}

TEST_CASE_FIXTURE(fixture, "a command that does not exist is refused with a sentence, and nothing is left of the start") {
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

TEST_CASE_FIXTURE(fixture, "a start whose record cannot be kept is undone") {
  records->set_full(true);
  start(order("exec sleep 1000"));
  CHECK(is_driver_error(error, driver_errc::record_failed));
  CHECK(find_marked_processes(data.path()).empty());
}

TEST_CASE_FIXTURE(fixture, "the fifth container of a driver for four is refused") {
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

TEST_CASE_FIXTURE(fixture, "a fresh driver adopts the running process with the same pid and learns how it ends") {
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

TEST_CASE_FIXTURE(fixture, "a process that ended while no driver was there is not adopted and starts afresh") {
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

TEST_CASE_FIXTURE(fixture, "a record whose process number means another process is dropped, and that process is left alone") {
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

TEST_CASE_FIXTURE(fixture, "a process that was started but not recorded before a crash is ended by the next driver") {
  const auto first = start(order("exec sleep 1000"));
  end_driver(caf::exit_reason::kill);
  REQUIRE(records->erase(first.name));
  driver = spawn();
  CHECK(ask<recovered_containers>(recover_containers{}).containers.empty());
  CHECK(eventually([&] { return is_gone(to_pid(first)); }));
}

TEST_CASE_FIXTURE(fixture, "a driver that ends leaves its containers, a released one also refuses to touch them") {
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

TEST_CASE_FIXTURE(fixture, "a start waits for the stop of its predecessor, and a newer start takes its place") {
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

TEST_CASE_FIXTURE(fixture, "signals, waiting and statistics reach the right container") {
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

TEST_CASE_FIXTURE(fixture, "with each tidying the image keeper hears who may hold an image: what runs here and what is assigned") {
  caf::scoped_actor keeper{system};
  end_driver(caf::exit_reason::user_shutdown);
  auto chosen = options();
  chosen.images = [handle = caf::actor_cast<caf::actor>(keeper)] { return handle; };
  driver = spawn_container_driver(system, chosen);
  const auto started = start(order("exec sleep 1000"));
  const auto holders = [&](tidy_folders request) {
    std::vector<std::string> told;
    tell(std::move(request));
    keeper->receive([&](const keep_holders& x) { told = x.holders; }, caf::after(20s) >> [] { FAIL("nothing was told"); });
    return told;
  };
  CHECK(holders({{}, {"default.shop.web-2.server"}}) == std::vector<std::string>{started.name, "default.shop.web-2.server"});
  CHECK(holders({{"default.shop.web-2.server"}, {}}) == std::vector<std::string>{started.name}); // its log is kept, its image not
  stop();
  CHECK(holders({{}, {}}).empty());
}

TEST_CASE_FIXTURE(fixture, "tidying deletes the folders of ended containers that are not to be kept, and no other") {
  const auto started = start(order("exec sleep 1000"));
  const auto folder = container_folder(data.path(), started.name);
  const auto other = container_folder(data.path(), "default.other.main-1.one");
  std::filesystem::create_directories(other + "/work");
  std::filesystem::create_directory_symlink(data.path(), other + "/work/link");
  tell(tidy_folders{{"default.other.main-1.one"}, {}});
  CHECK_FALSE(error);
  CHECK(std::filesystem::exists(folder)); // it runs
  CHECK(std::filesystem::exists(other));
  tell(tidy_folders{});
  CHECK_FALSE(std::filesystem::exists(other));
  CHECK(std::filesystem::exists(folder));
  stop();
  tell(tidy_folders{{started.name}, {}});
  CHECK(std::filesystem::exists(folder));
  tell(tidy_folders{});
  CHECK_FALSE(error);
  CHECK_FALSE(std::filesystem::exists(folder));
  CHECK(eventually([&] { return std::filesystem::is_empty(data.path() + "/removed"); }));
}

TEST_CASE_FIXTURE(fixture, "what was moved out of the way and not deleted is deleted by the next driver, and two of one name beside each other") {
  const auto aside = data.path() + "/removed";
  for (const auto& folder : {aside + "/default.shop.web-1.server", container_folder(data.path(), "default.shop.web-1.server")})
    std::filesystem::create_directories(folder + "/work");
  CHECK_FALSE(set_folders_aside({"default.shop.web-1.server"}, data.path()));
  CHECK(std::filesystem::exists(aside + "/default.shop.web-1.server.1/work"));
  crash_driver();
  CHECK(eventually([&] { return std::filesystem::is_empty(aside); }));
}

TEST_CASE_FIXTURE(fixture, "what a process prints is in its log with its time and stream, in order and whole when its end is told") {
  start(order("for i in 1 2 3; do echo out $i; done; printf unfinished; echo err >&2"));
  next_exit();
  CHECK(output() == "out 1\nout 2\nout 3\nunfinished\n");
  CHECK(lines_of(log(), "stderr") == "err\n");
  start(order("echo again"));
  next_exit();
  CHECK(output() == "out 1\nout 2\nout 3\nunfinished\nagain\n");
}

TEST_CASE_FIXTURE(fixture, "other bounds of the log reach a process that runs, and hold on after a crash of the driver") {
  auto wanted = order("exec sleep 1000");
  const auto started = start(wanted);
  const auto log_file = container_log_path(data.path(), started.name);
  CHECK(kept_log_bounds(log_file) == prunella::config::log_spec{128 * 1024, 0ms});
  wanted.spec.logs = {1024 * 1024, 168h};
  CHECK(ask<container_started>(adopt_container{wanted}).pid == started.pid);
  CHECK(kept_log_bounds(log_file) == wanted.spec.logs);
  crash_driver();
  ask<recovered_containers>(recover_containers{});
  CHECK(kept_log_bounds(log_file) == wanted.spec.logs);
  wanted.spec.logs.max_age = 24h;
  CHECK(start(wanted).adopted);
  CHECK(kept_log_bounds(log_file) == wanted.spec.logs);
  CHECK_FALSE(is_gone(to_pid(started)));
}

TEST_CASE_FIXTURE(fixture, "logs stay bounded, also what was written while no driver was there, and nothing is kept twice") {
  const auto started = start(order("while [ ! -e go ]; do sleep 0.01; done; i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; echo end; exec sleep 1000"));
  const auto folder = container_folder(data.path(), started.name);
  const auto raw = raw_stdout_path(folder);
  end_driver(caf::exit_reason::kill);
  std::ofstream{folder + "/work/go"} << "now";
  REQUIRE(eventually([&] {
    const auto text = read_text(raw);
    return text.size() > 4 && text.substr(text.size() - 4) == "end\n";
  }));
  driver = spawn();
  const auto path = container_log_path(data.path(), started.name);
  // The keeper turns the files over while they are read here: only what stays counts.
  CHECK(eventually([&] {
    auto text = read_text(older_log_path(path));
    text += read_text(path);
    const auto all = lines_of(text, "stdout");
    const auto last = all.find("line 29999\n");
    return last != std::string::npos && all.rfind("line 29999\n") == last && all.substr(last) == "line 29999\nend\n";
  }));
  CHECK(eventually([&] { // a cap of text, each line with its time; it is turned over behind the last line that was taken
    std::error_code not_yet;
    return std::filesystem::file_size(older_log_path(path), not_yet) <= 512 * 1024;
  }));
  struct stat info {};
  REQUIRE(::stat(raw.c_str(), &info) == 0);
  CHECK(info.st_blocks * 512 <= 128 * 1024);
  CHECK_FALSE(is_gone(to_pid(started)));
  stop();
}

// -- commands in containers ------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(fixture, "a command has the environment, folder and streams of its container, and its code and output are told") {
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

TEST_CASE_FIXTURE(fixture, "a command that takes a millisecond longer than it may is killed with its process group") {
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

TEST_CASE_FIXTURE(fixture, "of a command's output the first 4096 bytes are kept, and the command goes on") {
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

TEST_CASE_FIXTURE(fixture, "a command is refused when it does not exist, is empty, or the generation is another one") {
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

TEST_CASE_FIXTURE(fixture, "an instance's fourth command at a time is refused, another's is not, and all end with their container") {
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

TEST_CASE_FIXTURE(fixture, "a command ends with its driver, and the next driver runs commands once the container is claimed") {
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
