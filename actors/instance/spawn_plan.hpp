#pragma once

// How a child of a driver begins: posix_spawn with what all of them have in common. No policy.

#include <spawn.h>
#include <sys/types.h>

#include <string>
#include <vector>

namespace prunella::actors {

/// A session of its own, signals as a shell would have them, and nothing to read on its standard input. Its other
/// descriptors are the caller's to add. Owns the C objects.
class spawn_plan {
public:
  spawn_plan();
  spawn_plan(const spawn_plan&) = delete;
  spawn_plan& operator=(const spawn_plan&) = delete;
  ~spawn_plan();

  /// What happens between fork and exec, in the order in which it is added.
  posix_spawn_file_actions_t* files() { return &files_; }

  /// Runs `program`. 0 and `pid`, or an errno.
  int run(const std::string& program, const std::vector<std::string>& command,
          const std::vector<std::string>& environment, pid_t& pid) const;

private:
  posix_spawn_file_actions_t files_;
  posix_spawnattr_t attributes_;
};

} // namespace prunella::actors
