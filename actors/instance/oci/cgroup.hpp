#pragma once

// What the kernel's control groups say about a container, and the one thing that we tell them, in version 1 (one tree per
// controller) and 2 (one tree).

#include <chrono>
#include <cstdint>
#include <string>

namespace prunella::actors {

struct cgroup_use {
  std::uint32_t processes = 0; ///< and threads
  std::chrono::microseconds user_time{0};
  std::chrono::microseconds system_time{0};
  std::int64_t memory_bytes = 0;     ///< without what the kernel could drop at once (inactive file pages)
  std::int64_t max_memory_bytes = 0; ///< the most it ever was; 0: not known
};

/// Why processes of the group were killed by the kernel for lack of memory, if they were.
struct cgroup_memory_kills {
  std::uint64_t kills = 0;
  std::int64_t limit_bytes = 0; ///< 0: none of its own
};

/// `path` is the group's as in an OCI specification (`/prunella-…`). Zero for whatever is not there.
cgroup_use read_cgroup_use(const std::string& path, const std::string& mount = "/sys/fs/cgroup");
cgroup_memory_kills read_memory_kills(const std::string& path, const std::string& mount = "/sys/fs/cgroup");

/// Gives the group `millis` thousandths of a core: no more in each 100 ms (at least the kernel's 1 ms), and its share when the
/// machine is full. Empty, or why it could not be done, as a sentence.
std::string limit_processor(const std::string& path, std::int64_t millis, const std::string& mount = "/sys/fs/cgroup");

/// Whether this kernel counts swap per group.
bool cgroup_counts_swap(const std::string& mount = "/sys/fs/cgroup");

} // namespace prunella::actors
