#include "net/address_device.hpp"

#include <arpa/inet.h>
#include <net/if.h>

#include <functional>
#include <optional>
#include <utility>

#include "net/devices.hpp"

namespace prunella::net {

namespace {

/// As the kernel lists it: an IPv6 address has many spellings.
std::string as_listed(const config::interface_address& address) {
  const int family = address.is_v6 ? AF_INET6 : AF_INET;
  unsigned char bytes[16] = {};
  char text[INET6_ADDRSTRLEN] = {};
  const bool is_one = ::inet_pton(family, address.address.c_str(), bytes) == 1
                      && ::inet_ntop(family, bytes, text, sizeof text) != nullptr;
  return is_one ? text : address.address;
}

class kernel_device final : public address_device {
public:
  explicit kernel_device(std::string name) : name_(std::move(name)) {}

  std::string put(const config::interface_address& address, const address_hold& hold) override {
    return with_index([&](int index) { return put_address(index, as_held(index, address), hold.lifetime_s); });
  }

  std::string remove(const config::interface_address& address) override {
    const auto problem = ::if_nametoindex(name_.c_str()) == 0
                           ? std::string{}
                           : with_index([&](int index) { return remove_address(index, as_held(index, address)); });
    announcer_.rest();
    return problem;
  }

  std::optional<std::uint32_t> renewed_at(const config::interface_address& address) const override {
    std::string ignored; // then it is as if it were not there
    const auto index = static_cast<int>(::if_nametoindex(name_.c_str()));
    const auto wanted = as_listed(address);
    for (const auto& [device, other, renewed] : list_addresses(ignored))
      if (device == index && other.address == wanted)
        return renewed;
    return std::nullopt;
  }

  std::string obstacle() const override {
    return with_index([](int) { return std::string{}; });
  }

  std::string announce(const config::interface_address& address, bool more) override {
    const auto problem = with_index([&](int) { return announcer_.announce(name_, address); });
    if (!more)
      announcer_.rest();
    return problem;
  }

private:
  /// The length with which the device has the address, or is to have it. Beside an address of the same network it is a
  /// single one: else the kernel would take one of the two for the main one, and remove the other with it.
  static config::interface_address as_held(int index, config::interface_address address) {
    std::string ignored; // then as it is written
    const auto wanted = as_listed(address);
    const auto network = config::parse_ipv4(address.address);
    bool has_neighbour = false;
    for (const auto& [device, other, renewed] : list_addresses(ignored)) {
      if (device != index)
        continue;
      if (other.address == wanted)
        return other;
      const auto number = config::parse_ipv4(other.address);
      has_neighbour = has_neighbour || (network && number && ((*network ^ *number) >> (32 - address.length)) == 0);
    }
    if (has_neighbour)
      address.length = 32;
    return address;
  }

  std::string with_index(const std::function<std::string(int)>& act) const {
    const auto index = static_cast<int>(::if_nametoindex(name_.c_str()));
    if (index == 0)
      return "there is no network device " + name_ + " on this host; correct the host's `interface` in the site's document";
    const auto problem = act(index);
    return problem.empty() ? problem : problem + "; the agent of a host with an `interface` runs as root";
  }

  std::string name_;
  address_announcer announcer_;
};

} // namespace

std::unique_ptr<address_device> make_address_device(std::string name) {
  return std::make_unique<kernel_device>(std::move(name));
}

} // namespace prunella::net
