#pragma once

// DNS as a client speaks it, written independently of `net/names`.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/names/dns_message.hpp"

namespace prunella::tests {

inline constexpr std::uint16_t dns_test_id = 0x4711;

inline std::string dns_number(std::uint64_t value, int bytes) {
  std::string out;
  for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
    out += static_cast<char>(value >> shift & 255);
  return out;
}

/// A question that wants recursion; with EDNS if `udp_bytes` is not 0.
inline std::string dns_question(std::string name, net::dns_type type, std::uint16_t udp_bytes = 0) {
  auto out = dns_number(dns_test_id, 2) + dns_number(0x0100, 2) + dns_number(1, 2) + dns_number(0, 4) + dns_number(udp_bytes > 0 ? 1 : 0, 2);
  name += name.empty() ? "" : ".";
  for (std::size_t at = 0; at < name.size();) {
    const auto dot = name.find('.', at);
    out += dns_number(dot - at, 1) + name.substr(at, dot - at);
    at = dot + 1;
  }
  out += dns_number(0, 1) + dns_number(static_cast<std::uint16_t>(type), 2) + dns_number(1, 2);
  if (udp_bytes > 0)
    out += dns_number(0, 1) + dns_number(41, 2) + dns_number(udp_bytes, 2) + dns_number(0, 6);
  return out;
}

struct dns_reply {
  std::uint16_t id = 0;
  int code = -1; ///< -1: no whole message
  bool is_authoritative = false;
  bool is_cut = false;
  int answers = 0;
  int authorities = 0;
  std::vector<std::string> addresses; ///< of A records among the answers, which begin with a pointer to the question's name
};

inline dns_reply read_dns_reply(std::string_view bytes) {
  dns_reply reply;
  const auto number = [&](std::size_t at) {
    return at + 2 > bytes.size() ? 0
                                 : static_cast<unsigned char>(bytes[at]) * 256 + static_cast<unsigned char>(bytes[at + 1]);
  };
  if (bytes.size() < 12 || (number(2) & 0x8000) == 0)
    return reply;
  reply.id = static_cast<std::uint16_t>(number(0));
  reply.code = number(2) & 15;
  reply.is_authoritative = (number(2) & 0x0400) != 0;
  reply.is_cut = (number(2) & 0x0200) != 0;
  reply.answers = number(6);
  reply.authorities = number(8);
  std::size_t at = 12;
  if (number(4) == 1) {
    while (at < bytes.size() && bytes[at] != 0)
      at += static_cast<unsigned char>(bytes[at]) + 1U;
    at += 5;
  }
  for (int i = 0; i < reply.answers && at + 12 <= bytes.size(); ++i) {
    const auto size = static_cast<std::size_t>(number(at + 10));
    if (number(at + 2) == 1 && size == 4 && at + 16 <= bytes.size()) {
      std::string text;
      for (std::size_t k = 0; k < 4; ++k)
        text += (k > 0 ? "." : "") + std::to_string(static_cast<unsigned char>(bytes[at + 12 + k]));
      reply.addresses.push_back(text);
    }
    at += 12 + size;
  }
  return reply;
}

} // namespace prunella::tests
