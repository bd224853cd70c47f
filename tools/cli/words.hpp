#pragma once

// A line of the console as words, by the rules a shell has taught people.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace prunella::tools {

struct split_words {
  std::vector<std::string> words;
  std::string error;      ///< a sentence; empty: none
  std::size_t column = 0; ///< of the error, counted in bytes from 1
};

/// Splits at blanks. 'single quotes' keep everything, "double quotes" and plain words take a backslash before any
/// character, quoted parts join what they touch, `#` at the start of a word begins a comment.
[[nodiscard]] split_words split_line(std::string_view line);

/// What the word under the cursor could become; sorted. `line`: the text before the cursor. `names`: full names that
/// exist now, by what they are.
struct known_names {
  std::vector<std::string> applications; ///< tenant.application
  std::vector<std::string> services;     ///< tenant.application/service
  std::vector<std::string> hosts;
  std::vector<std::string> instances;
  std::vector<std::string> actors; ///< paths
};
[[nodiscard]] std::vector<std::string> complete(std::string_view line, const known_names& names);

} // namespace prunella::tools
