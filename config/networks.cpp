#include "config/networks.hpp"

#include <arpa/inet.h>

#include <charconv>

namespace prunella::config {

namespace {

constexpr std::uint32_t host_bits = 6; ///< 64 hosts

/// The number behind the slash; nothing unless it is 0 … `max` in plain digits.
std::optional<std::uint32_t> parse_length(std::string_view text, std::uint32_t max) {
  std::uint32_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc{} || end != text.data() + text.size() || length > max || (text.size() > 1 && text.front() == '0'))
    return std::nullopt;
  return length;
}

} // namespace

std::optional<std::uint32_t> parse_ipv4(std::string_view text) {
  in_addr parsed{};
  if (text.find('\0') != text.npos || ::inet_pton(AF_INET, std::string(text).c_str(), &parsed) != 1)
    return std::nullopt;
  return ntohl(parsed.s_addr);
}

std::string ipv4_text(std::uint32_t address) {
  return std::to_string(address >> 24) + '.' + std::to_string(address >> 16 & 255) + '.' +
         std::to_string(address >> 8 & 255) + '.' + std::to_string(address & 255);
}

std::optional<ipv4_network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos)
    return std::nullopt;
  const auto base = parse_ipv4(text.substr(0, slash));
  const auto length = parse_length(text.substr(slash + 1), 32);
  if (!base || !length)
    return std::nullopt;
  const ipv4_network network{*base, *length};
  const auto behind = *length == 0 ? ~std::uint32_t{0} : *length == 32 ? 0 : ~std::uint32_t{0} >> *length;
  return (*base & behind) == 0 ? std::optional(network) : std::nullopt;
}

std::string network_text(const ipv4_network& network) {
  return ipv4_text(network.base) + '/' + std::to_string(network.length);
}

std::optional<interface_address> parse_interface_address(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos || text.find('\0') != text.npos)
    return std::nullopt;
  interface_address result;
  result.address = text.substr(0, slash);
  result.is_v6 = result.address.find(':') != result.address.npos;
  const auto length = parse_length(text.substr(slash + 1), result.is_v6 ? 128 : 32);
  if (!length || *length == 0)
    return std::nullopt;
  result.length = static_cast<std::uint8_t>(*length);
  if (!result.is_v6) {
    const auto address = parse_ipv4(result.address);
    const auto first = address ? *address >> 24 : 0;
    return first == 0 || first == 127 || first >= 224 ? std::nullopt : std::optional(result);
  }
  in6_addr parsed{};
  if (::inet_pton(AF_INET6, result.address.c_str(), &parsed) != 1 || IN6_IS_ADDR_UNSPECIFIED(&parsed) ||
      IN6_IS_ADDR_LOOPBACK(&parsed) || IN6_IS_ADDR_MULTICAST(&parsed))
    return std::nullopt;
  return result;
}

host_network network_of_host(const ipv4_network& range, std::size_t index) {
  host_network result;
  const auto length = range.length + host_bits;
  const auto size = std::uint32_t{1} << (32 - length);
  result.network = {range.base + static_cast<std::uint32_t>(index % 64) * size, length};
  result.gateway = result.network.base + 1;
  result.first_instance = result.network.base + 2;
  result.services = {result.network.base + size / 2, length + 1};
  result.last_instance = result.services.base - 1;
  return result;
}

} // namespace prunella::config
