#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/fields.hpp"

namespace prunella::config {

/// Where something listens or can be reached.
struct network_address {
  std::string host;       ///< IPv4, IPv6 without brackets, or a host name
  std::uint16_t port = 0; ///< 1 … 65535

  PRUNELLA_FIELDS(network_address, host, port)
};

/// What it looks like, for error texts.
inline constexpr std::string_view address_form =
    "ADDRESS:PORT with a port from 1 to 65535, such as 10.0.0.5:7101, [fd00::5]:7101 or till-1.shop.lan:7101";

/// Reads `10.0.0.5:7101`, `[fd00::5]:7101` (a `%zone` may follow the address) or `name:7101`; host names after RFC
/// 1123, with
/// `_`. Nothing for any other text. Looks no name up.
std::optional<network_address> parse_address(std::string_view text);

/// Inverse of `parse_address`.
std::string address_text(const network_address& address);

} // namespace prunella::config
