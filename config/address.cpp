#include "config/address.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include <arpa/inet.h>

namespace prunella::config {

namespace {

bool is_alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool is_ipv4(const std::string& host) {
  in_addr parsed{};
  return ::inet_pton(AF_INET, host.c_str(), &parsed) == 1;
}

bool is_ipv6(std::string_view host) {
  const auto percent = host.find('%');
  if (percent != std::string_view::npos) {
    const auto zone = host.substr(percent + 1);
    if (zone.empty() || zone.size() > 15 ||
        !std::all_of(zone.begin(), zone.end(), [](char c) { return is_alnum(c) || c == '.' || c == '-' || c == '_'; }))
      return false;
  }
  in6_addr parsed{};
  return ::inet_pton(AF_INET6, std::string(host.substr(0, percent)).c_str(), &parsed) == 1;
}

bool is_name_part(std::string_view part) {
  return !part.empty() && part.size() <= 63 && part.front() != '-' && part.back() != '-' &&
         std::all_of(part.begin(), part.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

bool is_host_name(std::string_view name) {
  if (name.size() > 253)
    return false;
  std::string_view rest = name;
  std::string_view last;
  while (true) {
    const auto dot = rest.find('.');
    last = rest.substr(0, dot);
    if (!is_name_part(last))
      return false;
    if (dot == std::string_view::npos)
      break;
    rest.remove_prefix(dot + 1);
  }
  // What ends in a number was meant to be an IPv4 address (WHATWG URL, "ends in a number").
  return !is_digits(last);
}

} // namespace

std::optional<network_address> parse_address(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return std::nullopt;
  const auto port_text = text.substr(colon + 1);
  network_address address;
  const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), address.port);
  if (error != std::errc{} || !is_digits(port_text) || address.port == 0)
    return std::nullopt;
  const auto host = text.substr(0, colon);
  // inet_pton reads a C string: a NUL would hide the rest.
  if (host.find('\0') != std::string_view::npos)
    return std::nullopt;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    address.host = host.substr(1, host.size() - 2);
    return is_ipv6(address.host) ? std::optional(address) : std::nullopt;
  }
  address.host = host;
  return is_ipv4(address.host) || is_host_name(host) ? std::optional(address) : std::nullopt;
}

std::string address_text(const network_address& address) {
  const bool brackets = address.host.find(':') != std::string::npos;
  return (brackets ? '[' + address.host + ']' : address.host) + ':' + std::to_string(address.port);
}

} // namespace prunella::config
