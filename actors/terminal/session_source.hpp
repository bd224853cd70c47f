#pragma once

// What a session reads and writes: a command in a running container, or a task in a container of its own.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "actors/instance/driver.hpp"
#include "actors/terminal/terminal_messages.hpp"

namespace prunella::actors {

/// How it ended, once it has.
struct session_end {
  std::optional<driver_failure> failure; ///< it never ran
  std::int32_t exit_code = 0;            ///< as in a shell
};

class session_source {
public:
  virtual ~session_source() = default;

  /// The chunks behind number `confirmed`, which is the last that the reader has; forgets those up to it.
  virtual std::vector<terminal_chunk> read(std::uint64_t confirmed) = 0;
  /// Once it has ended and every chunk was confirmed.
  virtual std::optional<session_end> end(std::uint64_t confirmed) = 0;

  /// Takes `bytes`, which are its input from byte `from` on, counted from the first; what it had before is left out. How many
  /// bytes it has now: fewer than were given while it does not read.
  virtual std::uint64_t write(std::uint64_t from, std::string_view bytes) = 0;
  /// No more input after what it has.
  virtual void end_input() = 0;
  virtual void resize(window_size window) = 0;
  /// Nobody reads it any more: it is to end soon.
  virtual void hang_up() = 0;
};

} // namespace prunella::actors
