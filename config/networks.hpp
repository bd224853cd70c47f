#pragma once

// Networks as texts, and how the range of a site is dealt out to its hosts. Pure.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/fields.hpp"

namespace prunella::config {

/// An IPv4 network; addresses are numbers, the first byte highest.
struct ipv4_network {
  std::uint32_t base = 0; ///< without bits behind `length`
  std::uint32_t length = 0;

  bool holds(std::uint32_t address) const { return length == 0 || (address ^ base) >> (32 - length) == 0; }
  bool overlaps(const ipv4_network& x) const { return holds(x.base) || x.holds(base); }

  PRUNELLA_FIELDS(ipv4_network, base, length)
};

/// Reads `10.84.0.0/16`. Nothing for any other text, also when bits behind the length are set.
std::optional<ipv4_network> parse_network(std::string_view text);
std::string network_text(const ipv4_network& network);

/// Reads `10.84.0.1`; nothing for any other text.
std::optional<std::uint32_t> parse_ipv4(std::string_view text);
std::string ipv4_text(std::uint32_t address);

/// An address of a device with the length of its network.
struct interface_address {
  std::string address; ///< numeric, IPv4 or IPv6
  std::uint8_t length = 0;
  bool is_v6 = false;

  PRUNELLA_FIELDS(interface_address, address, length, is_v6)
};

inline constexpr std::string_view interface_address_form = "ADDRESS/LENGTH, such as 192.168.1.50/24 or fd00::50/64";

/// Reads `192.168.1.50/24` or `fd00::50/64`. Nothing for any other text, and for what no device can have: 0.0.0.0, multicast,
/// loopback.
std::optional<interface_address> parse_interface_address(std::string_view text);

/// Lengths of a site's range. Each of at most 64 hosts takes its 64th part: of a /20 64 addresses, of a /16 1024.
inline constexpr std::uint32_t shortest_range = 8;
inline constexpr std::uint32_t longest_range = 20;

/// What a host has of the range: its bridge has `gateway`, instances are from `first_instance` to `last_instance`, services
/// of the site (`services`, the upper half) are answered for by its front door.
struct host_network {
  ipv4_network network;
  std::uint32_t gateway = 0;
  std::uint32_t first_instance = 0;
  std::uint32_t last_instance = 0;
  ipv4_network services; ///< its first and last address are not used

  PRUNELLA_FIELDS(host_network, network, gateway, first_instance, last_instance, services)
};

/// Of the host that the site's document lists as number `index`, from 0 to 63. Hosts that are added behind it change
/// nothing.
host_network network_of_host(const ipv4_network& range, std::size_t index);

} // namespace prunella::config
