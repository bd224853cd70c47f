#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "actors/terminal/interactive_command.hpp"
#include "tests/actors/real_process.hpp"

namespace prunella::tests {

/// Who sits at a command: reads and confirms what comes, and types.
struct command_client {
  command_client(const actors::command_plan& plan, actors::interactive_options options) : command{plan, options, [] {}} {}

  void read() {
    for (auto& chunk : command.read(confirmed)) {
      REQUIRE(chunk.number == confirmed + 1);
      confirmed = chunk.number;
      (chunk.is_error ? errors : output) += chunk.bytes;
    }
  }
  bool sees(const std::string& text) {
    return eventually([&] { return read(), output.find(text) != std::string::npos; }, std::chrono::seconds{20});
  }
  actors::session_end end() {
    std::optional<actors::session_end> ended;
    REQUIRE(eventually([&] { return read(), (ended = command.end(confirmed)).has_value(); }, std::chrono::seconds{20}));
    return *ended;
  }
  void type(const std::string& text) {
    REQUIRE(command.write(written, text) == written + text.size());
    written += text.size();
  }

  std::string output;
  std::string errors;
  std::uint64_t confirmed = 0;
  std::uint64_t written = 0;
  actors::interactive_command command;
};

} // namespace prunella::tests
