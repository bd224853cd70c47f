#pragma once

// Runs one program to its end: output caught and bounded, never longer than asked, and it dies with the thread that
// started it.

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "storage/errors.hpp"

namespace prunella::storage {

struct child_order {
  std::vector<std::string> command;     ///< the program is looked up in PATH
  std::vector<std::string> environment; ///< `NAME=value`, all of it
  std::string input{};                  ///< a file to read as standard input; empty: nothing is there
  std::size_t max_output = 4u << 20;    ///< of stdout; more ends the program. Of stderr the first 16 KiB are kept.
  /// Asked every `tick`, with the time since the start that it was not made to rest; false ends the program.
  std::function<bool(std::chrono::milliseconds)> go_on;
  /// Asked after that: so long the program, and all it started, rests (it is stopped, and continued). May be empty.
  std::function<std::chrono::microseconds()> rest{};
  std::chrono::milliseconds tick{100};
};

struct child_end {
  bool ended_by_us = false;     ///< `go_on` said no
  bool too_much_output = false; ///< also ended by us
  int exit_code = -1;           ///< -1: ended by a signal
  std::string output;
  std::string errors;

  bool succeeded() const { return exit_code == 0 && !ended_by_us && !too_much_output; }
};

/// Errors: `inaccessible` when the program cannot be started (it names the Debian package to install), `io_failed`.
result<child_end> run_child(const child_order& order);

} // namespace prunella::storage
