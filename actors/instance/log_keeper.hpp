#pragma once

// Keeps the logs of containers (`container_log.hpp`) complete and bounded: takes what plain processes print into their logs
// (`raw_log.hpp`), and has the conmons of images begin a new file when theirs is full. Per container there are at most the
// live file and one older one, each about the cap.

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

/// If the file at `path` is larger than `cap` bytes, it becomes the older file, and the conmon behind the control pipe
/// `reopen` begins a new one. False if nothing was done.
bool rotate_conmon_log(const std::string& path, const std::string& reopen, std::int64_t cap);

/// One thread for all logs, which watches their folders (inotify): no work while nothing is written.
class log_keeper {
public:
  /// The shortest time between two looks at files that are written.
  static constexpr std::chrono::milliseconds pause{20};

  explicit log_keeper(std::int64_t cap);
  log_keeper(const log_keeper&) = delete;
  log_keeper& operator=(const log_keeper&) = delete;
  ~log_keeper();

  /// Looks after the log at `path` from now on, also after what was written before. `reopen` is the control pipe of the
  /// conmon that writes it; empty: it is of a plain process, whose output is in the same folder.
  void add(const std::string& path, const std::string& reopen);
  /// Its container has ended: what it printed last is in the log when this returns.
  void remove(const std::string& path);

private:
  struct kept_log {
    int watch = -1; ///< of inotify, on its folder
    std::string reopen;
  };

  void run();
  bool look_at_all();
  void wait_for_writes();

  const std::int64_t cap_;
  unique_fd inotify_;
  unique_fd wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::map<std::string, kept_log> logs_; ///< by path
  std::mutex taking_; ///< held while output is taken: two at once would take it twice
  std::thread thread_;
};

} // namespace prunella::actors
