#pragma once

// `prunella`: words → options → commands.

#include <optional>
#include <string>
#include <vector>

#include "tools/cli/options.hpp"
#include "tools/cli/terminal.hpp"

namespace prunella::tools {

/// Runs what `words` (without the program's name) say; `agent` runs the agent's commands. Returns the exit code: 0
/// done, 1 failed, 2 not understood.
int run_words_of(const std::vector<std::string>& words, terminal& io, const agent_commands& agent);

/// What `run_words_of` answers where no command would run: help that was asked for, words that are refused. Nothing if a
/// command would run now; it does not.
std::optional<int> check_words(const std::vector<std::string>& words, terminal& io, const agent_commands& agent);

/// `main` of `prunella`: standard streams, colours on a TTY without NO_COLOR, PRUNELLA_ENDPOINT.
int run_cli(int argc, char** argv, const agent_commands& agent);

} // namespace prunella::tools
