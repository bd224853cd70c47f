#pragma once

// Keeps the logs of containers (`container_log.hpp`) complete and within their bounds (`log_bounds.hpp`): takes what plain
// processes print into their logs (`raw_log.hpp`), has the conmons of images begin a new file when a half is full, and lets
// what is too old go, also of containers that print nothing or have ended.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "actors/instance/driver_backend.hpp"
#include "actors/instance/log_bounds.hpp"
#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

/// Makes the newer half of the log at `path` the older one; the conmon behind the control pipe `reopen`, if that is not
/// empty, begins a new one. False if nothing was done.
bool turn_log_over(const std::string& path, const std::string& reopen);

/// One thread for all logs, which watches their folders (inotify): no work while nothing is written, but for a look now and
/// then if one of them has a bound of age.
class log_keeper {
public:
  /// The shortest time between two looks at files that are written.
  static constexpr std::chrono::milliseconds pause{20};

  /// `folder` has those of all containers, each with its log in it. `now`: Unix time in ms.
  explicit log_keeper(std::string folder, std::function<std::int64_t()> now = {});
  log_keeper(const log_keeper&) = delete;
  log_keeper& operator=(const log_keeper&) = delete;
  ~log_keeper();

  /// Looks after `log` from now on, also after what was written before, within `bounds`; again: within other bounds.
  void add(const written_log& log, const config::log_spec& bounds);
  /// From now on, what is too old goes: all logs have been added that somebody writes.
  void begin_ageing();
  /// Its container has ended: what it printed last is in the log when this returns.
  void remove(const std::string& path);

private:
  struct kept_log {
    int watch = -1; ///< of inotify, on its folder; -1: there is none, as the system has no more
    std::string reopen;
    config::log_spec bounds; ///< as its writer permits
    bool bounds_its_size = false;
  };

  void run();
  void watch(const std::string& path, kept_log& log) const;
  bool any_unwatched();
  bool look_at_all();
  void look_at_ages();
  std::chrono::milliseconds time_to_look() const;
  void wait_for_writes();

  const std::string folder_;
  const std::function<std::int64_t()> now_;
  std::chrono::steady_clock::time_point next_look_ = std::chrono::steady_clock::time_point::max(); ///< at the ages of logs
  bool is_ageing_ = false;
  unique_fd inotify_;
  unique_fd wake_;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  std::map<std::string, kept_log> logs_; ///< by path
  std::mutex taking_; ///< held while output is taken: two at once would take it twice
  std::thread thread_;
};

} // namespace prunella::actors
