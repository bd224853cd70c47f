#pragma once

// The console: the same commands without typing `prunella` each time, with history and completion for a person, and as
// a script when its input is not a terminal.

#include <functional>
#include <string>
#include <vector>

#include "tools/cli/options.hpp"
#include "tools/cli/terminal.hpp"

namespace prunella::tools {

/// Runs the words of one line; returns its exit code.
using run_words = std::function<int(const std::vector<std::string>&)>;

/// Reads lines from `io.in` until its end, `exit` or `quit`. Interactive: goes on after errors, returns 0. Otherwise
/// stops at the first line that fails, names it, and returns its code.
int run_console(const console_options& options, terminal& io, const run_words& run);

} // namespace prunella::tools
