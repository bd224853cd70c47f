#include "actors/instance/command_runner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <iterator>
#include <string_view>
#include <system_error>
#include <utility>

#include "actors/instance/file_head.hpp"
#include "actors/instance/oci/conmon.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/spawn_plan.hpp"
#include "actors/instance/thread_without_signals.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

// util-linux, so everywhere: what it starts dies with our thread, also when the agent is killed.
const std::vector<std::string> dies_with_us{"/usr/bin/setpriv", "--pdeathsig", "KILL", "--"};

/// Kills all processes of the session of `leader`, also those of a shell's jobs, which are in groups of their own. With a
/// `cgroup` only those in it: the number may mean another session by now.
void kill_session(pid_t leader, const std::string& cgroup) {
  for (const auto pid : list_processes()) {
    const auto stat = read_proc_stat(pid);
    if (!stat || stat->session != leader)
      continue;
    if (cgroup.empty() || is_in_cgroup(pid, cgroup))
      ::kill(pid, SIGKILL);
  }
}

} // namespace

driver_failure command_cannot_begin(const std::string& container, const char* what) {
  return {driver_errc::fork_failed, "a command in " + container + " could not be started: there is no " + what + ": "
                                      + std::strerror(errno) + "; see the limits of the agent (`ulimit -n`)"};
}

bool is_in_cgroup(pid_t pid, const std::string& cgroup) {
  return file_head("/proc/" + std::to_string(pid) + "/cgroup").find(cgroup + "\n") != std::string::npos;
}

void kill_command_inside(const std::string& pid_file, const std::string& cgroup) {
  const auto leader = pid_in(pid_file);
  if (leader == 0)
    return;
  const auto stat = read_proc_stat(leader);
  // runc gives it a session of its own; from crun it has that of crun, which is ours for this command.
  kill_session(stat && stat->session > 1 ? stat->session : leader, cgroup);
}

std::string process_file_of(const std::string& pid_file) {
  return pid_file + ".process";
}

void remove_files_of(const command_plan& plan) {
  if (plan.pid_file.empty())
    return;
  ::unlink(plan.pid_file.c_str());
  ::unlink(process_file_of(plan.pid_file).c_str());
}

driver_result<process_handle> start_command(const command_plan& plan, const command_streams& streams) {
  spawn_plan spawn;
  if (!streams.terminal.empty()) { // the first terminal that the leader of a session opens is its own
    ::posix_spawn_file_actions_addopen(spawn.files(), STDIN_FILENO, streams.terminal.c_str(), O_RDWR, 0);
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
      ::posix_spawn_file_actions_adddup2(spawn.files(), STDIN_FILENO, fd);
  } else {
    const std::array<int, 3> given{streams.input, streams.output, streams.error};
    for (int fd = 0; fd < 3; ++fd)
      if (given[static_cast<std::size_t>(fd)] >= 0)
        ::posix_spawn_file_actions_adddup2(spawn.files(), given[static_cast<std::size_t>(fd)], fd);
      else if (fd != STDIN_FILENO)
        ::posix_spawn_file_actions_addopen(spawn.files(), fd, "/dev/null", O_WRONLY, 0);
  }
  ::posix_spawn_file_actions_addchdir_np(spawn.files(), plan.working_directory.c_str());
  ::posix_spawn_file_actions_addclosefrom_np(spawn.files(), STDERR_FILENO + 1);
  auto command = dies_with_us;
  command.insert(command.end(), plan.command.begin(), plan.command.end());
  pid_t pid = 0;
  if (const int failed = spawn.run(command.front(), command, plan.environment, pid); failed != 0)
    return spawn_failure(plan.command.front(), failed);
  return open_child(pid);
}

void kill_command(const command_plan& plan, const process_handle& process, milliseconds since) {
  const bool is_inside = !plan.pid_file.empty();
  if (is_inside)
    kill_command_inside(plan.pid_file, plan.cgroup);
  if (is_inside && since < kill_patience)
    return;
  signal_group(process, SIGKILL); // at once, before it begins more
  kill_session(process.pid, {});
}

std::int32_t shell_code(const process_end& end) {
  return end.signal > 0 ? 128 + end.signal : end.exit_code;
}

std::optional<driver_failure> refused_inside(const command_plan& plan, std::int32_t exit_code, const std::string& words) {
  if (plan.pid_file.empty() || exit_code == 0 || ::access(plan.pid_file.c_str(), F_OK) == 0)
    return std::nullopt;
  auto failure = explain_runtime(words);
  if (failure.code == driver_errc::command_not_found)
    failure.message += "; name a program that the container has";
  if (exit_code == engine_not_asked)
    failure.code = driver_errc::engine_away;
  constexpr std::string_view of_start = "could not start the container";
  if (const auto at = failure.message.find(of_start); at != std::string::npos)
    failure.message.replace(at, of_start.size(), "could not run the command in the container");
  return failure;
}

