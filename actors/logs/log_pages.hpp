#pragma once

// Reads the log of a container (`instance/container_log.hpp`) page by page, across its two halves and their rotation. A
// position names a file by what its first line says, so it holds while the file is renamed, and over restarts of agents
// and hosts. Nothing here writes, and what a page costs is bounded.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/fields.hpp"

namespace prunella::actors {

/// Before which byte of a log a reader stands.
struct log_position {
  std::uint32_t file = 0; ///< derived from the file's first line; 0: at the beginning of the oldest there is
  std::int64_t offset = 0;

  PRUNELLA_FIELDS(log_position, file, offset)
};

struct log_entry {
  std::int64_t at_ms = 0; ///< Unix time
  bool is_error = false;  ///< from standard error
  bool is_partial = false; ///< the line goes on in the next entry of its stream
  std::string text;
  log_position next; ///< behind it; `file` 0: in the middle of a line of the other stream, where no page begins

  PRUNELLA_FIELDS(log_entry, at_ms, is_error, is_partial, text, next)
};

struct log_page {
  std::vector<log_entry> entries; ///< as they were written; pieces of a line are put together
  log_position begin;             ///< where it begins itself: as asked, unless there is a gap
  log_position next;              ///< where the next page begins
  bool has_more = false;          ///< there was more than the page takes
  bool has_gap = false;           ///< what followed the asked position is gone: the log was rotated meanwhile
  std::uint32_t damaged = 0;      ///< lines that are none of the format, left out

  PRUNELLA_FIELDS(log_page, entries, begin, next, has_more, has_gap, damaged)
};

/// What of a log is wanted of a reader that has no position yet.
struct log_start {
  std::optional<std::uint32_t> tail;     ///< at most so many lines, the newest
  std::optional<std::int64_t> since_ms;  ///< Unix time; only lines that are not older
};

/// Where the reader of the log at `path` begins.
log_position find_log_start(const std::string& path, const log_start& start);

/// Longer lines are nobody's: what drivers write is cut into pieces of 16 KiB.
inline constexpr std::size_t longest_log_line = 20 * 1024;

/// What follows `from` in the log at `path`, at most `max_bytes` of the files. Whole lines; of a first one that is longer all
/// is given up to `max_line_bytes`, and then its first piece. A log that is not there is empty.
log_page read_log_page(const std::string& path, const log_position& from, std::size_t max_bytes,
                       std::size_t max_line_bytes = longest_log_line);

} // namespace prunella::actors
