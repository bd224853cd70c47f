#include "actors/instance/process.hpp"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "actors/instance/proc_filesystem.hpp"

namespace prunella::actors {

namespace {

// Debian 12's headers are older than the kernels we may run on: from <linux/pidfd.h> of Linux 6.15.
struct pidfd_info {
  std::uint64_t mask;
  std::uint64_t cgroup_id;
  std::uint32_t ids[11]; // pid, tgid, ppid, then real, effective, saved and file system user and group ids
  std::int32_t exit_code;
};
static_assert(sizeof(pidfd_info) == 64, "PIDFD_INFO_SIZE_VER0");
constexpr std::uint64_t pidfd_info_exit = 1ULL << 3;
constexpr unsigned long pidfd_get_info = _IOWR(0xFF, 11, struct pidfd_info);
constexpr unsigned int pidfd_signal_process_group = 1U << 2; // Linux 6.9

// Not in every libc's headers either; waitid(2) takes P_PIDFD since Linux 5.4.
constexpr idtype_t by_pidfd = static_cast<idtype_t>(3);

std::chrono::microseconds to_time(const timeval& t) {
  return std::chrono::seconds{t.tv_sec} + std::chrono::microseconds{t.tv_usec};
}

enum class wait_outcome { collected, still_runs, not_a_child };

wait_outcome wait_for_child(const process_handle& process, process_end& end) {
  siginfo_t info{};
  rusage use{};
  // glibc's waitid() hides the kernel's fifth parameter, the use of resources.
  const long failed = ::syscall(SYS_waitid, by_pidfd, process.pidfd.get(), &info, WEXITED | WNOHANG, &use);
  if (failed != 0)
    return wait_outcome::not_a_child;
  if (info.si_pid == 0)
    return wait_outcome::still_runs;
  end.known = true;
  (info.si_code == CLD_EXITED ? end.exit_code : end.signal) = info.si_status;
  end.user_time = to_time(use.ru_utime);
  end.system_time = to_time(use.ru_stime);
  end.max_rss_bytes = std::int64_t{use.ru_maxrss} * 1024;
  return wait_outcome::collected;
}

// The status that the kernel keeps for the holders of a pidfd after the process was collected.
std::optional<std::int32_t> status_by_pidfd(const process_handle& process) {
  pidfd_info info{};
  info.mask = pidfd_info_exit;
  if (::ioctl(process.pidfd.get(), pidfd_get_info, &info) != 0 || (info.mask & pidfd_info_exit) == 0)
    return std::nullopt;
  return info.exit_code;
}

} // namespace

process_end from_wait_status(std::int32_t status) {
  process_end end;
  end.known = true;
  if (WIFSIGNALED(status))
    end.signal = WTERMSIG(status);
  else
    end.exit_code = WEXITSTATUS(status);
  return end;
}

// By number: <sys/pidfd.h> of glibc 2.36 lacks extern "C".
unique_fd open_pidfd(pid_t pid) {
  return unique_fd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
}

std::optional<process_handle> open_process(pid_t pid, std::uint64_t start_ticks) {
  if (pid <= 0)
    return std::nullopt;
  process_handle process{pid, start_ticks, open_pidfd(pid)};
  if (!process.pidfd)
    return std::nullopt;
  // The pidfd came first: if the number changed hands before the next line, the start times differ.
  const auto stat = read_proc_stat(pid);
  if (!stat || stat->start_ticks != start_ticks)
    return std::nullopt;
  if (stat->state == 'Z' && stat->parent != ::getpid())
    return std::nullopt;
  return process;
}

bool is_alive(const process_handle& process) {
  pollfd entry{process.pidfd.get(), POLLIN, 0};
  return ::poll(&entry, 1, 0) == 0;
}

bool signal_group(const process_handle& process, int signal) {
  if (::syscall(SYS_pidfd_send_signal, process.pidfd.get(), signal, nullptr, pidfd_signal_process_group) == 0)
    return true;
  if (errno != EINVAL)
    return false;
  const auto holder = read_proc_stat(process.pid);
  if (holder && holder->start_ticks != process.start_ticks)
    return false; // the number was given to another process, which is only possible once our group was empty
  return ::kill(-process.pid, signal) == 0;
}

bool signal_process(const process_handle& process, int signal) {
  return ::syscall(SYS_pidfd_send_signal, process.pidfd.get(), signal, nullptr, 0) == 0;
}

std::optional<process_end> collect_end(const process_handle& process) {
  process_end end;
  switch (wait_for_child(process, end)) {
    case wait_outcome::collected:
      return end;
    case wait_outcome::still_runs:
      return std::nullopt;
    case wait_outcome::not_a_child:
      break;
  }
  if (is_alive(process))
    return std::nullopt;
  const auto stat = read_proc_stat(process.pid);
  const bool zombie = stat && stat->start_ticks == process.start_ticks;
  if (const auto status = status_by_pidfd(process))
    end = from_wait_status(*status);
  else if (zombie && (stat->wait_status != 0 || ::geteuid() == 0)) // 0 is also what the kernel shows to who may not know
    end = from_wait_status(stat->wait_status);
  else if (zombie)
    return std::nullopt;
  if (zombie) {
    end.user_time = ticks_to_time(stat->user_ticks);
    end.system_time = ticks_to_time(stat->system_ticks);
  }
  return end;
}

process_end collect_end_now(const process_handle& process) {
  return collect_end(process).value_or(process_end{});
}

} // namespace prunella::actors
