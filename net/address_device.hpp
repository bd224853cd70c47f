#pragma once

// The network device that takes an address which moves between hosts, as an interface: tests have one without a kernel.

#include <cstdint>
#include <memory>
#include <string>

#include "config/networks.hpp"

namespace prunella::net {

/// Answers at once. A `problem` is a sentence with a next step; empty: done.
class address_device {
public:
  virtual ~address_device() = default;

  /// Gives the device the address for `lifetime_s`; again: for as long from now on. No other address depends on it: it is
  /// set with its length only where the device has no address of that network.
  virtual std::string put(const config::interface_address& address, std::uint32_t lifetime_s) = 0;

  /// One that is not there is no problem.
  virtual std::string remove(const config::interface_address& address) = 0;

  /// Why it cannot be given any address; empty: nothing is known that speaks against it. Costs next to nothing.
  virtual std::string obstacle() const = 0;

  /// Tells the neighbours that the address is here now.
  virtual std::string announce(const config::interface_address& address) = 0;
};

/// The device `name` of the process's own network; looked up at each call.
std::unique_ptr<address_device> make_address_device(std::string name);

} // namespace prunella::net
