#pragma once

// Where a member of a consensus group keeps its log. Synchronous and small: the log writer actor owns one `raft_log`,
// gathers what is to be persisted and calls `append` once per batch. One thread at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "storage/errors.hpp"
#include "storage/raft_types.hpp"

namespace prunella::storage {

/// Bounds of one call; more is `invalid_argument`. SQLite itself ends at 1 GB per value.
inline constexpr std::size_t max_entry_bytes = 64u << 20;
inline constexpr std::size_t max_snapshot_bytes = 512u << 20;

/// Everything that is on disk. Invariants: `entries` has no gaps and starts at `compacted_index + 1`;
/// `compacted_index <= snapshot.index`; the last entry's index, if there is one, is >= `snapshot.index`.
struct raft_log_contents {
  hard_state state;
  raft_snapshot snapshot;            ///< index 0: none
  std::uint64_t compacted_index = 0; ///< the entry before the first kept one; may lie before the snapshot
  std::uint64_t compacted_term = 0;  ///< its term, for the consistency check of the first kept entry
  std::vector<log_entry> entries;
  bool repaired =
      false; ///< `repair_raft_log` ran: acknowledged entries or a vote may be gone. Such a member must not
             ///< vote; it rejoins empty or as a learner (unless it is the only voter, then nothing is left to ask)

  PRUNELLA_FIELDS(raft_log_contents, state, snapshot, compacted_index, compacted_term, entries, repaired)
};

/// What one `append` makes durable, all of it or nothing.
struct raft_log_batch {
  bool has_state = false; ///< whether `state` is to be written
  hard_state state;
  std::uint64_t truncate_from = 0; ///< first index to drop before `entries` are added; 0: drop none. > compacted index
  std::vector<log_entry> entries;  ///< consecutive; the first follows the last kept entry
  /// Entries up to it go; not beyond the snapshot. What is gone already: nothing. Up to 15 may stay that are stored
  /// together with a later one (`raft_log_rows.hpp`).
  std::uint64_t compact_to = 0;

  PRUNELLA_FIELDS(raft_log_batch, has_state, state, truncate_from, entries, compact_to)
};

/// A durable log. After `io_failed` every further call fails with it: a sync that failed once may have dropped pages
/// that a second sync would wrongly report as stored, so the log must be opened and loaded again.
class raft_log {
public:
  virtual ~raft_log() = default;

  /// Reads and verifies everything: checksums, chain, indexes. `damaged` names the index and the way to repair.
  virtual result<raft_log_contents> load() = 0;

  /// Applies `batch` in one transaction with one sync; when it returns, the batch survives a power cut.
  /// An empty batch costs nothing. `disk_full` and `invalid_argument` change nothing and leave the log usable.
  virtual result<void> append(const raft_log_batch& batch) = 0;

  /// Replaces the stored snapshot by a newer one (index > the stored one's; the same (index, term) again is a no-op).
  /// Entries stay for slow followers until a batch compacts them, if the log has entry (index, term); otherwise the snapshot came
  /// from the leader and the log does not lead to it: all entries are dropped in the same transaction.
  virtual result<void> save_snapshot(const raft_snapshot& snapshot) = 0;

  virtual std::uint64_t first_index() const = 0; ///< of the kept entries: compacted index + 1
  virtual std::uint64_t last_index() const = 0;  ///< compacted index if there are none
};

/// Whose log a file is. A file of another owner is refused: a member that votes with another's memory breaks Raft.
struct raft_log_owner {
  std::string site;
  member_id member = 0;

  PRUNELLA_FIELDS(raft_log_owner, site, member)
};

/// Opens or creates the SQLite log at `path` (its folder must exist). Beside it live `-wal`, `.lock` and `.mark`; all
/// four belong together. Errors: `locked` (names the pid), `foreign`, `newer_format`, `older_format`, `damaged`,
/// `disk_full`, `inaccessible`, `io_failed`.
result<std::unique_ptr<raft_log>> open_raft_log(const std::string& path, const raft_log_owner& owner);

/// What `repair_raft_log` did, and a paragraph for the operator.
struct raft_log_repair {
  std::string damaged_copy;    ///< folder with the file as it was found
  std::uint64_t last_kept = 0; ///< index; 0: none
  std::uint64_t entries_kept = 0;
  std::uint64_t entries_dropped = 0; ///< rows seen behind the damage; some may be beyond counting
  bool snapshot_kept = false;
  bool state_kept = false; ///< term and vote
  bool was_sound = false;  ///< nothing was wrong; nothing was changed and `damaged_copy` is empty
  std::string message;

  PRUNELLA_FIELDS(raft_log_repair, damaged_copy, last_kept, entries_kept, entries_dropped, snapshot_kept, state_kept,
                  was_sound, message)
};

/// Moves the damaged log aside and leaves one with what is provably good: everything before the first bad entry. If the
/// vote, the snapshot or the owner is unreadable, what follows from it cannot be trusted and an empty log is left.
/// The result is marked `repaired`. Refuses a log of another owner and one in use.
result<raft_log_repair> repair_raft_log(const std::string& path, const raft_log_owner& owner);

} // namespace prunella::storage
