#pragma once

// Ends what nobody will end any more: of a start whose agent was killed in the middle, or of a runtime that did not do it. For
// both, a name that nothing else has is all that is known.

#include <chrono>
#include <string>

namespace prunella::actors {

/// Kills every process in whose command line `name` occurs, until there is none. False: some are left after `patience`.
bool end_processes_naming(const std::string& name, std::chrono::milliseconds patience);

/// Kills what is in the control group `path` (as in an OCI specification), and removes the group from each tree below `mount`
/// that has it. True: there is none, any more. False: something is left after `patience`.
bool remove_cgroup(const std::string& path, std::chrono::milliseconds patience, const std::string& mount = "/sys/fs/cgroup");

} // namespace prunella::actors
