#pragma once

// What runs on the machine, compared with what the site says, and watched all the while.

#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/cluster/site_processes.hpp"

namespace prunella::tests {

/// Waits until exactly what `specs` ask for runs: every replica once, of the generation and in the process that the site
/// says, on the host that it says, and no process of any instance beside that. The test fails if that takes longer than
/// `limit`.
void wait_for_specified(const site_processes& site, const std::vector<config::application_spec>& specs,
                        std::chrono::milliseconds limit = std::chrono::seconds{30});

/// Looks at the processes of the machine again and again while it lives, in a thread of its own: one generation of a
/// container never has two main processes at once, on whichever hosts.
class copies_watch {
public:
  explicit copies_watch(const site_processes& site);
  ~copies_watch() { stop(); }
  copies_watch(const copies_watch&) = delete;
  copies_watch& operator=(const copies_watch&) = delete;

  /// Ends it and checks what it saw.
  void check();

private:
  void stop();

  std::string folder_;
  std::atomic<bool> stopping_{false};
  std::string fault_; ///< first one; read after the thread ended
  std::size_t looks_ = 0;
  std::thread thread_;
};

} // namespace prunella::tests
