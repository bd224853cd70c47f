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

/// Makes one at `path` with a device `name` that has `address` (IPv4), and does nothing. For a namespace that is gone: who takes away
/// what belonged to its device looks there for the address. As `make_network_namespace`.
std::string make_stand_in(const std::string& path, const std::string& name, const std::string& address);

/// Lets go of it: it ends with the last process in it. What is not there is no problem.
void remove_network_namespace(const std::string& path);

} // namespace prunella::actors
