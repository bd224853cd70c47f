#pragma once

// The consensus actor's state; private to consensus_actor.cpp and consensus_output.cpp.

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <caf/response_promise.hpp>
#include <caf/stateful_actor.hpp>

#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/consensus/log_writer.hpp"
#include "runtime/instant.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::runtime {

/// To itself: see consensus_options::commit_notice_delay.
struct commit_notices_due {
  bool now = true;

  PRUNELLA_FIELDS(commit_notices_due, now)
};

struct consensus_state;
using consensus_self = caf::stateful_actor<consensus_state, supervised_actor>;

struct consensus_state {
  static constexpr const char* name = "consensus";

  explicit consensus_state(consensus_self* self_) : self(self_) {}

  struct waiting_command {
    std::uint64_t term = 0;
    caf::response_promise promise;
    instant deadline;
  };
  struct waiting_read {
    caf::response_promise promise;
    instant deadline;
  };
  /// Reads that share one question to the leader.
  struct read_group {
    std::vector<waiting_read> reads;
    std::uint64_t asked_at = 0; // tick
    bool answered = false;
    std::uint64_t index = 0;
  };
  struct subscriber {
    caf::actor handle;
    bool leadership = false;
    bool applied = false;
  };

  // consensus_actor.cpp: input
  void start(consensus_options given);
  void on_log_loaded(log_contents& loaded);
  caf::response_promise on_propose(propose_command& message);
  caf::response_promise on_change_membership(const change_membership& message);
  caf::response_promise on_read_barrier(const read_barrier& message);
  caf::response_promise on_transfer(const transfer_leadership& message);
  void on_peer_message(raft_message& message);
  void on_peer_lost(const peer_lost& message);
  void on_subscribe(const subscribe_consensus& message);
  void on_written(const log_written& message);
  void on_tick(std::uint64_t epoch);
  void on_notices_due();
  void on_down(const caf::down_msg& down);
  void on_exit(const caf::exit_msg& message);
  consensus_status status() const;

  void wait_for(const proposal& taken, caf::response_promise promise, std::chrono::milliseconds timeout);
  void refuse(caf::response_promise& promise, const proposal& refused);
  void plan_ticks();
  void pass_time(std::int64_t most);
  void catch_up();
  std::int64_t ticks_planned() const;
  void schedule_flush();
  void expire(instant now);
  void end_transfer();

  // consensus_output.cpp: output
  void flush();
  void take(ready_batch& out);
  bool restore(const raft_snapshot& snapshot);
  bool apply(const std::vector<shared_entry>& entries);
  void settle_commands(const std::vector<shared_entry>& entries, std::vector<std::string>& results);
  void drop_overtaken(const log_entry& entry);
  bool take_snapshot_if_due();
  void ask_reads();
  void take_read_answers(const std::vector<read_state>& answers);
  void finish_reads();
  void announce_leadership();
  void fail_everybody_waiting(const std::string& why);
  void stop(consensus_errc code, const std::string& why);

  consensus_self* self;
  consensus_options options;
  std::unique_ptr<raft> core; // null until the log is read
  std::mt19937_64 random;
  bool stopped = false;
  bool flush_scheduled = false;
  bool notices_scheduled = false;
  std::uint64_t tick_epoch = 0;
  std::uint64_t ticks = 0;
  instant ticked_at; // up to where the core knows of the time
  instant tick_due;  // of the timer; instant{}: none is armed

  std::map<std::uint64_t, waiting_command> commands; // by log index
  std::vector<waiting_read> new_reads;               // not asked yet
  std::map<std::uint64_t, read_group> read_groups;   // by context
  std::size_t reads_waiting = 0;
  std::uint64_t next_context = 0;
  caf::response_promise transfer_promise;
  std::uint64_t transfer_started = 0; // tick; 0: none

  std::vector<subscriber> subscribers;
  soft_state announced;
  std::uint64_t bytes_since_snapshot = 0;
  std::uint64_t refused_messages = 0;
  std::string last_refusal;
};

} // namespace prunella::runtime
