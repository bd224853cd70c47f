#pragma once

// The log of a container, one format for all drivers: that of the Kubernetes CRI (and conmon's `k8s-file`). A line is
//   2026-11-21T17:59:24.075213707+00:00 stdout F what it printed
// the time at which it was read, the stream, F for a whole line or P for a piece whose rest follows in the next line of
// the same stream, and the text. The newer half is DATA/containers/NAME/log, the older, if there is one, log.1.
// Pure, but for the functions that say which file they read.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace prunella::actors {

struct log_line {
  std::chrono::system_clock::time_point at; ///< exact to a millisecond
  bool is_error = false;                    ///< from standard error
  bool is_partial = false;
  std::string_view text; ///< of the line that was parsed
};

/// `line` without its newline. Nothing for what is no line of this format.
std::optional<log_line> parse_log_line(std::string_view line);

/// Where the older half of the log at `path` is kept.
std::string older_log_path(const std::string& path);

std::string container_log_path(const std::string& data_directory, const std::string& container);

/// The last line with something on it that was written to standard error, at `since_ms` (Unix time) or later, in the last
/// part of the log at `path`: at most 200 bytes, `?` for what is not printable ASCII. Empty if there is none.
std::string last_error_line(const std::string& path, std::int64_t since_ms);

/// `text` as a reason shows it: without blanks at its ends, at most 200 bytes, `?` for what is not printable ASCII.
std::string shown_words(std::string_view text);

} // namespace prunella::actors
