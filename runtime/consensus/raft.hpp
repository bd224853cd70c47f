#pragma once

// The consensus algorithm as a value (Ongaro 2014, "Consensus: Bridging Theory and Practice"), in the shape of etcd's
// raft: inputs are messages, ticks and proposals; outputs are collected by `ready()`. No clock, no I/O, no thread, and
// randomness only through `raft_options::random`, so a whole group runs in one thread from one seed.
//
//   raft core(options, restored);
//   core.tick(); core.step(message); core.propose(data);      // any number of inputs
//   while (core.has_ready()) {
//     auto out = core.ready();
//     send(out.messages);                                     // at once, before the disk has answered
//     hand out.write to the disk, in order; when it is durable: send(out.write.promises); core.persisted(ticket);
//     restore(out.restore); apply(out.committed); answer(out.reads);
//   }
//
// Safety rests on three rules the shell must keep: writes become durable in the order of their tickets; `persisted` is
// called only for what survives a power cut; nothing of a `ready_batch` is dropped except messages.
//
// Where it differs from etcd's raft: a membership counts from the moment it is in the log, as in the dissertation, not
// when applied; snapshots travel in pieces; entries are applied only when on this member's own disk, so that the state
// machine is never ahead of the log.

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/consensus/log_view.hpp"
#include "runtime/consensus/membership.hpp"
#include "runtime/consensus/progress.hpp"
#include "runtime/consensus/raft_message.hpp"

namespace prunella::runtime {

struct raft_options {
  member_id self = 0;
  std::uint64_t group = 1;           ///< the same for all members, unlike any other group's
  raft_membership initial;           ///< the same for all founding members; empty for a member that is added later
  std::uint32_t election_ticks = 10; ///< without a leader's word before an election; drawn from [n, 2n) each time
  std::uint32_t heartbeat_ticks = 1; ///< < election_ticks
  /// Of the heartbeats to a member that lacks nothing, one in so many asks for an answer; the others only keep it from
  /// elections. An answer costs as much as a heartbeat, and a leader needs two in an election timeout.
  std::uint32_t heartbeats_per_answer = 1;
  /// A leader whose own disk owes an answer for this long hands over to a voter that answers: it could commit with the
  /// others' disks, but never apply.
  std::uint32_t disk_patience_ticks = 40;
  std::uint64_t max_append_bytes = 256u << 10; ///< of entries per message; one larger entry still goes
  std::size_t max_inflight_appends = 64;       ///< per member
  std::uint64_t max_inflight_bytes = 4u << 20; ///< per member
  /// Of this leader's proposals that it has not applied yet, because a majority or its own disk is slow; more is busy.
  std::uint64_t max_unapplied_bytes = 16u << 20;
  std::uint64_t max_entry_bytes = 512u << 10;      ///< of one proposal's data
  std::uint64_t max_apply_bytes = 1u << 20;        ///< of committed entries per ready_batch
  std::uint64_t snapshot_piece_bytes = 256u << 10; ///< per message
  std::uint64_t max_snapshot_bytes = 512u << 20;   ///< accepted from a leader
  std::size_t max_waiting_reads = 4096;            ///< more is refused as busy
  std::uint64_t promotion_lag = 1024;              ///< entries a learner may be behind when it is given a vote
  /// This member's disk has forgotten promises: it follows, but never votes or campaigns, and counts for no majority.
  bool withhold_vote = false;
  std::function<std::uint32_t()> random; ///< required
};

/// Why `options` cannot work, as a sentence; empty if they can.
std::string find_fault(const raft_options& options);

/// What a member finds on its disk when it starts; all empty for a new one.
struct restored_state {
  hard_state state;
  shared_snapshot snapshot; ///< null: none
  entry_id compacted;       ///< the entry before the first of `entries`
  std::vector<shared_entry> entries;
  std::uint64_t applied = 0; ///< what the state machine has already; at least the snapshot's index
};

/// Why a member must not start from `restored`, as a sentence; empty if it may.
std::string find_fault(const restored_state& restored);

enum class raft_role : std::uint8_t { follower = 0, pre_candidate = 1, candidate = 2, leader = 3 };
const char* to_text(raft_role role);

/// Why an input was not taken. `none`: it was.
enum class raft_refusal : std::uint8_t {
  none = 0,
  not_leader = 1,    ///< only the leader does that; `leader()` may name it
  busy = 2,          ///< a limit is reached, or leadership is being handed over: try again later
  too_large = 3,     ///< the data is above max_entry_bytes
  not_ready = 4,     ///< the leader has not committed in its term yet, or a membership change is under way
  not_caught_up = 5, ///< the learner's log is too far behind to be given a vote
  invalid = 6,       ///< the request makes no sense, whenever it comes
};

struct proposal {
  raft_refusal refusal = raft_refusal::none;
  std::uint64_t index = 0; ///< if an entry is applied at this index with this term, it is this one;
  std::uint64_t term = 0;  ///< with another term, this one is gone for good
  std::string why;         ///< of a refusal, for a person
};

/// The answer to `read_index(context)`: a read is linearizable once everything up to `index` is applied.
struct read_state {
  std::uint64_t context = 0;
  std::uint64_t index = 0;
  bool failed = false; ///< leadership was lost first; ask again
};

/// What must become durable, all of it or nothing, in this order: install or save `snapshot`; drop entries up to
/// `compact_to`; drop entries at and above `truncate_from`; add `entries`; set `state`.
struct write_request {
  std::uint64_t ticket = 0; ///< 0: nothing to write. Ascending; `persisted(n)` speaks for all up to n
  bool has_state = false;
  hard_state state;
  std::uint64_t truncate_from = 0; ///< 0: nothing to drop
  std::vector<shared_entry> entries;
  shared_snapshot snapshot;     ///< null: none
  std::uint64_t compact_to = 0; ///< 0: nothing to drop
  /// What may be said once the write is durable, and not before. The disk's own thread may say it: they stay true.
  std::vector<raft_message> promises;
};

struct soft_state {
  raft_role role = raft_role::follower;
  member_id leader = 0; ///< 0: none known
  std::uint64_t term = 0;

