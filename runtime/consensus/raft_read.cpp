// Linearizable reads without a log entry: Ongaro 2014, 6.4 (ReadIndex). No clock is trusted: a majority confirms the
// leadership for each round of reads; all reads that came since the last round share the next one.

#include <algorithm>

#include "runtime/consensus/raft.hpp"

namespace prunella::runtime {

bool raft::committed_in_own_term() const {
  return log_.matches({state_.commit, state_.term});
}

raft_refusal raft::read_index(std::uint64_t context) {
  if (role_ == raft_role::leader) {
    if (reads_.size() >= options_.max_waiting_reads)
      return raft_refusal::busy;
    take_read(options_.self, context);
    return raft_refusal::none;
  }
  if (leader_ == 0)
    return raft_refusal::not_leader;
  auto request = message_to(leader_, raft_message_type::read_request);
  request.round = context;
  send(std::move(request));
  return raft_refusal::none;
}

void raft::take_read(member_id from, std::uint64_t context) {
  if (reads_.size() >= options_.max_waiting_reads)
    return; // a follower's: it asks again after its timeout
  reads_.push_back({from, context, 0, 0});
  read_round_wanted_ = true;
}

void raft::start_read_round() {
  if (!read_round_wanted_)
    return;
  read_round_wanted_ = false;
  // A new leader does not know yet what its predecessors committed; the commit of its barrier wakes the reads up.
  if (role_ != raft_role::leader || reads_.empty() || reads_.back().round != 0 || !committed_in_own_term())
    return;
  ++read_round_;
  for (auto i = reads_.rbegin(); i != reads_.rend() && i->round == 0; ++i) {
    i->round = read_round_;
    i->index = state_.commit;
  }
  broadcast_heartbeats();
  finish_reads();
}

void raft::finish_reads() {
  const auto confirmed = confirmed_by_majority(&progress::acknowledged_round, read_round_);
  while (!reads_.empty() && reads_.front().round != 0 && reads_.front().round <= confirmed) {
    answer_read(reads_.front());
    reads_.pop_front();
  }
}

void raft::answer_read(const pending_read& read) {
  if (read.from == options_.self) {
    read_answers_.push_back({read.context, read.index, false});
    return;
  }
  auto reply = message_to(read.from, raft_message_type::read_reply);
  reply.log_index = read.index;
  reply.round = read.context;
  send(std::move(reply));
}

void raft::fail_reads() {
  for (const auto& read : reads_)
    if (read.from == options_.self)
      read_answers_.push_back({read.context, 0, true});
  reads_.clear();
  read_round_wanted_ = false;
}

} // namespace prunella::runtime