command_runner::command_runner() : wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  if (!wake_)
    throw std::system_error{errno, std::generic_category(), "commands in containers cannot be watched (eventfd)"};
  thread_ = thread_without_signals([this] { work(); });
}

command_runner::~command_runner() {
  stopping_ = true;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void command_runner::run(command_plan plan, milliseconds timeout, on_end tell) {
  {
    const std::lock_guard lock{mutex_};
    waiting_.push_back({std::move(plan), timeout, std::move(tell)});
  }
  ::eventfd_write(wake_.get(), 1);
}

void command_runner::cancel(const std::string& container) {
  {
    const std::lock_guard lock{mutex_};
    cancelled_.push_back(container);
  }
  ::eventfd_write(wake_.get(), 1);
}

// -- the thread ----------------------------------------------------------------------------------------------------------

void command_runner::work() {
  while (!stopping_) {
    std::vector<command> fresh;
    std::vector<std::string> cancelled;
    {
      const std::lock_guard lock{mutex_};
      fresh = std::exchange(waiting_, {});
      cancelled = std::exchange(cancelled_, {});
    }
    for (auto& one : fresh)
      begin(std::move(one));
    for (auto& one : running_)
      one.is_cancelled |= std::find(cancelled.begin(), cancelled.end(), one.plan.container) != cancelled.end();
    for (auto one = running_.begin(); one != running_.end();)
      one = look(*one) ? running_.erase(one) : std::next(one);
    if (!stopping_)
      wait();
  }
  for (auto& one : running_) {
    kill_command(one.plan, one.process, kill_patience);
    remove_files_of(one.plan);
  }
}

void command_runner::begin(command next) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    auto failure = command_cannot_begin(next.plan.container, "pipe");
    remove_files_of(next.plan);
    next.tell({std::move(failure), {}});
    return;
  }
  next.output = unique_fd{ends[0]};
  const unique_fd writing{ends[1]};
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  next.started = clock::now();
  auto process = start_command(next.plan, {{}, -1, writing.get(), writing.get()});
  if (auto* failure = std::get_if<driver_failure>(&process)) {
    remove_files_of(next.plan);
    next.tell({std::move(*failure), {}});
    return;
  }
  next.process = std::get<process_handle>(std::move(process));
  running_.push_back(std::move(next));
}

/// True when it has ended.
bool command_runner::look(command& one) {
  const auto now = clock::now();
  if (!one.killed_at && (one.is_cancelled || now - one.started >= one.timeout)) {
    one.killed_at = now;
    one.end.result.timed_out = !one.is_cancelled;
  }
  const bool has_ended = !is_alive(one.process);
  if (one.killed_at && !has_ended)
    kill_command(one.plan, one.process, std::chrono::duration_cast<milliseconds>(now - *one.killed_at));
  read_output(one);
  if (!has_ended)
    return false;
  if (one.plan.pid_file.empty())
    signal_group(one.process, SIGKILL); // what it left in its group; before its number is free again
  auto& result = one.end.result;
  result.exit_code = shell_code(collect_end_now(one.process));
  result.took = std::chrono::duration_cast<milliseconds>(now - one.started);
  if (one.is_cancelled)
    one.end.failure = {driver_errc::not_running, one.plan.container + " ended while the command ran in it"};
  else if (!result.timed_out)
    one.end.failure = refused_inside(one.plan, result.exit_code, result.output);
  remove_files_of(one.plan);
  one.tell(std::move(one.end));
  return true;
}

void command_runner::read_output(command& one) {
  std::array<char, 4096> buffer{};
  for (int i = 0; i < 64 && one.output; ++i) { // then the others have their turn
    const auto n = ::read(one.output.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR)
      continue;
    if (n < 0)
      return;
    if (n == 0)
      one.output.reset();
    auto& text = one.end.result.output;
    const auto taken = std::min(static_cast<std::size_t>(n), max_command_output - text.size());
    one.end.result.has_more_output |= taken < static_cast<std::size_t>(n);
    text.append(buffer.data(), taken);
  }
}

void command_runner::wait() {
  std::vector<pollfd> entries{{wake_.get(), POLLIN, 0}};
  auto until = clock::time_point::max();
  for (const auto& one : running_) {
    entries.push_back({one.process.pidfd.get(), POLLIN, 0});
    entries.push_back({one.output ? one.output.get() : -1, POLLIN, 0});
    until = std::min(until, one.killed_at ? clock::now() + kill_again : one.started + one.timeout);
  }
  const auto left = running_.empty() ? milliseconds{-1} : std::chrono::ceil<milliseconds>(until - clock::now());
  ::poll(entries.data(), entries.size(), running_.empty() ? -1 : static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
  eventfd_t wakes = 0;
  ::eventfd_read(wake_.get(), &wakes);
}

} // namespace prunella::actors