  PRUNELLA_FIELDS(soft_state, role, leader, term)
};

struct ready_batch {
  std::vector<raft_message> messages;
  write_request write;
  shared_snapshot restore;             ///< null, or what the state machine continues from, before `committed`
  std::vector<shared_entry> committed; ///< to be applied in order; barriers and memberships among them
  std::vector<read_state> reads;
  soft_state soft; ///< as of now
};

struct raft_status {
  member_id self = 0;
  soft_state soft;
  std::uint64_t commit = 0;
  std::uint64_t applied = 0; ///< handed out for application
  std::uint64_t persisted = 0;
  std::uint64_t last_index = 0;
  std::uint64_t snapshot_index = 0;
  raft_membership members;
  std::map<member_id, progress> peers; ///< of a leader, itself included
};

class raft {
public:
  /// Throws std::invalid_argument with a sentence if `find_fault` finds one.
  raft(raft_options options, restored_state restored);

  /// Takes a message of another member. Returns why it was refused (damaged, hostile, of another group), or an empty
  /// string; messages that are merely late are ignored without a word. Never throws for bad input.
  std::string step(raft_message message);
  /// One unit of time has passed.
  void tick();
  /// How many ticks from now the first is that does something by itself (an election, a heartbeat), if nothing is heard
  /// or asked until then; >= 1. What comes before it need not be waited for one by one.
  std::uint32_t ticks_until_action() const;
  /// Appends a command to the log. Taken is not committed: see `proposal`. `expected_term`: not_leader unless this member
  /// leads exactly that term (a command that was checked against the state of one term must not follow entries of
  /// another leader unchecked); 0: any.
  proposal propose(std::string data, std::uint64_t expected_term = 0);
  /// Only one change at a time, and only by a leader that committed an entry of its term (Ongaro 2015, "bug in
  /// single-server membership changes", raft-dev).
  proposal propose_membership(const membership_change& change);
  /// Asks for a read index (Ongaro 2014, 6.4); a follower asks its leader. `context` must be unique among this
  /// member's reads, over restarts too. The answer comes in `ready_batch::reads`; a lost message means no answer.
  raft_refusal read_index(std::uint64_t context);
  /// Hands leadership to a voter (Ongaro 2014, 3.10); given up after election_ticks. Proposals are refused meanwhile.
  /// `to` 0: to the voter that answers and has most of the log.
  proposal transfer_leadership(member_id to);
  /// Starts an election at once, as if the election timeout had passed.
  void campaign();
  /// The leader's process or link is known to be gone: the next election starts after 1, 3, 5 … ticks by this member's
  /// place among the voters, not after the whole timeout. If that was a mistake, the leader's next word mends it.
  void forget_leader();
  /// This member has just started: a lone voter leads at once, others ask by turns as after `forget_leader`. Where a
  /// leader is at work, it is heard first or the others say so.
  void start_campaigning();
  /// The state machine wrote its state after applying `index` to `data`: older entries go, except the last
  /// `keep_entries` of them (for slow followers). False, and no change, unless index is applied and above the last one.
  bool take_snapshot(std::uint64_t index, std::string data, std::uint64_t keep_entries);

  /// Whether a member does not know yet how far its log is committed. The next append or heartbeat will tell it; a shell
  /// that does not want it to wait that long calls `send_commit_notices`.
  bool owes_commit_notices() const;
  void send_commit_notices();

  bool has_ready() const;
  ready_batch ready();
  /// Every write up to `ticket` survives a power cut.
  void persisted(std::uint64_t ticket);

