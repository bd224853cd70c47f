#pragma once

// What words of the command line are checked by.

#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace prunella::tools {

/// "did you mean `x`?" for the candidate that is near `word`, else all of them.
std::string suggestion(const std::string& word, const std::vector<std::string>& candidates);

/// Refuses what is not in `choices`, with the nearest one.
CLI::Validator one_of(std::vector<std::string> choices);

CLI::Validator whole_number(std::uint64_t from, std::uint64_t to);

CLI::Validator duration();

/// What `--data-dir "$UNSET"` gives is no name.
CLI::Validator some_text();

} // namespace prunella::tools
