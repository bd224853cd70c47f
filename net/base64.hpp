#pragma once

// Base64 (RFC 4648, with padding), for bytes in JSON.

#include <optional>
#include <string>
#include <string_view>

namespace prunella::net {

[[nodiscard]] std::string to_base64(std::string_view bytes);

/// Nothing for a text that is not base64 as `to_base64` writes it.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

} // namespace prunella::net
