// Members that come, go, or are too far behind: Ongaro 2014, chapter 4 (membership), chapter 5 and figure 5.3
// (snapshots in pieces).

#include <algorithm>

#include "runtime/consensus/raft.hpp"

namespace prunella::runtime {

proposal raft::propose_membership(const membership_change& change) {
  if (role_ != raft_role::leader)
    return {raft_refusal::not_leader, 0, 0, "only the leader changes who is a member"};
  if (transfer_to_ != 0)
    return {raft_refusal::busy, 0, 0, "leadership is being handed to member " + std::to_string(transfer_to_)};
  if (memberships_.current_since() > state_.commit)
    return {raft_refusal::not_ready, 0, 0, "another membership change is not committed yet"};
  if (!committed_in_own_term())
    return {raft_refusal::not_ready, 0, 0, "this leader has not committed an entry of its term yet"};
  auto changed = apply_change(members(), change);
  if (!changed.fault.empty())
    return {raft_refusal::invalid, 0, 0, std::move(changed.fault)};
  if (change.kind == membership_change_kind::add_voter && is_learner(members(), change.member)) {
    const auto behind = log_.last_index() - peers_.at(change.member).match;
    if (behind > options_.promotion_lag)
      return {raft_refusal::not_caught_up, 0, 0,
              "member " + std::to_string(change.member) + " is " + std::to_string(behind) +
                  " entries behind; at most " + std::to_string(options_.promotion_lag) + " are allowed"};
  }
  append_as_leader(entry_kind::membership, encode_membership(changed.members));
  return {raft_refusal::none, log_.last_index(), state_.term, {}};
}

void raft::on_membership_changed() {
  if (role_ != raft_role::leader)
    return;
  const auto& now = members();
  for (auto i = peers_.begin(); i != peers_.end();)
    i = is_member(now, i->first) || i->first == options_.self ? std::next(i) : peers_.erase(i);
  for (const auto* ids : {&now.voters, &now.learners})
    for (auto id : *ids) {
      const auto [entry, added] = peers_.try_emplace(id);
      if (!added)
        continue;
      auto& peer = entry->second;
      peer.next = log_.last_index() + 1;
      peer.inflights = inflight_window(options_.max_inflight_appends, options_.max_inflight_bytes);
      peer.recently_active = true; // it has a quorum check's time to be heard of
      peer.poke = true;
      if (id == options_.self)
        peer.update(log_.persisted());
    }
  if (!is_voter(now, transfer_to_))
    give_up_transfer();
}

void raft::leave_leadership_if_removed() {
  if (role_ != raft_role::leader || is_voter(members(), options_.self) || memberships_.current_since() > state_.commit)
    return;
  // The others need not wait for an election timeout: the best of them starts at once.
  const progress* best = nullptr;
  member_id successor = 0;
  for (const auto& [id, peer] : peers_)
    if (is_voter(members(), id) && (!best || peer.match > best->match)) {
      best = &peer;
      successor = id;
    }
  flush_replication(); // they learn of the commit before the hand-over
  send_commit_notices();
  if (best && best->match == log_.last_index())
    send(message_to(successor, raft_message_type::timeout_now));
  become_follower(state_.term, 0);
}

void raft::send_snapshot_piece(member_id id, progress& peer) {
  const auto& snapshot = *peer.snapshot;
  auto message = message_to(id, raft_message_type::snapshot);
  message.log_index = snapshot.index;
  message.log_term = snapshot.term;
  message.members = snapshot.members;
  message.round = peer.epoch;
  message.total = snapshot.data.size();
  message.hint = peer.snapshot_received;
  message.chunk = snapshot.data.substr(peer.snapshot_received, options_.snapshot_piece_bytes);
  peer.snapshot_stalled = 0;
  send(std::move(message));
}

void raft::on_snapshot_reply(const raft_message& message) {
  const auto found = peers_.find(message.from);
  if (role_ != raft_role::leader || found == peers_.end())
    return;
  auto& peer = found->second;
  peer.recently_active = true;
  if (peer.state != progress_state::snapshot || peer.snapshot->index != message.log_index ||
      message.hint > peer.snapshot->data.size() || message.hint == peer.snapshot_received)
    return;
  peer.snapshot_received = message.hint; // less than before: the member restarted and begins anew
  send_snapshot_piece(message.from, peer);
}

void raft::on_snapshot(raft_message& message) {
  election_elapsed_ = 0;
  const entry_id last{message.log_index, message.log_term};
  if (last.index <= state_.commit || log_.matches(last)) {
    // Nothing new in it, but it proves that everything up to there is committed.
    commit_to(last.index);
    arriving_ = {};
    auto reply = message_to(message.from, raft_message_type::append_reply);
    reply.round = message.round;
    reply.log_index = state_.commit;
    return send_when_durable(std::move(reply));
  }
  if (arriving_.last != last || arriving_.leader_term != message.term || arriving_.total != message.total)
    arriving_ = {last, message.term, message.total, message.members, {}};
  if (message.hint == arriving_.data.size())
    arriving_.data += message.chunk;
  if (arriving_.data.size() == arriving_.total)
    return install_snapshot(message.round);
  auto reply = message_to(message.from, raft_message_type::snapshot_reply);
  reply.log_index = last.index;
  reply.hint = arriving_.data.size();
  send(std::move(reply));
}

void raft::install_snapshot(std::uint64_t epoch) {
  to_install_ = std::make_shared<const raft_snapshot>(raft_snapshot{
      arriving_.last.index, arriving_.last.term, std::move(arriving_.members), std::move(arriving_.data)});
  arriving_ = {};
  to_save_.reset();           // an own, older one
  for (auto& write : writes_) // nothing above the commit index that is still on its way to the disk counts now
    write.last_index = std::min(write.last_index, state_.commit);
  log_.restart_from(to_install_, state_.commit);
  memberships_ = membership_history(to_install_->index, to_install_->members);
  state_.commit = to_install_->index;
  auto reply = message_to(leader_, raft_message_type::append_reply);
  reply.round = epoch;
  reply.log_index = state_.commit;
  send_when_durable(std::move(reply));
}

} // namespace prunella::runtime
