// The operating system's part of the process driver, with real processes.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>
#include <future>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/log_keeper.hpp"
#include "actors/instance/process.hpp"
#include "actors/instance/process_recovery.hpp"
#include "actors/instance/process_watcher.hpp"
#include "actors/instance/raw_log.hpp"
#include "tests/actors/real_process.hpp"

using namespace prunella::actors;
using namespace prunella::tests;

namespace {

struct bench {
  scratch_directory data;

  launch_request request(const std::string& script) {
    return {{"sh", "-c", script},
            {"PRUNELLA_AGENT=" + data.path(), "PRUNELLA_CONTAINER=c", "PRUNELLA_GENERATION=1", "PATH=/usr/bin:/bin"},
            data.path(),
            {},
            data.path() + "/out",
            data.path() + "/err"};
  }

  process_handle launch(const launch_request& wanted) {
    auto result = launch_process(wanted);
    if (const auto* failure = std::get_if<driver_failure>(&result))
      FAIL(failure->message);
    return std::get<process_handle>(std::move(result));
  }

  process_end run(const std::string& script) {
    const auto process = launch(request(script));
    return end_of(process);
  }

  std::string output() { return read_text(data.path() + "/out"); }

  static process_end end_of(const process_handle& process) {
    REQUIRE(eventually([&] { return !is_alive(process); }));
    signal_group(process, SIGKILL);
    auto end = collect_end(process);
    REQUIRE(end);
    return *end;
  }

  driver_errc refusal(const launch_request& wanted) {
    auto result = launch_process(wanted);
    const auto* failure = std::get_if<driver_failure>(&result);
    REQUIRE(failure);
    message = failure->message;
    return failure->code;
  }

  std::string message;
};

} // namespace

TEST_CASE_FIXTURE(bench, "a process gets exactly its environment, its directory and nothing to read") {
  CHECK(run("env | sort; pwd; cat; echo done").exit_code == 0);
  CHECK(output()
        == "PATH=/usr/bin:/bin\nPRUNELLA_AGENT=" + data.path() + "\nPRUNELLA_CONTAINER=c\nPRUNELLA_GENERATION=1\nPWD="
             + data.path() + "\n" + data.path() + "\ndone\n");
}

TEST_CASE_FIXTURE(bench, "a process leads its own session and group") {
  const auto process = launch(request("exec sleep 100"));
  const auto stat = read_proc_stat(process.pid);
  REQUIRE(stat);
  CHECK(stat->group == process.pid);
  CHECK(stat->session == process.pid);
  signal_group(process, SIGKILL);
  CHECK(end_of(process).signal == SIGKILL);
}

TEST_CASE_FIXTURE(bench, "no descriptor of the agent leaks into a process, not even one without close-on-exec") {
  const int leaky = ::open("/dev/null", O_RDONLY);
  const int high = ::fcntl(leaky, F_DUPFD, 900);
  CHECK(run("ls /proc/$$/fd").exit_code == 0);
  ::close(leaky);
  ::close(high);
  CHECK(output() == "0\n1\n2\n");
}

TEST_CASE_FIXTURE(bench, "blocked and ignored signals of the agent are as usual in a process") {
  sigset_t blocked;
  sigset_t before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
  const auto old = std::signal(SIGPIPE, SIG_IGN);
  run("grep -E '^Sig(Blk|Ign)' /proc/self/status");
  std::signal(SIGPIPE, old);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  // glibc's posix_spawn leaves its two internal signals 32 and 33 ignored; no program can use them anyway.
  CHECK(output() == "SigBlk:\t0000000000000000\nSigIgn:\t0000000180000000\n");
}

TEST_CASE_FIXTURE(bench, "the agent's out-of-memory score is not passed on") {
  const std::string own = "/proc/self/oom_score_adj";
  const std::string before = read_text(own);
  std::ofstream{own} << "500";
  REQUIRE(read_text(own) == "500\n");
  const auto process = launch(request("exec sleep 100"));
  const bool may_lower = ::geteuid() == 0;
  const std::string score = read_text("/proc/" + std::to_string(process.pid) + "/oom_score_adj");
  std::ofstream{own} << before;
  signal_group(process, SIGKILL);
  end_of(process);
  if (read_text(own) != before)
    MESSAGE("this container may not lower scores, so the child keeps 500 as documented");
  else if (may_lower)
    CHECK(score == "0\n");
}

