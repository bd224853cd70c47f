#include "net/names/dns_message.hpp"

#include <algorithm>

namespace prunella::net {

namespace {

constexpr std::size_t header_bytes = 12;
constexpr std::size_t max_name_bytes = 255;
constexpr std::size_t max_label_bytes = 63;
constexpr std::uint16_t internet = 1;

constexpr std::uint16_t answer_bit = 0x8000;
constexpr std::uint16_t authoritative_bit = 0x0400;
constexpr std::uint16_t cut_bit = 0x0200;
constexpr std::uint16_t wants_recursion_bit = 0x0100;
constexpr std::uint16_t recursion_bit = 0x0080;

std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[at]) << 8 | static_cast<unsigned char>(bytes[at + 1]));
}

void put16(std::string& out, std::uint64_t value) {
  out += static_cast<char>(value >> 8 & 255);
  out += static_cast<char>(value & 255);
}

void put32(std::string& out, std::uint64_t value) {
  put16(out, value >> 16);
  put16(out, value & 0xffff);
}

/// Labels, each with its length in front.
void put_name(std::string& out, std::string_view name) {
  while (!name.empty()) {
    const auto label = name.substr(0, std::min(name.find('.'), max_label_bytes));
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(std::min(label.size() + 1, name.size()));
  }
  out += '\0';
}

bool is_of_a_host_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/// Reads a name at `at`, which is behind it then; false if it does not end within `bytes`, or leads elsewhere.
bool read_name(std::string_view bytes, std::size_t& at, std::string& name, bool& is_plain) {
  const auto start = at;
  while (at < bytes.size()) {
    const auto size = static_cast<unsigned char>(bytes[at]);
    ++at;
    if (size == 0)
      return at - start <= max_name_bytes;
    if (size > max_label_bytes || bytes.size() - at < size || at - start > max_name_bytes)
      return false;
    if (!name.empty())
      name += '.';
    for (const char c : bytes.substr(at, size)) {
      const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
      is_plain = is_plain && is_of_a_host_name(lower);
      name += lower;
    }
    at += size;
  }
  return false;
}

void read_edns(std::string_view bytes, std::size_t at, dns_query& query) {
  // An OPT record: the root's name, type, and where others have the class the size that the client takes.
  if (bytes.size() - at < 11 || bytes[at] != 0 || number_at(bytes, at + 1) != static_cast<std::uint16_t>(dns_type::opt))
    return;
  query.has_edns = true;
  query.udp_bytes = std::clamp<std::size_t>(number_at(bytes, at + 3), least_udp_bytes, most_udp_bytes);
}

constexpr std::uint16_t question_name = 0xc00c; ///< a pointer to where the question begins

void put_address(std::string& out, std::uint32_t address, std::uint32_t lifetime) {
  put16(out, static_cast<std::uint16_t>(dns_type::a));
  put16(out, internet);
  put32(out, lifetime);
  put16(out, 4);
  put32(out, address);
}

void put_service(std::string& out, const dns_service& service, std::uint32_t lifetime) {
  std::string target;
  put_name(target, service.target);
  put16(out, question_name);
  put16(out, static_cast<std::uint16_t>(dns_type::srv));
  put16(out, internet);
  put32(out, lifetime);
  put16(out, 6 + target.size());
  put16(out, 0); // priority
  put16(out, 0); // weight
  put16(out, service.port);
  out += target;
}

