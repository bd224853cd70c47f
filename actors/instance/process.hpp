#pragma once

// One process group of a container at the level of the operating system: start it, name it safely, signal it, learn how
// it ended. No actors, no policy. Every descriptor made here is close-on-exec.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "actors/instance/driver.hpp"
#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

/// A `T`, or why there is none.
template <class T>
using driver_result = std::variant<T, driver_failure>;

/// PATH of a container whose environment sets none.
inline constexpr std::string_view default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

struct launch_request {
  std::vector<std::string> command;     ///< argv, at least one; without NUL
  std::vector<std::string> environment; ///< `NAME=value`, complete and in this order
  std::string working_directory;        ///< must exist
  std::string input_path;               ///< read if it is there; empty: /dev/null
  std::string output_path;              ///< appended to, made with mode 0640
  std::string error_path;               ///< likewise
};

/// A process that was identified once: as long as `pidfd` is open it cannot be taken for another.
struct process_handle {
  pid_t pid = 0;
  std::uint64_t start_ticks = 0;
  unique_fd pidfd;
};

/// The executable file that `command` means: looked up in `path` (colon-separated) unless it holds a `/`, which is relative
/// to `working_directory`. Errors: command_not_found, command_not_executable.
driver_result<std::string> resolve_command(const std::string& command, std::string_view path,
                                           const std::string& working_directory);

/// The PATH of `environment`, or the default one.
std::string path_of(const std::vector<std::string>& environment);

/// Refuses what execve(2) cannot take: no command, NULs, variable names that are empty or hold `=`.
std::optional<driver_failure> check_order(const container_order& order);

/// Executes the command in its own session and process group: stdin is /dev/null or the given one, stdout and stderr the given files, all
/// other descriptors closed, signals as a shell would have them, the agent's out-of-memory score not inherited. Returns
/// after execve succeeded (posix_spawn: nothing of the agent's memory is copied). The caller must be the only one in this
/// process to wait for children it did not start itself.
driver_result<process_handle> launch_process(const launch_request& request);

/// Makes a handle of the child `pid`, just started. Error: fork_failed, and the child is killed.
driver_result<process_handle> open_child(pid_t pid);

/// What errno `number` of starting `path` means: fork_failed, invalid_request or command_not_executable.
driver_failure spawn_failure(const std::string& path, int number);

/// A pidfd of whatever process has this number now; empty with errno set if it cannot be had.
unique_fd open_pidfd(pid_t pid);

/// Finds the process that `pid` meant when its start was noted. Empty if it is gone, was replaced by another process with
/// the same number, or is a zombie that is not our child. A zombie child of ours is returned: its end can be collected.
std::optional<process_handle> open_process(pid_t pid, std::uint64_t start_ticks);

/// False for an ended process, collected or not.
bool is_alive(const process_handle& process);

/// Sends `signal` to the process group that `process` leads or led; false if nothing is left of it. Never reaches a group
/// that got the number later (Linux >= 6.9; before that the window between check and kill stays).
bool signal_group(const process_handle& process, int signal);

/// Sends `signal` to the process itself; false if it has ended.
bool signal_process(const process_handle& process, int signal);

/// How a process ended, as the kernel tells it.
struct process_end {
  bool known = false;
  std::int32_t exit_code = 0;
  std::int32_t signal = 0;
  std::chrono::microseconds user_time{0};
  std::chrono::microseconds system_time{0};
  std::int64_t max_rss_bytes = 0; ///< only for children

  PRUNELLA_FIELDS(process_end, known, exit_code, signal, user_time, system_time, max_rss_bytes)
};

/// Collects the end of an ended process. A child is waited for, with its use of resources. Of an adopted process the kernel
/// tells the status through the pidfd (Linux >= 6.15) or while it is a zombie; else `known` is false.
/// Nothing: it has not ended, or it ended and its parent has not collected it yet: ask again soon.
std::optional<process_end> collect_end(const process_handle& process);

/// As `collect_end`, for when waiting longer is of no use: what is not known by now stays unknown.
process_end collect_end_now(const process_handle& process);

/// Splits a wait(2) status into exit code and signal.
process_end from_wait_status(std::int32_t status);

} // namespace prunella::actors
