#pragma once

// Network namespaces that outlive the process that made them: each is held by a mount of its own (ip-netns(8) does the same).
// Needs root.

#include <string>

namespace prunella::actors {

/// Makes a namespace with a loopback device that is up, held at the file `path` (its folder must exist). A sentence about what
/// failed, after which nothing is left; empty: done.
std::string make_network_namespace(const std::string& path);

/// Whether `path` holds one: after a reboot of the machine the file is there and the namespace is not.
bool is_network_namespace(const std::string& path);

/// Lets go of it: it ends with the last process in it. What is not there is no problem.
void remove_network_namespace(const std::string& path);

} // namespace prunella::actors
