#pragma once

// One process at a time. A lock file held with flock(2): the kernel releases it when the process ends, however it ends.

#include <string>

#include "storage/errors.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

/// Held until destroyed, also if a child that was just forked still has a copy of the descriptor (which is close-on-exec); held
/// beyond the end of a process that was killed for as long as such a child lives.
class process_lock {
public:
  /// Takes the lock file `path` (created with mode 0600, never removed) or fails at once with `locked` and the pid of
  /// the process that holds it. `what` names the locked thing in that sentence: "the data directory /x".
  static result<process_lock> acquire(const std::string& path, const std::string& what);

  process_lock(process_lock&&) noexcept = default;
  process_lock& operator=(process_lock&&) = delete;
  ~process_lock();

private:
  explicit process_lock(unique_fd fd) : fd_(std::move(fd)) {}

  unique_fd fd_;
};

} // namespace prunella::storage
