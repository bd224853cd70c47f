#pragma once

// Commands in containers that somebody sits at, as the API of any host has them run on the host that has the container, by
// its actor "terminals"; see `messages.hpp`. A client reads and writes by requests of its own, each of which may be
// repeated: chunks of output are numbered and bytes of input counted.

#include <cstdint>
#include <string>
#include <vector>

#include "config/fields.hpp"

namespace prunella::actors {

inline constexpr std::uint32_t max_terminal_wait_ms = 5'000;
inline constexpr std::size_t max_input_bytes = 32 * 1024; ///< of one `write_terminal`

struct window_size {
  std::uint16_t rows = 0; ///< 0: not told
  std::uint16_t columns = 0;

  PRUNELLA_FIELDS(window_size, rows, columns)
};

/// Starts a command. → `terminal_opened`. Errors: as `plan_command` or, of a task, as `start_container`, and too_many (`terminals_actor.hpp`).
struct open_terminal {
  std::string container; ///< tenant.application.service-N.container
  std::vector<std::string> command;
  std::string terminal; ///< as in `plan_command`
  bool has_input = false;
  window_size window;
  bool is_task = false; ///< in a container of its own, made as `container` is, and removed afterwards; it has no terminal

  PRUNELLA_FIELDS(open_terminal, container, command, terminal, has_input, window, is_task)
};

struct terminal_opened {
  std::string session; ///< nobody else can guess it

  PRUNELLA_FIELDS(terminal_opened, session)
};

struct terminal_chunk {
  std::uint64_t number = 0; ///< from 1
  bool is_error = false;    ///< from standard error; never of a terminal
  std::string bytes;

  PRUNELLA_FIELDS(terminal_chunk, number, is_error, bytes)
};

/// → `terminal_output`: at once if there is something behind chunk `after` (which it has, and all before it), else as soon
/// as there is, at the latest after `wait_ms`. A session that nobody reads for a while is ended. Error: not_running, for a
/// session that is not there.
struct read_terminal {
  std::string session;
  std::uint64_t after = 0;
  std::uint32_t wait_ms = 0; ///< 0 … max_terminal_wait_ms

  PRUNELLA_FIELDS(read_terminal, session, after, wait_ms)
};

struct terminal_output {
  std::vector<terminal_chunk> chunks;
  bool is_over = false; ///< it has ended, and there is no more output; the session is forgotten soon
  std::int32_t exit_code = 0;
  std::string failure; ///< why it never ran; empty: it did

  PRUNELLA_FIELDS(terminal_output, chunks, is_over, exit_code, failure)
};

/// → `terminal_written`.
struct write_terminal {
  std::string session;
  std::uint64_t from = 0; ///< how many bytes were written before these
  std::string bytes;      ///< at most `max_input_bytes`
  bool is_end = false;    ///< no more after these
  window_size window;     ///< what it is now, if told

  PRUNELLA_FIELDS(write_terminal, session, from, bytes, is_end, window)
};

struct terminal_written {
  std::uint64_t taken = 0; ///< bytes up to now; fewer than sent while the command does not read

  PRUNELLA_FIELDS(terminal_written, taken)
};

/// Ends the command. → unit, also when there is no such session.
struct close_terminal {
  std::string session;

  PRUNELLA_FIELDS(close_terminal, session)
};

} // namespace prunella::actors
