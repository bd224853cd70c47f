#pragma once

// How a Raft log lies in its SQLite file; shared by the log and its repair. Internal to this folder.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/cereal_bytes.hpp"
#include "storage/checksum.hpp"
#include "storage/commit_mark.hpp"
#include "storage/raft_log.hpp"
#include "storage/sqlite_file.hpp"

namespace prunella::storage {

/// 3: rows may be packed. 4 to 10: what a site's commands hold has changed, so entries of older formats cannot be read.
inline constexpr std::uint32_t raft_log_format = 10;
inline constexpr std::string_view raft_log_head_key = "head";

// An index that SQLite's signed integers hold with room to spare.
inline constexpr std::uint64_t max_log_index = std::uint64_t{1} << 62;

/// Entries that are appended together are packed, so many to a row, if they are together at most `max_packed_bytes`: a
/// row of its own costs a small entry more than its bytes do. A packed row has the index of its first entry, the term and
/// the link of its last, the kind `packed_kind`, and as data the entries one after the other (cereal). What is left over has
/// rows of its own.
inline constexpr std::size_t entries_per_packed_row = 16;
inline constexpr std::size_t max_packed_bytes = 64u << 10;
inline constexpr std::uint64_t packed_kind = 16;

/// The one meta row of a log: everything but entries and snapshot.
struct raft_log_head {
  hard_state state;
  std::uint64_t revision = 0; ///< grows with each write of this row; what the mark is compared with
  std::uint64_t compacted_index = 0;
  std::uint64_t compacted_term = 0;
  checksum compacted_sum{}; ///< where the chain of the kept entries begins
  bool repaired = false;

  PRUNELLA_FIELDS(raft_log_head, state, revision, compacted_index, compacted_term, compacted_sum, repaired)
};

/// The end of the chain: the last entry, or what was compacted.
struct raft_log_tail {
  std::uint64_t index = 0;
  std::uint64_t term = 0;
  checksum sum{};
};

/// The chain's next link: H(previous link, index, term, kind, data).
checksum entry_sum(checksum_builder& sums, const checksum& previous, const log_entry& entry);

checksum snapshot_sum(checksum_builder& sums, const raft_snapshot& snapshot, std::string_view members);

/// The link from which the chain goes on behind a snapshot that was received, not reached.
checksum chain_start(checksum_builder& sums, std::uint64_t index, std::uint64_t term);

/// What both open: options with tables, identity and sentences. The folder decides nothing else here.
sqlite_file_options raft_log_file_options(const std::string& path, const raft_log_owner& owner);

/// Reads the head row; throws `storage_failure` if it is missing or broken.
raft_log_head read_head(sqlite_file& file);

/// Entries with their links.
using linked_entries = std::vector<std::pair<log_entry, checksum>>;

/// Adds rows. One thread at a time.
class raft_log_row_writer {
public:
  explicit raft_log_row_writer(SQLite::Database& db);

  /// Adds `entries` behind `tail`, which follows. Throws `storage_failure` (invalid_argument) for a term that goes back.
  void add(const std::vector<log_entry>& entries, raft_log_tail& tail);

private:
  void follow(const log_entry& entry, raft_log_tail& tail);
  void put(std::uint64_t index, std::uint64_t kind, std::string_view data, const raft_log_tail& tail);

  SQLite::Statement insert_;
  checksum_builder sums_;
  std::string packed_;
};

/// From which to which entry a row reaches.
struct raft_log_span {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

/// Finds rows. One thread at a time.
class raft_log_row_finder {
public:
  explicit raft_log_row_finder(SQLite::Database& db);

  /// The row that begins at `index` or last before it; all 0 if there is none. `index` may lie behind its last entry.
  raft_log_span span_at(std::uint64_t index);

  /// The entries of the row that begins behind `previous`. Returns a sentence if it is not there or does not continue
  /// `previous`; then `out` is empty.
  std::string read_behind(const raft_log_tail& previous, linked_entries& out);

private:
  SQLite::Statement span_;
  SQLite::Statement row_;
};

/// Reads the entries in order and hands each sound one to `take(entry, sum)`, until the end or the first that breaks
/// the chain; returns a sentence about that one, empty if all were sound.
std::string read_entries(SQLite::Database& db, const raft_log_head& head,
                         const std::function<void(log_entry&&, const checksum&)>& take);

/// How many entries there are by what the rows say, sound or not.
std::uint64_t count_entries(SQLite::Database& db);

/// Reads the snapshot row into `out` (index 0 if there is none); returns a sentence if it is broken.
std::string read_snapshot(SQLite::Database& db, raft_snapshot& out);

/// "" or why `snapshot` and the kept entries do not belong together.
std::string fit_snapshot(const raft_log_head& head, const raft_snapshot& snapshot, std::uint64_t last_index);

void write_snapshot(SQLite::Database& db, checksum_builder& sums, const raft_snapshot& snapshot);

} // namespace prunella::storage
