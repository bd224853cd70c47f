#pragma once

// The network device that takes an address which moves between hosts, as an interface: tests have one without a kernel.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "config/networks.hpp"

namespace prunella::net {

/// How long an address stays that is not put again.
struct address_hold {
  std::uint32_t lifetime_s = 0;   ///< the kernel takes it away then, even if nobody runs any more; 0: never
  bool goes_with_process = false; ///< also soon after this process is dead, where the device can see to that
};

/// Answers at once. A `problem` is a sentence with a next step; empty: done.
class address_device {
public:
  virtual ~address_device() = default;

  /// Gives the device the address for as long as `hold` says; again: for as long from now on. No other address depends
  /// on it: it is set with its length only where the device has no address of that network.
  virtual std::string put(const config::interface_address& address, const address_hold& hold) = 0;

  /// One that is not there is no problem.
  virtual std::string remove(const config::interface_address& address) = 0;

  /// When it was put last, by whichever process: hundredths of a second since the boot; empty: the device has it not.
  virtual std::optional<std::uint32_t> renewed_at(const config::interface_address& address) const = 0;

  /// Why it cannot be given any address; empty: nothing is known that speaks against it. Costs next to nothing.
  virtual std::string obstacle() const = 0;

  /// Tells the neighbours that the address is here now. `more`: they are told again soon, or it is removed; what that
  /// needs is kept.
  virtual std::string announce(const config::interface_address& address, bool more) = 0;
};

/// The device `name` of the process's own network; looked up at each call.
std::unique_ptr<address_device> make_address_device(std::string name);

} // namespace prunella::net