/// Start of authority: its last number says how long nothing may be remembered (RFC 2308).
void put_authority(std::string& out, const std::string& zone, std::uint32_t lifetime) {
  std::string names;
  put_name(names, zone);
  put_name(names, zone);
  put_name(out, zone);
  put16(out, static_cast<std::uint16_t>(dns_type::soa));
  put16(out, internet);
  put32(out, lifetime);
  put16(out, names.size() + 20);
  out += names;
  for (const std::uint32_t number : {1U, 3600U, 600U, 86'400U, lifetime})
    put32(out, number);
}

std::string header(const dns_query& query, dns_code code, bool is_ours, bool is_cut, std::size_t answers,
                   std::size_t authorities, std::size_t others) {
  std::string out;
  put16(out, query.id);
  std::uint32_t flags = answer_bit | recursion_bit | static_cast<std::uint32_t>(code);
  flags |= static_cast<std::uint32_t>(query.operation) << 11;
  flags |= is_ours ? authoritative_bit : std::uint32_t{0};
  flags |= is_cut ? cut_bit : std::uint32_t{0};
  flags |= query.wants_recursion ? wants_recursion_bit : std::uint32_t{0};
  put16(out, flags);
  put16(out, query.question.empty() ? 0 : 1);
  put16(out, answers);
  put16(out, authorities);
  put16(out, others + (query.has_edns ? 1 : 0));
  return out + query.question;
}

void put_edns(std::string& out, const dns_query& query) {
  if (!query.has_edns)
    return;
  out += '\0';
  put16(out, static_cast<std::uint16_t>(dns_type::opt));
  put16(out, most_udp_bytes);
  put32(out, 0);
  put16(out, 0);
}

} // namespace

std::optional<dns_query> parse_dns_query(std::string_view bytes) {
  if (bytes.size() < header_bytes)
    return std::nullopt;
  const auto flags = number_at(bytes, 2);
  if ((flags & answer_bit) != 0)
    return std::nullopt;
  dns_query query;
  query.id = number_at(bytes, 0);
  query.operation = static_cast<std::uint8_t>(flags >> 11 & 15);
  query.wants_recursion = (flags & wants_recursion_bit) != 0;
  const bool is_one_question = number_at(bytes, 4) == 1 && number_at(bytes, 6) == 0 && number_at(bytes, 8) == 0;
  std::size_t at = header_bytes;
  bool is_plain = true;
  if (!is_one_question || !read_name(bytes, at, query.name, is_plain) || bytes.size() - at < 4) {
    query.name.clear();
    return query;
  }
  if (!is_plain)
    query.name.clear();
  query.type = number_at(bytes, at);
  query.family = number_at(bytes, at + 2);
  at += 4;
  query.question = bytes.substr(header_bytes, at - header_bytes);
  if (number_at(bytes, 10) > 0)
    read_edns(bytes, at, query);
  return query;
}

std::string encode_dns_answer(const dns_query& query, const dns_answer& answer, std::size_t max_bytes) {
  std::string records;
  for (const auto address : answer.addresses) {
    put16(records, question_name);
    put_address(records, address, answer.lifetime_s);
  }
  for (const auto& service : answer.services)
    put_service(records, service, answer.lifetime_s);
  const auto answers = answer.addresses.size() + answer.services.size();
  const bool has_authority = answers == 0 && !answer.zone.empty();
  if (has_authority)
    put_authority(records, answer.zone, answer.lifetime_s);
  for (const auto& service : answer.services) {
    put_name(records, service.target);
    put_address(records, answer.target_address, answer.lifetime_s);
  }
  const bool is_ours = !answer.zone.empty();
  auto out = header(query, answer.code, is_ours, false, answers, has_authority ? 1 : 0, answer.services.size()) + records;
  put_edns(out, query);
  if (out.size() <= max_bytes)
    return out;
  out = header(query, answer.code, is_ours, true, 0, 0, 0);
  put_edns(out, query);
  return out;
}

bool is_answer_to(std::string_view answer, std::string_view asked) {
  if (answer.size() < header_bytes || asked.size() < header_bytes)
    return false;
  const auto query = parse_dns_query(asked);
  const bool is_answer = (number_at(answer, 2) & answer_bit) != 0 && number_at(answer, 0) == number_at(asked, 0);
  if (!query || !is_answer)
    return false;
  // Who refuses may leave the question out.
  return number_at(answer, 4) == 0 || answer.substr(header_bytes, query->question.size()) == query->question;
}

} // namespace prunella::net
