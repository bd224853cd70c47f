#pragma once

// One process at a time. A lock file held with flock(2): the kernel releases it when the process ends, however it ends.

#include <string>

#include "storage/errors.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

/// Held until destroyed. The descriptor is close-on-exec; a child that is forked and does not exec keeps the lock
/// alive.
class process_lock {
public:
  /// Takes the lock file `path` (created with mode 0600, never removed) or fails at once with `locked` and the pid of
  /// the process that holds it. `what` names the locked thing in that sentence: "the data directory /x".
  static result<process_lock> acquire(const std::string& path, const std::string& what);

private:
  explicit process_lock(unique_fd fd) : fd_(std::move(fd)) {}

  unique_fd fd_;
};

} // namespace prunella::storage
