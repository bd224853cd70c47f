#include "net/base64.hpp"

#include <limits>

#include <openssl/evp.h>

namespace prunella::net {

namespace {

unsigned char* as_unsigned(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}

const unsigned char* as_unsigned(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

} // namespace

std::string to_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0'); // OpenSSL ends it with a NUL
  const auto length = ::EVP_EncodeBlock(as_unsigned(text), as_unsigned(bytes), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > static_cast<std::size_t>(std::numeric_limits<int>::max()))
    return std::nullopt;
  std::string bytes(text.size() / 4 * 3, '\0');
  const auto length = ::EVP_DecodeBlock(as_unsigned(bytes), as_unsigned(text), static_cast<int>(text.size()));
  if (length < 0)
    return std::nullopt;
  // OpenSSL counts what the padding stands for.
  const auto padding = text.empty() ? 0U : text.substr(text.size() - 2) == "==" ? 2U : text.back() == '=' ? 1U : 0U;
  bytes.resize(static_cast<std::size_t>(length) - padding);
  if (to_base64(bytes) != text) // blanks and stray bits, which OpenSSL passes over
    return std::nullopt;
  return bytes;
}

} // namespace prunella::net
