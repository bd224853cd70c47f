#pragma once

// The part of the replicated log that a member holds in memory: every entry since the last compaction, which prefix of
// it is on this member's disk, and what still has to go there.

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "runtime/consensus/raft_message.hpp"

namespace prunella::runtime {

/// Names an entry: two logs that share it share everything before it (Log Matching, Ongaro 2014, figure 3.2).
struct entry_id {
  std::uint64_t index = 0;
  std::uint64_t term = 0;

  PRUNELLA_FIELDS(entry_id, index, term)
};

/// Why a snapshot and the entries read from disk do not form a log, as a sentence; empty if they do.
std::string find_fault(const raft_snapshot& snapshot, entry_id compacted, const std::vector<shared_entry>& entries);

class log_view {
public:
  log_view() : snapshot_(std::make_shared<const raft_snapshot>()) {}
  /// From what was on disk; all of it counts as persisted. `compacted` names the entry before the first of `entries`,
  /// which may lie before the snapshot (entries kept for slow followers). Precondition: `find_fault` found nothing.
  log_view(shared_snapshot snapshot, entry_id compacted, std::vector<shared_entry> entries);

  /// Index of the last entry that is not held any more; its term is still known.
  std::uint64_t offset() const { return offset_.index; }
  std::uint64_t last_index() const { return offset_.index + entries_.size(); }
  std::uint64_t last_term() const { return entries_.empty() ? offset_.term : entries_.back()->term; }
  /// The latest snapshot; index 0 before the first.
  const shared_snapshot& snapshot() const { return snapshot_; }

  /// nullopt below `offset()` and above `last_index()`.
  std::optional<std::uint64_t> term_at(std::uint64_t index) const;
  bool matches(entry_id id) const { return term_at(id.index) == id.term; }
  /// Whether a log that ends with `last` is at least as complete as this one (Ongaro 2014, 3.6.1).
  bool is_behind_or_equal(entry_id last) const;
  /// The last entry at or below `index` whose term is at most `term`: where two logs may agree. Never below `offset()`;
  /// term 0 if that is all that is known.
  entry_id last_possible_match(std::uint64_t index, std::uint64_t term) const;

  /// Precondition: offset() < index <= last_index().
  const shared_entry& at(std::uint64_t index) const {
    return entries_[static_cast<std::size_t>(index - offset_.index - 1)];
  }
  /// Entries [from, to], cut where their bytes exceed `max_bytes`, but at least one if there is one.
  std::vector<shared_entry> slice(std::uint64_t from, std::uint64_t to, std::uint64_t max_bytes) const;

  /// Precondition: entry.index == last_index() + 1.
  void append(shared_entry entry);
  /// Forgets entries at and above `index`, on disk too as soon as something replaces them. Precondition: index >
  /// offset().
  void truncate_from(std::uint64_t index);
  /// Forgets everything; the log continues after `snapshot`. `valid_up_to`: highest index whose disk copy stays true.
  void restart_from(shared_snapshot snapshot, std::uint64_t valid_up_to);
  /// `snapshot` covers entries that are all applied; those up to `keep_after` are forgotten.
  void take_snapshot(shared_snapshot snapshot, std::uint64_t keep_after);

  /// Highest index that is on this member's disk.
  std::uint64_t persisted() const { return persisted_; }
  /// Entries that were not handed to the disk yet exist.
  bool has_unwritten() const { return next_to_write_ <= last_index(); }
  /// All entries not handed to the disk yet; they count as handed over now. The first replaces whatever the disk has
  /// at its index and above; `truncates` says whether it may have something.
  struct unwritten {
    std::vector<shared_entry> entries;
    bool truncates = false;
  };
  unwritten take_unwritten();
  void persisted_up_to(std::uint64_t index);

private:
  entry_id offset_;
  std::deque<shared_entry> entries_;
  shared_snapshot snapshot_; // never null
  std::uint64_t persisted_ = 0;
  std::uint64_t next_to_write_ = 1;
  std::uint64_t highest_written_ = 0; // the disk may hold entries up to here
};

} // namespace prunella::runtime
