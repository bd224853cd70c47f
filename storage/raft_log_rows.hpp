#pragma once

// How a Raft log lies in its SQLite file; shared by the log and its repair. Internal to this folder.

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/cereal_bytes.hpp"
#include "storage/checksum.hpp"
#include "storage/commit_mark.hpp"
#include "storage/raft_log.hpp"
#include "storage/sqlite_file.hpp"

namespace prunella::storage {

inline constexpr std::uint32_t raft_log_format = 2;
inline constexpr std::string_view raft_log_head_key = "head";

// An index that SQLite's signed integers hold with room to spare.
inline constexpr std::uint64_t max_log_index = std::uint64_t{1} << 62;

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

/// Reads the entries in order and hands each sound one to `take(entry, sum)`, until the end or the first that breaks
/// the chain; returns a sentence about that one, empty if all were sound.
std::string read_entries(SQLite::Database& db, const raft_log_head& head,
                         const std::function<void(log_entry&&, const checksum&)>& take);

/// Reads the snapshot row into `out` (index 0 if there is none); returns a sentence if it is broken.
std::string read_snapshot(SQLite::Database& db, raft_snapshot& out);

/// "" or why `snapshot` and the kept entries do not belong together.
std::string fit_snapshot(const raft_log_head& head, const raft_snapshot& snapshot, std::uint64_t last_index);

void write_snapshot(SQLite::Database& db, checksum_builder& sums, const raft_snapshot& snapshot);

} // namespace prunella::storage
