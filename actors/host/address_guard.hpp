#pragma once

// Takes the site's address from this host's device when its agent dies: a small process beside the agent that waits for
// the end of a pipe, and then for others to take the address over. An address that was put again meanwhile, by the
// agent's successor on this host, stays. The kernel would remove it too, but only when the address's lifetime of whole
// seconds is over, and until then two hosts answer for it. Where the process cannot be started, that is what happens.
//
// What remains: the kernel removes no address on condition, so one that the successor puts in the microseconds between
// the guard's last look and its removal is gone until the successor puts it next (`site_address_options::refresh`).

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "net/address_device.hpp"

namespace prunella::actors {

/// The first argument of the agent's program that makes it such a process.
inline constexpr auto address_guard_word = "address-guard";

/// Lets `wait` pass, then removes the address from the device, unless it was put again meanwhile → problem; empty:
/// done.
std::string give_up_address(net::address_device& device, const config::interface_address& address,
                            const std::function<void()>& wait);

/// `DEVICE ADDRESS/LENGTH`: waits for the end of standard input, and gives the address up within 300 ms → exit code.
int run_address_guard(const std::vector<std::string>& arguments);

/// `device`, called `name`, with a guard for as long as it has an address that goes with the process. `command`:
/// program and arguments of the guard, to which the two above are added. `log` is told when it does not start.
std::unique_ptr<net::address_device> make_guarded_device(std::unique_ptr<net::address_device> device, std::string name,
                                                         std::vector<std::string> command,
                                                         std::function<void(const std::string&)> log);

} // namespace prunella::actors