  member_id self() const { return options_.self; }
  member_id leader() const { return leader_; }
  soft_state soft() const { return {role_, leader_, state_.term}; }
  std::uint64_t term() const { return state_.term; }
  std::uint64_t commit() const { return state_.commit; }
  const log_view& log() const { return log_; }
  const raft_membership& members() const { return memberships_.current(); }
  raft_status status() const;

private:
  struct pending_write {
    std::uint64_t ticket = 0;
    std::uint64_t last_index = 0; // persisted up to here when done; lowered when the log is truncated meanwhile
    shared_snapshot install;
    std::vector<raft_message> messages; // promises made after it was handed over, and the own vote
  };
  struct pending_read {
    member_id from = 0;
    std::uint64_t context = 0;
    std::uint64_t index = 0; // commit when the read was taken
    std::uint64_t round = 0;
  };
  struct arriving_snapshot {
    entry_id last;
    std::uint64_t leader_term = 0;
    std::uint64_t total = 0;
    raft_membership members;
    std::string data;
  };
  enum class campaign_kind : std::uint8_t { pre, real, transfer };

  // raft.cpp: life, dispatch, output
  std::string step_by_term(raft_message& message);
  std::string step_as_member(raft_message& message);
  raft_message message_to(member_id to, raft_message_type type) const;
  void send(raft_message message) { messages_.push_back(std::move(message)); }
  void send_when_durable(raft_message message) { promises_.push_back(std::move(message)); }
  bool must_write() const;
  void collect_write(ready_batch& out);
  void bind_promise(ready_batch& out, raft_message promise);
  void collect_committed(ready_batch& out);

  // raft_election.cpp
  void become_follower(std::uint64_t term, member_id leader);
  void become_leader();
  void draw_election_timeout();
  bool may_campaign() const;
  void start_campaign(campaign_kind kind);
  void request_votes(campaign_kind kind);
  void tally();
  bool leader_in_lease() const;
  void on_vote_request(const raft_message& message);
  void on_vote_reply(const raft_message& message);
  void on_timeout_now(const raft_message& message);
  void tick_leader();
  void check_quorum();
  void check_disk();
  member_id furthest_active_voter() const;
  void give_up_transfer() { transfer_to_ = 0; }

  // raft_replication.cpp
  void append_as_leader(entry_kind kind, std::string data);
  void append_entry(shared_entry entry);
  void truncate_log(std::uint64_t index);
  void flush_replication();
  void replicate_to(member_id id, progress& peer);
  bool send_append(member_id id, progress& peer, std::uint64_t max_bytes);
  void send_snapshot_piece(member_id id, progress& peer);
  bool needs_commit_notice(const progress& peer) const;
  void broadcast_heartbeats();
  void broadcast_heartbeats_sparing_answers();
  void send_heartbeat(member_id id, progress& peer);
  void send_commit_notice(member_id id, progress& peer);
  std::uint64_t confirmed_by_majority(std::uint64_t progress::*what, std::uint64_t own) const;
  void commit_what_a_majority_has();
  void commit_to(std::uint64_t index);
  std::string on_append(raft_message& message);
  std::string on_append_reply(const raft_message& message);
  void on_append_rejected(const raft_message& message, progress& peer);
  void on_heartbeat(const raft_message& message);
  void on_heartbeat_reply(const raft_message& message);

  // raft_membership.cpp
  void on_snapshot(raft_message& message);
  void install_snapshot(std::uint64_t epoch);
  void on_snapshot_reply(const raft_message& message);
  void hand_over_if_caught_up(member_id id, const progress& peer);
  void on_membership_changed();
  void leave_leadership_if_removed();

  // raft_read.cpp
  bool committed_in_own_term() const;
  void take_read(member_id from, std::uint64_t context);
  void start_read_round();
  void finish_reads();
  void answer_read(const pending_read& read);
  void fail_reads();

  raft_options options_;
  hard_state state_;
  log_view log_;
  membership_history memberships_;
  std::uint64_t applied_ = 0;

  raft_role role_ = raft_role::follower;
  member_id leader_ = 0;
  member_id transfer_to_ = 0;
  std::uint32_t election_elapsed_ = 0;
  std::uint32_t heartbeat_elapsed_ = 0;
  std::uint32_t transfer_elapsed_ = 0;
  std::uint32_t disk_elapsed_ = 0; // of a leader: since its disk last answered, while it owes an answer
  std::uint32_t election_timeout_ = 0;
  std::map<member_id, int> votes_; // 1 granted, -1 refused

  std::map<member_id, progress> peers_; // of a leader: every member and itself
  std::uint64_t unapplied_bytes_ = 0;
  std::deque<pending_read> reads_; // of a leader, ascending rounds
  std::uint64_t read_round_ = 0;   // the last one that heartbeats carry
  bool read_round_wanted_ = false;

  arriving_snapshot arriving_;
  shared_snapshot to_install_; // not handed to the disk yet
  shared_snapshot to_save_;    // own snapshot, not handed to the disk yet
  shared_snapshot to_restore_; // on disk, not handed to the state machine yet

  std::vector<raft_message> messages_;
  std::vector<raft_message> promises_; // to be sent when everything so far is durable
  std::vector<read_state> read_answers_;
  std::deque<pending_write> writes_; // handed to the disk, oldest first
  std::uint64_t last_ticket_ = 0;
  hard_state written_state_; // as last handed to the disk
};

} // namespace prunella::runtime
