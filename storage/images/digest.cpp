#include "storage/images/digest.hpp"

namespace prunella::storage {

namespace {

constexpr std::string_view algorithm = "sha256";
constexpr std::size_t hex_digits = 64;
constexpr std::size_t shown_text = 100;

storage_error bad(std::string_view text, const std::string& why) {
  return {storage_errc::malformed, "'" + std::string(text.substr(0, shown_text)) + "' is not a digest: " + why +
                                       "; it has to be sha256: and 64 digits of 0-9 and a-f"};
}

} // namespace

result<digest> parse_digest_hex(std::string_view hex) {
  if (hex.size() != hex_digits)
    return bad(hex, "it has " + std::to_string(hex.size()) + " digits");
  for (const char c : hex)
    if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
      return bad(hex, std::string("'") + c + "' is not one of them");
  return digest{std::string(hex)};
}

result<digest> parse_digest(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return bad(text, "the algorithm is missing");
  const auto named = text.substr(0, colon);
  if (named != algorithm)
    return storage_error{storage_errc::unsupported,
                         "the digest '" + std::string(text.substr(0, shown_text)) + "' uses the algorithm '" +
                             std::string(named.substr(0, shown_text)) + "'; only sha256 is supported"};
  auto parsed = parse_digest_hex(text.substr(colon + 1));
  if (!parsed)
    return bad(text, "behind the colon there are not 64 digits of 0-9 and a-f");
  return parsed;
}

digest to_digest(const sha256::value& hash) {
  constexpr std::string_view digits = "0123456789abcdef";
  digest made;
  made.hex.reserve(hex_digits);
  for (const auto byte : hash) {
    made.hex += digits[byte >> 4];
    made.hex += digits[byte & 15];
  }
  return made;
}

digest digest_of(std::string_view bytes) {
  return to_digest(sha256().add(bytes).finish());
}

} // namespace prunella::storage
