#pragma once

// Tells within a fraction of a millisecond that a process ended: one thread that sleeps in epoll over pidfds.

#include <cstdint>
#include <functional>
#include <thread>

#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

class process_watcher {
public:
  /// Calls `on_end(key)` once for each watched process that ended, from the watcher's own thread; it must not block.
  /// Throws std::system_error if the operating system has no descriptors left.
  explicit process_watcher(std::function<void(std::uint64_t key)> on_end);
  process_watcher(const process_watcher&) = delete;
  process_watcher& operator=(const process_watcher&) = delete;
  /// Ends the thread; no call of `on_end` happens afterwards. Not to be destroyed inside `on_end`.
  ~process_watcher();

  /// Watches the process behind `pidfd` until it ended or the descriptor is closed; one that already ended counts.
  /// False if the operating system refuses (descriptor limits of epoll).
  bool watch(int pidfd, std::uint64_t key);

private:
  void run();

  std::function<void(std::uint64_t)> on_end_;
  unique_fd epoll_;
  unique_fd stop_;
  std::thread thread_;
};

} // namespace prunella::actors
