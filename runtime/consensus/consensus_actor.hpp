#pragma once

// A member of a consensus group as an actor: the pure core in raft.hpp between messages, timers, a log writer and a
// state machine.
//
// Spawned by the composition root under a `rest_for_one` supervisor after its log writer; permanent. Lost when it
// crashes: nothing that was acknowledged; who waits for an answer gets none and must treat it as `outcome_unknown`.
// Everything it needs of the world is in the options, so that a whole group runs in one thread on virtual time.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/error.hpp>
#include <caf/fwd.hpp>

#include "runtime/consensus/consensus_error.hpp"
#include "runtime/consensus/raft.hpp"
#include "runtime/consensus/state_machine.hpp"

CAF_ERROR_CODE_ENUM(prunella::runtime::consensus_errc, "consensus")

namespace prunella::runtime {

// Messages. Refusals are caf::errors of consensus_errc; their context is (text, leader's member id or 0).

/// → `command_applied` when it is on disk at a majority and applied here. Errors: not_leader (also when it leads another
/// term than expected), busy, too_large (nothing happened), dropped (certainly not applied), outcome_unknown (ask the state machine before repeating it), starting.
struct propose_command {
  std::string data;
  std::chrono::milliseconds timeout{0}; ///< until outcome_unknown; 0: consensus_options::command_timeout
  /// The term of the leadership in which the command was checked against the state; 0: it needs no such check.
  std::uint64_t expected_term = 0;

  PRUNELLA_FIELDS(propose_command, data, timeout, expected_term)
};

struct command_applied {
  std::uint64_t index = 0;
  std::string result; ///< of the state machine

  PRUNELLA_FIELDS(command_applied, index, result)
};

/// → `barrier_passed`: everything acknowledged by anybody before this was asked is applied at this member now, so its
/// state may be read. Works on any member that hears a leader. Errors: timed_out, busy, starting.
struct read_barrier {
  std::chrono::milliseconds timeout{0}; ///< 0: consensus_options::read_timeout

  PRUNELLA_FIELDS(read_barrier, timeout)
};

struct barrier_passed {
  std::uint64_t index = 0; ///< applied here

  PRUNELLA_FIELDS(barrier_passed, index)
};

/// → `command_applied` when the change is committed. Errors as propose_command, and not_ready, not_caught_up, invalid.
struct change_membership {
  membership_change change;

  PRUNELLA_FIELDS(change_membership, change)
};

/// → `leadership_changed` once another member leads. Errors: not_leader, invalid, busy (not done in time; this member
/// leads on).
struct transfer_leadership {
  member_id to = 0; ///< 0: to the voter whose log is furthest

  PRUNELLA_FIELDS(transfer_leadership, to)
};

/// The connection to `member` is gone (its process died, or the link did). If it leads, the next election does not
/// wait for the whole timeout. No answer.
struct peer_lost {
  member_id member = 0;

  PRUNELLA_FIELDS(peer_lost, member)
};

/// The sender gets `leadership_changed` (now, and at each change) and `log_applied` until it ends. No answer.
struct subscribe_consensus {
  bool leadership = true;
  bool applied = false;

  PRUNELLA_FIELDS(subscribe_consensus, leadership, applied)
};

/// To subscribers. A new leader's state may lag behind what its predecessor acknowledged: pass a `read_barrier` first.
struct leadership_changed {
  raft_role role = raft_role::follower; ///< of this member
  member_id leader = 0;                 ///< 0: none known
  std::uint64_t term = 0;

  PRUNELLA_FIELDS(leadership_changed, role, leader, term)
};

/// To subscribers, at most once per batch: everything up to `index` is applied.
struct log_applied {
  std::uint64_t index = 0;

  PRUNELLA_FIELDS(log_applied, index)
};

/// → `consensus_status`, at any time.
struct get_consensus_status {
  bool peers = true; ///< with what a leader knows of the others

  PRUNELLA_FIELDS(get_consensus_status, peers)
};

struct peer_status {
  member_id member = 0;
  bool voter = false;
  std::uint64_t match = 0; ///< on its disk
  std::uint64_t next = 0;
  progress_state state = progress_state::probe;
  bool active = false; ///< heard of since the last quorum check

  PRUNELLA_FIELDS(peer_status, member, voter, match, next, state, active)
};

struct consensus_status {
  bool started = false; ///< the log is read
  member_id self = 0;
  raft_role role = raft_role::follower;
  member_id leader = 0; ///< 0: none known, hence no quorum as far as this member can tell
  std::uint64_t term = 0;
  std::uint64_t committed = 0;
  std::uint64_t applied = 0;
  std::uint64_t persisted = 0;
  std::uint64_t last_index = 0;
  std::uint64_t snapshot_index = 0;
  raft_membership members;
  std::uint64_t waiting_commands = 0;
  std::uint64_t waiting_reads = 0;
  std::uint64_t refused_messages = 0; ///< of peers, since the start
  std::string last_refusal;           ///< why
  std::vector<peer_status> peers;     ///< of a leader

  PRUNELLA_FIELDS(consensus_status, started, self, role, leader, term, committed, applied, persisted, last_index,
                  snapshot_index, members, waiting_commands, waiting_reads, refused_messages, last_refusal, peers)
};

struct consensus_options {
  raft_options raft;                           ///< `random` may be empty: then it is seeded from `seed`
  std::uint64_t seed = 0;                      ///< of timeouts and read contexts; different for each start of a member
  std::chrono::milliseconds tick_interval{50}; ///< one raft tick
  /// A commit that no append carries to the others meanwhile is told them after this: under load all do.
  std::chrono::milliseconds commit_notice_delay{2};
  std::chrono::milliseconds command_timeout{5000};
  std::chrono::milliseconds read_timeout{5000};
  std::chrono::milliseconds load_timeout{60000}; ///< for reading the log at the start
  std::size_t max_waiting_commands = 65536;      ///< more is refused as busy
  std::size_t max_waiting_reads = 65536;         ///< more is refused as busy
  std::uint64_t snapshot_after_entries = 10000;  ///< applied since the last snapshot
  std::uint64_t snapshot_after_bytes = 16u << 20;
  std::uint64_t keep_entries = 1000;                 ///< behind a snapshot, for slow followers
  caf::actor log_writer;                             ///< required
  std::shared_ptr<replicated_state_machine> machine; ///< required
  /// Carries messages, each to its `to`, or loses them; never blocks. Called in the actor's and its log writer's thread, with
  /// all that may leave at once. Required.
  std::function<void(std::vector<raft_message>)> send;
  /// Called for each message of a member that was taken, and by a leader for itself at each of its heartbeats, in the
  /// actor's thread; may be empty.
  std::function<void(member_id)> on_heard;
  std::function<void()> say_ready; ///< called when the log is read and ticking has begun; may be empty
  /// Own thread: a state machine that waits for its disk holds up this member, not the actors of the whole process. Only
  /// the composition root may choose it; never under virtual time.
  bool detached = false;
};

/// Besides the messages above it takes `raft_message` from peers (the caller has checked who sent it) without an
/// answer. Ends with log_failed or machine_failed and a sentence; the supervisor starts it again.
caf::actor spawn_consensus(caf::actor_system& system, consensus_options options);

/// `leader`: 0 if unknown.
caf::error to_error(consensus_errc code, const std::string& details, member_id leader = 0);
/// The leader that a not_leader error names; 0: none.
member_id leader_hint(const caf::error& error);
/// Makes actor_system::render know this category. Call on the configuration before the system.
void add_consensus_errors(caf::actor_system_config& config);

} // namespace prunella::runtime
