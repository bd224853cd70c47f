#pragma once

// Runs commands in containers for a driver, as planned by its backends: one thread for all of them, which waits for their
// output, their ends and their time. No actors, no policy.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "actors/instance/driver.hpp"
#include "actors/instance/process.hpp"

namespace prunella::actors {

/// Of an `exec_result`.
inline constexpr std::size_t max_command_output = 4096;

/// The wait between two looks at commands that are to be gone and are not.
inline constexpr std::chrono::milliseconds kill_again{20};
/// A runtime that has not told the pid of its command this long after it was to be killed is killed itself.
inline constexpr std::chrono::milliseconds kill_patience{2'000};

/// Where the runtime reads what to run, beside where it writes the pid.
std::string process_file_of(const std::string& pid_file);

/// Those two, when the command is over.
void remove_files_of(const command_plan& plan);

/// fork_failed: there is no `what` (a pipe, a process) for a command, for the reason in `errno`.
driver_failure command_cannot_begin(const std::string& container, const char* what);

/// False also when there is no such process.
bool is_in_cgroup(pid_t pid, const std::string& cgroup);

/// Kills the session of the command whose pid the runtime wrote into `pid_file`, as far as it is in `cgroup`.
void kill_command_inside(const std::string& pid_file, const std::string& cgroup);

/// What a command reads and writes: a terminal, or descriptors of the caller. -1: /dev/null.
struct command_streams {
  std::string terminal; ///< path of a pseudo terminal, which becomes the command's own; empty: none
  int input = -1;
  int output = -1;
  int error = -1;
};

/// Starts what `plan` says, in a session of its own; it is killed by the kernel when the calling thread ends.
driver_result<process_handle> start_command(const command_plan& plan, const command_streams& streams);

/// Kills what `process`, started for `plan`, stands for; to be repeated until it has ended. `since`: how long ago the first
/// time was.
void kill_command(const command_plan& plan, const process_handle& process, std::chrono::milliseconds since);

/// How a command ended: as the shell says it.
std::int32_t shell_code(const process_end& end);

/// What a helper ends with that could not ask the container engine (EX_UNAVAILABLE, which no runtime uses): that says nothing of
/// the command.
constexpr std::int32_t engine_not_asked = 69;

/// Why there was no command, if `exit_code` and `words` are the runtime's own: it wrote no pid.
std::optional<driver_failure> refused_inside(const command_plan& plan, std::int32_t exit_code, const std::string& words);

/// How a command went, or why there was none.
struct command_end {
  std::optional<driver_failure> failure;
  exec_result result;
};

class command_runner {
public:
  /// Called once for each command, in the runner's thread.
  using on_end = std::function<void(command_end)>;

  command_runner();
  command_runner(const command_runner&) = delete;
  command_runner& operator=(const command_runner&) = delete;
  /// Kills all commands; of these nobody hears.
  ~command_runner();

  /// The caller bounds how many there are at a time.
  void run(command_plan plan, std::chrono::milliseconds timeout, on_end tell);

  /// Kills the commands of a container that has ended; their end is told as not_running.
  void cancel(const std::string& container);

private:
  using clock = std::chrono::steady_clock;
  struct command {
    command_plan plan;
    std::chrono::milliseconds timeout{0};
    on_end tell;
    process_handle process{};
    unique_fd output{}; ///< reading end; empty once it is over
    clock::time_point started{};
    std::optional<clock::time_point> killed_at{};
    bool is_cancelled = false;
    command_end end{};
  };

  void work();
  void begin(command next);
  bool look(command& one);
  void read_output(command& one);
  void wait();

  std::mutex mutex_;
  std::vector<command> waiting_;
  std::vector<std::string> cancelled_;
  std::atomic<bool> stopping_{false};
  unique_fd wake_;
  std::list<command> running_; ///< the thread's own
  std::thread thread_;
};

} // namespace prunella::actors
