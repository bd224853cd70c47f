#pragma once

// DNS messages (RFC 1035, RFC 2782 for SRV, RFC 6891 for EDNS) as far as a responder for a few names needs them. Pure; what
// comes from elsewhere is read with every bound checked.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"

namespace prunella::net {

enum class dns_type : std::uint16_t { a = 1, soa = 6, aaaa = 28, srv = 33, opt = 41, any = 255 };

enum class dns_code : std::uint8_t {
  done = 0,
  malformed = 1, ///< FORMERR
  failed = 2,    ///< SERVFAIL
  no_name = 3,   ///< NXDOMAIN
  unknown = 4,   ///< NOTIMP
  refused = 5,
};

inline constexpr std::size_t least_udp_bytes = 512;  ///< that every client takes
inline constexpr std::size_t most_udp_bytes = 1'232; ///< that passes unfragmented (DNS flag day 2020)

struct dns_query {
  std::uint16_t id = 0;
  std::uint8_t operation = 0; ///< 0: a query
  bool wants_recursion = false;
  std::string name;     ///< in lower case, labels with dots between, without one at the end; empty: the root, or labels that hold
                        ///< what no host name does
  std::uint16_t type = 0;
  std::uint16_t family = 0; ///< class; 1: IN
  std::string question;     ///< its bytes, to be repeated
  bool has_edns = false;
  std::size_t udp_bytes = least_udp_bytes; ///< that the client takes, between the two bounds above

  PRUNELLA_FIELDS(dns_query, id, operation, wants_recursion, name, type, family, question, has_edns, udp_bytes)
};

/// Nothing for what deserves no answer: shorter than a header, or an answer itself. Of what has a header but is not one
/// whole question, `question` is empty.
std::optional<dns_query> parse_dns_query(std::string_view bytes);

struct dns_service {
  std::uint16_t port = 0;
  std::string target; ///< name without a dot at the end

  PRUNELLA_FIELDS(dns_service, port, target)
};

struct dns_answer {
  dns_code code = dns_code::done;
  std::vector<std::uint32_t> addresses;  ///< IPv4, of the question's name
  std::vector<dns_service> services;     ///< of the question's name; the targets' addresses follow
  std::uint32_t target_address = 0;      ///< of each target
  std::string zone;                      ///< says who knows that there is nothing; empty: nobody
  std::uint32_t lifetime_s = 0;          ///< how long it may be remembered

  PRUNELLA_FIELDS(dns_answer, code, addresses, services, target_address, zone, lifetime_s)
};

/// At most `max_bytes`; one that is longer says so (TC) and holds no records.
std::string encode_dns_answer(const dns_query& query, const dns_answer& answer, std::size_t max_bytes);

/// Whether `answer` has the form of an answer to the query whose bytes are `asked`: its id and its question.
bool is_answer_to(std::string_view answer, std::string_view asked);

} // namespace prunella::net