TEST_CASE_FIXTURE(bench, "exit codes from 0 to 255 and signals are told apart, with the resources used") {
  CHECK(run("exit 0").exit_code == 0);
  CHECK(run("exit 255").exit_code == 255);
  const auto killed = run("kill -SEGV $$");
  CHECK(killed.known);
  CHECK(killed.signal == SIGSEGV);
  const auto busy = run("i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done");
  CHECK((busy.user_time + busy.system_time).count() > 0);
  CHECK(busy.max_rss_bytes > 100 * 1024);
}

TEST_CASE_FIXTURE(bench, "a command that does not exist says where it was looked for") {
  auto missing = request("");
  missing.command = {"no-such-program"};
  CHECK(refusal(missing) == driver_errc::command_not_found);
  CHECK(message
        == "the command `no-such-program` was not found in PATH=/usr/bin:/bin; install it on this host or give its "
           "absolute path");
  missing.command = {"/no/such/program"};
  CHECK(refusal(missing) == driver_errc::command_not_found);
  CHECK(message == "the command `/no/such/program` does not exist on this host");
}

TEST_CASE_FIXTURE(bench, "a file without execute permission, of another format or with a lost interpreter is not executable") {
  auto wanted = request("");
  const std::string file = data.path() + "/tool";
  wanted.command = {file};
  std::ofstream{file} << "just text\n";
  ::chmod(file.c_str(), 0644);
  CHECK(refusal(wanted) == driver_errc::command_not_executable);
  CHECK(message.find("Permission denied") != std::string::npos);
  ::chmod(file.c_str(), 0755);
  CHECK(refusal(wanted) == driver_errc::command_not_executable);
  CHECK(message.find("Exec format error") != std::string::npos);
  std::ofstream{file} << "#!/no/such/interpreter\n";
  CHECK(refusal(wanted) == driver_errc::command_not_executable);
  CHECK(message.find("interpreter") != std::string::npos);
}

TEST_CASE_FIXTURE(bench, "a relative command with a slash means the working directory, a bare one never does") {
  const std::string file = data.path() + "/tool";
  std::ofstream{file} << "#!/bin/sh\nexit 7\n";
  ::chmod(file.c_str(), 0755);
  auto wanted = request("");
  wanted.command = {"./tool"};
  CHECK(end_of(launch(wanted)).exit_code == 7);
  wanted.command = {"tool"};
  wanted.environment.back() = "PATH=:.:";
  CHECK(refusal(wanted) == driver_errc::command_not_found);
}

TEST_CASE_FIXTURE(bench, "a missing working directory, unusable logs and an endless argument are named") {
  auto wanted = request("true");
  wanted.working_directory = data.path() + "/nowhere";
  CHECK(refusal(wanted) == driver_errc::working_directory_missing);
  CHECK(message.find("/nowhere") != std::string::npos);
  wanted = request("true");
  wanted.output_path = data.path() + "/nowhere/out";
  CHECK(refusal(wanted) == driver_errc::data_directory_unusable);
  wanted = request("true");
  wanted.command.emplace_back(4'000'000, 'x');
  CHECK(refusal(wanted) == driver_errc::invalid_request);
}

TEST_CASE_FIXTURE(bench, "what a process left in its group dies with it, also when it ignores SIGTERM") {
  const auto process = launch(request("sh -c 'trap \"\" TERM; sleep 1000' & echo $! > left; sleep 1000 & echo $! >> left; exit 0"));
  REQUIRE(eventually([&] { return !is_alive(process); }));
  std::ifstream in{data.path() + "/left"};
  pid_t first = 0;
  pid_t second = 0;
  in >> first >> second;
  REQUIRE(second > 0);
  CHECK(signal_group(process, SIGKILL));
  CHECK(collect_end(process)->exit_code == 0);
  CHECK(eventually([&] { return is_gone(first) && is_gone(second); }));
  CHECK(eventually([&] { return !signal_group(process, SIGKILL); })); // once init has collected them
}

TEST_CASE_FIXTURE(bench, "a process number with another start time is never opened") {
  const auto process = launch(request("exec sleep 100"));
  CHECK(open_process(process.pid, process.start_ticks));
  CHECK_FALSE(open_process(process.pid, process.start_ticks + 1));
  CHECK_FALSE(open_process(process.pid, process.start_ticks - 1));
  CHECK_FALSE(open_process(0, 0));
  CHECK_FALSE(open_process(-1, process.start_ticks));
  signal_group(process, SIGKILL);
  end_of(process);
  CHECK_FALSE(open_process(process.pid, process.start_ticks));
}

