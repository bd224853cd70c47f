#pragma once

// Ends what nobody will end any more: of a start whose agent was killed in the middle, or of a runtime that did not do it.

#include <sys/types.h>

#include <chrono>
#include <string>

namespace prunella::actors {

/// The variable by which the conmon of a start is known, and what it runs to make the container: `launch_conmon` sets it to the
/// start's folder, whose name is its id. Who only names that in its command line, such as an editor, has not.
std::string start_variable(const std::string& folder);

/// Whether the process is the conmon of the start `id`, or was run by it and is not the container.
bool is_of_start(pid_t pid, const std::string& id);

/// Kills every process of which `is_of_start` is true, until there is none. False: some are left after `patience`.
bool end_processes_of_start(const std::string& id, std::chrono::milliseconds patience);

/// Kills what is in the control group `path` (as in an OCI specification), and removes the group from each tree below `mount`
/// that has it. True: there is none, any more. False: something is left after `patience`.
bool remove_cgroup(const std::string& path, std::chrono::milliseconds patience, const std::string& mount = "/sys/fs/cgroup");

} // namespace prunella::actors
