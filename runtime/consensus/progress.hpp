#pragma once

// What a leader knows of each other member's log, and how much it may send ahead of the answers.

#include <cstdint>
#include <deque>

#include "runtime/consensus/raft_message.hpp"

namespace prunella::runtime {

/// Appends under way to one member, bounded in number and bytes: the pipeline's window.
class inflight_window {
public:
  inflight_window() = default;
  inflight_window(std::size_t max_count, std::uint64_t max_bytes) : max_count_(max_count), max_bytes_(max_bytes) {}

  /// `last_index`: of the append's last entry; ascending from call to call.
  void add(std::uint64_t last_index, std::uint64_t bytes);
  /// The member answered for everything up to `index`.
  void free_to(std::uint64_t index);
  void clear();
  bool full() const { return under_way_.size() >= max_count_ || bytes_ >= max_bytes_; }
  std::size_t count() const { return under_way_.size(); }
  std::uint64_t bytes() const { return bytes_; }

private:
  struct item {
    std::uint64_t last_index;
    std::uint64_t bytes;
  };
  std::deque<item> under_way_;
  std::uint64_t bytes_ = 0;
  std::size_t max_count_ = 1;
  std::uint64_t max_bytes_ = 1;
};

enum class progress_state : std::uint8_t {
  probe = 0,     ///< where the logs agree is unknown: one append per heartbeat until an answer comes
  replicate = 1, ///< they agree up to `match`: appends flow ahead of answers, within the window
  snapshot = 2,  ///< the entries it needs are gone: it gets a snapshot first
};

struct progress {
  std::uint64_t match = 0; ///< its log agrees up to here and is on its disk
  /// Counts the logs that this member was seen with: a member that refuses what it once acknowledged has lost it (its
  /// disk was repaired), and from then on only answers of the new epoch count.
  std::uint64_t epoch = 0;
  bool discounted = false; ///< its disk forgot promises: it follows, but counts for no majority
  std::uint64_t next = 1;  ///< first entry of the next append; always > match
  progress_state state = progress_state::probe;
  bool probe_sent = false;      ///< probe: wait for an answer or a heartbeat's
  bool recently_active = false; ///< was heard of since the last quorum check
  bool poke = false;            ///< send an append even if it is empty: it shows whether the last ones arrived
  std::uint64_t sent_commit = 0; ///< it was told that everything up to here is committed
  std::uint64_t acknowledged_round = 0; ///< of reads
  std::uint32_t unanswered_heartbeats = 0; ///< that asked for no answer, since one that did
  inflight_window inflights;

  shared_snapshot snapshot;            ///< being sent; null unless state is snapshot
  std::uint64_t snapshot_received = 0; ///< bytes of it that have arrived
  std::uint32_t snapshot_stalled = 0;  ///< heartbeats answered since bytes last arrived

  void become_probe();
  void become_replicate();
  void become_snapshot(shared_snapshot to_send);

  /// The member's log agrees up to `index`. False if that was known.
  bool update(std::uint64_t index);
  /// The append that continued `rejected` did not fit; the logs may agree at `possible_match`. False: an old answer.
  bool decrease(std::uint64_t rejected, std::uint64_t possible_match);
  /// Its log is not the one that acknowledged `match`. The logs may agree at `possible_match`; nothing counts any more.
  void restart(std::uint64_t possible_match);
  /// Whether nothing may be sent now.
  bool paused() const;
};

} // namespace prunella::runtime
