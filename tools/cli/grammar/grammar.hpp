#pragma once

// The words of `prunella`: what each command takes, with examples. One function per group of commands; CLI11 is known in
// this folder and in `command_line.cpp` only.

#include <functional>
#include <string>
#include <vector>

#include <CLI/App.hpp>

#include "tools/cli/options.hpp"
#include "tools/cli/terminal.hpp"

namespace prunella::tools {

/// One invocation: the parser to which commands are added, and what they find when they run, which is after all words
/// have been understood.
struct grammar {
  explicit grammar(terminal& where) : io(where) {}
  grammar(const grammar&) = delete; // its options and commands refer to it
  grammar& operator=(const grammar&) = delete;

  terminal& io;
  CLI::App app{"Keeps containerised applications running at edge sites."};
  connection_options connection;
  bool timeout_given = false;
  std::vector<std::string> behind_dashes; ///< what follows `--`: a command of its own
  std::function<int()> chosen;            ///< the command that was named

  /// A command `name` below `parent`; `run` is called if it is the one that was named.
  CLI::App* add(CLI::App* parent, const char* name, const char* what, const char* examples, std::function<int()> run);

  /// A word that has commands below it.
  CLI::App* add_group(const char* name, const char* what);

  /// `-o table|wide|json|yaml`
  static void add_output(CLI::App* command, output_format& output);

  /// Says what is wrong and what would be right; the exit code of what was not understood.
  int refuse(const std::string& what, const std::string& fix) const;
};

/// get, top, tree, status, inspect
void add_looking(grammar& words);

/// apply, scale, rollback, restart, delete, kill
void add_changing(grammar& words);

/// logs, exec, run
void add_containers(grammar& words);

/// config, image, version: what is about files and this program
void add_files(grammar& words);

/// site, host: of running them only what the program brought along, as the command line is also built without an agent.
void add_agent(grammar& words, const agent_commands& agent);

} // namespace prunella::tools
