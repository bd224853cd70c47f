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

/// How often the kernel refused the group a process or thread, as it had as many as it may.
struct cgroup_process_refusals {
  std::uint64_t refusals = 0;
  std::int64_t limit = 0; ///< 0: none of its own
};

/// What the kernel can limit and count per group.
struct cgroup_controllers {
  bool cpu = true;
  bool memory = true;
  bool pids = true;
};

/// The group of the container `id`, as an OCI specification names it. Version 1: `/prunella-ID`, as the runtime takes only the
/// last part away. Version 2: `/prunella/ID`, because in the root group a controller is switched off by whoever thinks that he
/// does not need it (systemd, at each daemon-reload), and all limits of groups right below with it; not so while a group
/// between hands the controller on.
std::string cgroup_of_container(const std::string& id, const std::string& mount = "/sys/fs/cgroup");

/// Version 2: makes the group that holds the containers' and has it hand on what limits and use need. Version 1 has nothing to
/// prepare. → what this kernel has; the limits of the others are left out.
cgroup_controllers prepare_cgroups(const std::string& mount = "/sys/fs/cgroup");

/// What is not in force without the controllers that are not there, and what to do about it, as a sentence; empty: all are there.
std::string cgroup_obstacle(const cgroup_controllers& controllers);

/// `path` is the group's, as `cgroup_of_container` has it. Zero for whatever is not there.
cgroup_use read_cgroup_use(const std::string& path, const std::string& mount = "/sys/fs/cgroup");
cgroup_memory_kills read_memory_kills(const std::string& path, const std::string& mount = "/sys/fs/cgroup");
cgroup_process_refusals read_process_refusals(const std::string& path, const std::string& mount = "/sys/fs/cgroup");

/// Gives the group `millis` thousandths of a core: no more in each 100 ms (at least the kernel's 1 ms), and its share when the
/// machine is full. Empty, or why it could not be done, as a sentence.
std::string limit_processor(const std::string& path, std::int64_t millis, const std::string& mount = "/sys/fs/cgroup");

/// Whether this kernel counts swap per group. Version 2: known once there is a group with the memory controller
/// (`prepare_cgroups`).
bool cgroup_counts_swap(const std::string& mount = "/sys/fs/cgroup");

} // namespace prunella::actors
