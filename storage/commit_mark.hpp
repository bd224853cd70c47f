#pragma once

// A witness beside a database of how far it was committed. SQLite drops everything behind the first broken frame of its
// write-ahead log without a word, which is right for a torn last write and wrong for rot in the middle, or for a file
// that was restored from an old copy. The mark is written after each commit and never synced: after a power cut it may
// lag, which is harmless; but a database that is behind its mark has lost something that was acknowledged.

#include <cstdint>
#include <optional>
#include <string>

#include "storage/errors.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

struct mark_position {
  std::uint64_t revision = 0;   ///< grows with every change other than an append
  std::uint64_t last_index = 0; ///< last entry at that revision
};

/// Whether a log at `log` lacks something that was there when `mark` was written.
constexpr bool is_behind(const mark_position& log, const mark_position& mark) {
  return mark.revision > log.revision || (mark.revision == log.revision && mark.last_index > log.last_index);
}

/// The mark's 40 bytes, and back; nothing if they are not a mark (torn or damaged: then it bears no witness).
std::string encode_mark(const mark_position& position);
std::optional<mark_position> decode_mark(std::string_view bytes);

/// The open mark file. Writing it is one pwrite without a sync, about a microsecond.
class commit_mark {
public:
  static result<commit_mark> open(const std::string& path);

  std::optional<mark_position> read() const;
  void write(const mark_position& position);

private:
  explicit commit_mark(unique_fd fd) : fd_(std::move(fd)) {}

  unique_fd fd_;
};

} // namespace prunella::storage
