#include "storage/images/digest.hpp"

#include <utility>

#include "config/image_reference.hpp"

namespace prunella::storage {

namespace {

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
  auto wrong = config::find_digest_problem(text);
  if (!wrong.error.empty())
    return storage_error{wrong.is_unsupported ? storage_errc::unsupported : storage_errc::malformed, std::move(wrong.error)};
  return digest{std::string(text.substr(text.find(':') + 1))};
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
