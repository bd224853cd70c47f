#pragma once

// Takes the site's address from this host's device when its agent dies: a small process beside the agent that waits for the
// end of a pipe, and then for others to take the address over. The kernel would do it too, but only when the address's lifetime of whole seconds is over, and until then two
// hosts answer for it. Where the process cannot be started, that is what happens.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/address_device.hpp"

namespace prunella::actors {

/// The first argument of the agent's program that makes it such a process.
inline constexpr auto address_guard_word = "address-guard";

/// `DEVICE ADDRESS/LENGTH`: waits for the end of standard input, and 300 ms more, then removes the address → exit code.
int run_address_guard(const std::vector<std::string>& arguments);

/// `device`, called `name`, with a guard for as long as it has an address. `command`: program and arguments of the guard, to
/// which the two above are added. `log` is told when it does not start.
std::unique_ptr<net::address_device> make_guarded_device(std::unique_ptr<net::address_device> device, std::string name,
                                                         std::vector<std::string> command,
                                                         std::function<void(const std::string&)> log);

} // namespace prunella::actors
