#pragma once

// Where the command line reads and writes, and how texts become columns on it.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <string_view>

namespace prunella::tools {

/// Sleeps; false if a signal ended it early: Ctrl-C in the console ends what looks again and again.
bool sleep_for(std::chrono::milliseconds pause);

/// Streams and abilities of one invocation; tests hand in string streams.
struct terminal {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  bool colours = false;     ///< a TTY, and NO_COLOR is not set
  std::size_t columns = 0;  ///< of a TTY that is written to; 0: it is none, and lines have any length
  bool interactive = false; ///< a person types: input and output are TTYs
  std::function<std::chrono::system_clock::time_point()> now = [] { return std::chrono::system_clock::now(); };
  /// Between two looks of `--watch` and `--wait`: waits that long; false: no more.
  std::function<bool(std::chrono::milliseconds)> next_look = sleep_for;
};

/// Columns that `text` (UTF-8) takes on a terminal: 2 for wide characters, 0 for combining ones; 1 for each byte that
/// is not UTF-8.
[[nodiscard]] std::size_t display_width(std::string_view text);

/// `text` with `?` for control characters and bytes that are not UTF-8: what an application named itself cannot move
/// the cursor of who lists it.
[[nodiscard]] std::string printable(std::string_view text);

/// `text` filled with blanks up to `width` columns; longer texts stay as they are.
[[nodiscard]] std::string pad(std::string_view text, std::size_t width, bool right_aligned = false);

/// The first of `text`, with `…` behind it, if it takes more than `width` columns (≥ 1).
[[nodiscard]] std::string cut(std::string_view text, std::size_t width);

/// `text` in the colour of the state it names (green: as wanted, yellow: on its way, red: broken, plain: anything
/// else), if `colours`.
[[nodiscard]] std::string paint_state(std::string_view state, std::string_view text, bool colours);

/// `text` faint, if `colours`.
[[nodiscard]] std::string paint_faint(std::string_view text, bool colours);

/// `7s`, `5m`, `3h`, `12d`: the largest unit of which there is one; `now` for less than a second or the future.
[[nodiscard]] std::string age_text(std::chrono::milliseconds age);

/// Age of an RFC 3339 time as the API writes it; empty for an empty text, the text itself if it is no time.
[[nodiscard]] std::string age_of(std::string_view rfc3339, std::chrono::system_clock::time_point now);

/// `512`, `64Ki`, `1.5Gi`: at most one decimal, in the unit in which it is at least 1.
[[nodiscard]] std::string bytes_text(std::int64_t bytes);

} // namespace prunella::tools
