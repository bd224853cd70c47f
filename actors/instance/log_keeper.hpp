#pragma once

// Bounds the files that containers write their output to. A plain process holds its log file open itself, so that it can
// go on while the agent is away; therefore a full log is copied aside and emptied, not renamed. Per stream there are at
// most the live file and one older one, together about twice the cap: a container can exceed it by what it writes
// within a pause of `log_keeper`, and lines written between the copy and the emptying are lost.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

inline constexpr std::int64_t default_log_cap = 4 * 1024 * 1024;

/// Where the older half of the log at `path` is kept.
std::string older_log_path(const std::string& path);

/// If the file at `path` is larger than `cap` bytes, its last `cap` bytes become the older file and it is emptied.
/// False if nothing was done: small enough, missing, or not readable and writable.
bool rotate_log(const std::string& path, std::int64_t cap);

/// If the file at `path` is larger than `cap` bytes, it becomes the older file, and the conmon behind the control pipe
/// `reopen` begins a new one. False if nothing was done.
bool rotate_conmon_log(const std::string& path, const std::string& reopen, std::int64_t cap);

/// Watches log files (inotify, one thread, no work while nothing is written) and rotates those that grew over the cap.
class log_keeper {
public:
  /// The shortest time between two looks at files that are written, and the same while one of them overflows.
  static constexpr std::chrono::milliseconds pause{20};
  static constexpr std::chrono::milliseconds overflow_pause{4};

  explicit log_keeper(std::int64_t cap);
  log_keeper(const log_keeper&) = delete;
  log_keeper& operator=(const log_keeper&) = delete;
  ~log_keeper();

  /// Keeps the file at `path` below the cap from now on; also if it is over the cap already. `reopen` is the control pipe
  /// of a conmon that writes it: such a log is renamed and conmon told to begin a new one, so nothing is lost.
  void add(const std::string& path, const std::string& reopen = {});
  void remove(const std::string& path);

private:
  void run();
  bool rotate_all();
  void wait_for_writes();

  const std::int64_t cap_;
  unique_fd inotify_;
  unique_fd wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  struct kept_log {
    int watch = -1; ///< of inotify, on its folder: conmon begins new files
    std::string reopen;
  };
  std::map<std::string, kept_log> logs_; ///< by path
  std::thread thread_;
};

} // namespace prunella::actors