TEST_CASE_FIXTURE(bench, "records of another boot, of an ended process or with another start time are not taken over") {
  const auto process = launch(request("exec sleep 100"));
  prunella::storage::container_record good;
  good.name = "good";
  good.pid = process.pid;
  good.start_time_ticks = process.start_ticks;
  good.boot_id = read_boot_id();
  auto other_boot = good;
  other_boot.name = "other-boot";
  other_boot.boot_id = "0";
  auto reused = good;
  reused.name = "reused";
  reused.start_time_ticks -= 1;
  const auto recovery = recover_processes({good, other_boot, reused}, read_boot_id());
  REQUIRE(recovery.running.size() == 1);
  CHECK(recovery.running[0].record.name == "good");
  CHECK(recovery.gone == std::vector<std::string>{"other-boot", "reused"});
  CHECK(recover_processes({good}, "").running.empty());
  signal_group(process, SIGKILL);
  end_of(process);
}

TEST_CASE_FIXTURE(bench, "what ran under a driver that a host has no more is killed with its monitor, and nothing that got its number later") {
  const auto process = launch(request("sleep 1000 & exec sleep 1000"));
  const auto monitor = launch(request("exec sleep 1000"));
  const auto other = launch(request("exec sleep 1000"));
  prunella::storage::container_record record;
  record.name = "c";
  record.pid = process.pid;
  record.start_time_ticks = process.start_ticks;
  record.monitor_pid = monitor.pid;
  record.monitor_start_ticks = monitor.start_ticks;
  record.boot_id = read_boot_id();
  auto reused = record;
  reused.pid = other.pid;
  --reused.start_time_ticks;
  CHECK(kill_recorded({reused}, read_boot_id()) == 0);
  CHECK(kill_recorded({record}, "another boot") == 0);
  CHECK(is_alive(process));
  CHECK(kill_recorded({record, reused}, read_boot_id()) == 1);
  CHECK(end_of(process).signal == SIGKILL);
  CHECK(end_of(monitor).signal == SIGKILL);
  CHECK(is_alive(other));
  signal_group(other, SIGKILL);
  end_of(other);
}

TEST_CASE_FIXTURE(bench, "kill_orphans ends marked processes without a record and spares the recorded and the foreign") {
  const auto recorded = launch(request("exec sleep 100"));
  auto wanted = request("setsid sleep 1000 & exec sleep 1000");
  wanted.environment[1] = "PRUNELLA_CONTAINER=unknown";
  const auto orphan = launch(wanted);
  wanted.environment[0] = "PRUNELLA_AGENT=/another/agent";
  const auto foreign = launch(wanted);
  REQUIRE(eventually([&] { return find_marked_processes(data.path()).size() == 3; }));
  prunella::storage::container_record known;
  known.name = "c";
  known.generation = 1;
  CHECK(kill_orphans(data.path(), {known}) >= 2);
  CHECK(end_of(orphan).signal == SIGKILL);
  CHECK(eventually([&] { return find_marked_processes(data.path()).size() == 1; }));
  CHECK(is_alive(recorded));
  CHECK(is_alive(foreign));
  CHECK(kill_orphans("/another/agent", {}) >= 1);
  CHECK(end_of(foreign).signal == SIGKILL);
  signal_group(recorded, SIGKILL);
  end_of(recorded);
}

TEST_CASE_FIXTURE(bench, "the exit code of a process that is not our child comes through its pidfd") {
  // The launcher is a child of ours and exits at once, so the container becomes init's.
  const auto launcher = launch(request("setsid sh -c 'echo $$ > pid; while [ ! -e go ]; do sleep 0.01; done; exit 42' &"));
  const std::string file = data.path() + "/pid";
  REQUIRE(eventually([&] { return !read_text(file).empty() && !is_alive(launcher); }));
  const pid_t pid = std::stoi(read_text(file));
  const auto stat = read_proc_stat(pid);
  REQUIRE(stat);
  const auto process = open_process(pid, stat->start_ticks);
  REQUIRE(process);
  collect_end(launcher);
  CHECK_FALSE(collect_end(*process));
  std::ofstream{data.path() + "/go"} << "now";
  REQUIRE(eventually([&] { return !is_alive(*process); }));
  std::optional<process_end> end;
  CHECK(eventually([&] { return (end = collect_end(*process)).has_value(); }));
  REQUIRE(end);
  if (!end->known && !kernel_at_least(6, 15)) { // root sees it if init was slower to collect it
    MESSAGE("SKIPPED: the exit code of who is not our child needs Linux 6.15 (PIDFD_GET_INFO with exit codes)");
    return;
  }
  CHECK(end->known);
  CHECK(end->exit_code == 42);
}

