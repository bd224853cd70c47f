#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "config/problem.hpp"

namespace prunella::config::yaml {

/// The first byte of `text` that is not UTF-8 (RFC 3629: no overlong forms, no surrogates) or is a control character
/// other than tab, line ends and DEL; nothing when there is none. Linear, no allocation unless there is one.
std::optional<problem> find_bad_character(std::string_view text);

/// `text` with U+FFFD for each byte that is not UTF-8.
std::string with_replacements(std::string_view text);

/// Code points in UTF-8 `text`.
std::size_t count_characters(std::string_view text);

/// `text` in double quotes for an error: at most 60 bytes of it, control characters as `\n` or `\x1b`.
std::string quoted(std::string_view text);

} // namespace prunella::config::yaml
