#pragma once

// The name of a blob: the SHA-256 of its bytes. Pure.

#include <string>
#include <string_view>

#include "config/fields.hpp"
#include "storage/errors.hpp"
#include "storage/sha256.hpp"

namespace prunella::storage {

/// `sha256:` and 64 lower-case hexadecimal digits. Only `parse_digest` and `digest_of` make one, so `hex` is safe as a
/// file name. Other algorithms of OCI (sha512) are refused: no registry in use answers with them.
struct digest {
  std::string hex;

  std::string text() const { return "sha256:" + hex; }
  /// Twelve digits, enough for people to tell images apart.
  std::string brief() const { return hex.substr(0, 12); }

  PRUNELLA_FIELDS(digest, hex)
  friend bool operator<(const digest& a, const digest& b) { return a.hex < b.hex; }
};

/// Errors: `malformed` (what is wrong with the text), `unsupported` (another algorithm).
result<digest> parse_digest(std::string_view text);

/// The 64 digits without the algorithm, as file names have them. Error: `malformed`.
result<digest> parse_digest_hex(std::string_view hex);

digest to_digest(const sha256::value& hash);

digest digest_of(std::string_view bytes);

} // namespace prunella::storage