TEST_CASE_FIXTURE(bench, "the watcher tells of an end once, also of one that happened before it was asked") {
  std::promise<std::uint64_t> first;
  std::promise<std::uint64_t> second;
  std::atomic<int> calls{0};
  process_watcher watcher{[&](std::uint64_t key) {
    ++calls;
    (key == 1 ? first : second).set_value(key);
  }};
  const auto early = launch(request("exit 0"));
  REQUIRE(eventually([&] { return !is_alive(early); }));
  CHECK(watcher.watch(early.pidfd.get(), 1));
  CHECK(first.get_future().get() == 1);
  const auto late = launch(request("exec sleep 1000"));
  CHECK(watcher.watch(late.pidfd.get(), 2));
  CHECK(calls == 1);
  signal_group(late, SIGKILL);
  CHECK(second.get_future().get() == 2);
  CHECK(calls == 2);
  collect_end(early);
  collect_end(late);
}

TEST_CASE_FIXTURE(bench, "whole lines are taken once, a last one without newline when the process is over, long ones in pieces") {
  const auto raw = raw_stdout_path(data.path());
  const auto log = data.path() + "/log";
  const auto texts = [&] {
    std::string all;
    std::ifstream in{log};
    for (std::string line; std::getline(in, line);) {
      const auto parsed = parse_log_line(line);
      REQUIRE(parsed);
      all.append(parsed->is_partial ? "P" : "F").append(std::to_string(parsed->text.size()) + " ");
    }
    return all;
  };
  CHECK_FALSE(take_raw_output(data.path(), 1 << 20, false));
  std::ofstream{raw} << "one\n\nunfin";
  take_raw_output(data.path(), 1 << 20, false);
  take_raw_output(data.path(), 1 << 20, false);
  CHECK(texts() == "F3 F0 ");
  std::ofstream{raw, std::ios::app} << "ished";
  take_raw_output(data.path(), 1 << 20, true);
  CHECK(texts() == "F3 F0 F10 ");
  begin_raw_output(data.path(), 1 << 20);
  CHECK_FALSE(std::filesystem::exists(raw));
  std::ofstream{raw} << std::string(16 * 1024, 'x') << "rest\n";
  take_raw_output(data.path(), 1 << 20, false);
  CHECK(texts() == "F3 F0 F10 P16384 F4 ");
}

TEST_CASE_FIXTURE(bench, "a log of exactly the cap stays, and one byte more makes it the older half") {
  const auto log = data.path() + "/log";
  std::ofstream{log} << std::string(100, 'a');
  take_raw_output(data.path(), 100, false);
  CHECK_FALSE(std::filesystem::exists(older_log_path(log)));
  std::ofstream{log, std::ios::app} << "b";
  take_raw_output(data.path(), 100, false);
  CHECK(read_text(older_log_path(log)) == std::string(100, 'a') + "b");
  CHECK_FALSE(std::filesystem::exists(log));
}

TEST_CASE_FIXTURE(bench, "a process that writes without end keeps bounded files, and goes on writing") {
  constexpr std::int64_t cap = 256 * 1024;
  auto wanted = request("exec yes 0123456789");
  wanted.output_path = raw_stdout_path(data.path());
  const auto log = data.path() + "/log";
  log_keeper keeper{data.path()};
  const auto process = launch(wanted);
  keeper.add({log, {}, 0}, {2 * cap, {}});
  int rotations = 0;
  auto before = std::filesystem::file_time_type::min();
  REQUIRE(eventually([&] {
    std::error_code missing;
    const auto time = std::filesystem::last_write_time(older_log_path(log), missing);
    if (!missing && time != before) {
      before = time;
      ++rotations;
    }
    return rotations >= 5;
  }));
  CHECK(is_alive(process));
  signal_group(process, SIGKILL);
  end_of(process);
  keeper.remove(log);
  CHECK(std::filesystem::file_size(older_log_path(log)) <= 12 * cap); // what is taken at once, each line with its time
  struct stat info {};
  REQUIRE(::stat(wanted.output_path.c_str(), &info) == 0);
  MESSAGE("its own file has ", info.st_blocks / 2, " KiB of ", info.st_size / 1024, " KiB written");
  CHECK(info.st_size > 4 * cap);
}
TEST_CASE_FIXTURE(bench, "a process starts in a few milliseconds") {
  std::vector<double> took;
  for (int i = 0; i < 20; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    const auto process = launch(request("exit 0"));
    took.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    end_of(process);
  }
  std::sort(took.begin(), took.end());
  MESSAGE("start of a process, median of 20: ", took[10], " ms, longest ", took.back(), " ms");
  CHECK(took[10] < 50); // the goal is 5 ms on a quiet machine; this only catches a fork that copies the agent
}
