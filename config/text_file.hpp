#pragma once

// Reads a file that somebody named, whatever it turns out to be: a folder, a device, a pipe that nobody writes into.

#include <chrono>
#include <cstddef>
#include <string>

namespace prunella::config {

struct text_file_options {
  std::size_t max_bytes = 0; ///< larger files are refused, unread
  /// How long a pipe may stay silent, as one of `<(command)`.
  std::chrono::milliseconds patience = std::chrono::seconds{10};
};

struct text_file {
  std::string text;
  /// Empty: it was read. Otherwise what is wrong and what to do, to stand behind the file's name and a
  /// colon: `is a folder; name a file in it`.
  std::string error;
};

/// The whole of `path`, a regular file or a pipe. Never waits longer than `patience` for a byte, never keeps more than
/// `max_bytes` and one read of it.
text_file read_text_file(const std::string& path, const text_file_options& options);

} // namespace prunella::config
