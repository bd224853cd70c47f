// The log's way to the other members: Ongaro 2014, 3.5 and 3.6 (replication, commitment), 10.2 (pipelining, and a
// leader that writes its own disk meanwhile).

#include <algorithm>

#include "runtime/consensus/raft.hpp"

namespace prunella::runtime {

proposal raft::propose(std::string data, std::uint64_t expected_term) {
  if (role_ != raft_role::leader)
    return {raft_refusal::not_leader, 0, 0, "only the leader takes proposals"};
  if (expected_term != 0 && expected_term != state_.term)
    return {raft_refusal::not_leader, 0, 0,
            "the command was checked in term " + std::to_string(expected_term) + ", this is term " +
                std::to_string(state_.term) + "; check it again"};
  if (transfer_to_ != 0)
    return {raft_refusal::busy, 0, 0, "leadership is being handed to member " + std::to_string(transfer_to_)};
  if (data.size() > options_.max_entry_bytes)
    return {raft_refusal::too_large, 0, 0,
            "a command has at most " + std::to_string(options_.max_entry_bytes) + " bytes, this one has " +
                std::to_string(data.size())};
  // One is always taken, or a limit below the size of a command would block it for ever.
  if (unapplied_bytes_ > 0 && unapplied_bytes_ + data.size() > options_.max_unapplied_bytes)
    return {raft_refusal::busy, 0, 0,
            "too many commands wait to be applied; a majority or this disk may be slow or away"};
  append_as_leader(entry_kind::command, std::move(data));
  return {raft_refusal::none, log_.last_index(), state_.term, {}};
}

void raft::append_as_leader(entry_kind kind, std::string data) {
  shared_entry entry({state_.term, log_.last_index() + 1, kind, std::move(data)});
  unapplied_bytes_ += entry.bytes();
  append_entry(std::move(entry));
}

void raft::append_entry(shared_entry entry) {
  const auto index = entry->index;
  auto members = entry->kind == entry_kind::membership ? decode_membership(entry->data) : std::nullopt;
  log_.append(std::move(entry));
  if (!members)
    return;
  memberships_.append(index, std::move(*members));
  on_membership_changed();
}

void raft::truncate_log(std::uint64_t index) {
  log_.truncate_from(index);
  for (auto& write :
       writes_) // what is on its way to the disk there does not count any more, even if it comes back later
    write.last_index = std::min(write.last_index, index - 1);
  if (memberships_.truncate_from(index))
    on_membership_changed();
}

void raft::flush_replication() {
  if (role_ != raft_role::leader)
    return;
  for (auto& [id, peer] : peers_)
    if (id != options_.self)
      replicate_to(id, peer);
}

void raft::replicate_to(member_id id, progress& peer) {
  if (peer.poke && peer.state == progress_state::replicate && peer.inflights.full())
    send_append(id, peer, 0); // no more entries for a member whose disk may be stuck, but did the last ones arrive?
  while (!peer.paused() && (peer.next <= log_.last_index() || peer.poke))
    if (!send_append(id, peer, options_.max_append_bytes))
      return;
}

bool raft::needs_commit_notice(const progress& peer) const {
  return peer.state == progress_state::replicate && std::min(peer.match, state_.commit) > peer.sent_commit;
}

bool raft::owes_commit_notices() const {
  return role_ == raft_role::leader && std::any_of(peers_.begin(), peers_.end(), [&](const auto& item) {
           return item.first != options_.self && needs_commit_notice(item.second);
         });
}

void raft::send_commit_notices() {
  if (role_ != raft_role::leader)
    return;
  for (auto& [id, peer] : peers_)
    if (id != options_.self && needs_commit_notice(peer))
      send_commit_notice(id, peer);
}

void raft::send_commit_notice(member_id id, progress& peer) {
  auto message = message_to(id, raft_message_type::commit_notice);
  // Only what is known to agree: the rest of its log may not be this leader's.
  message.commit = std::min(peer.match, state_.commit);
  peer.sent_commit = std::max(peer.sent_commit, message.commit);
  send(std::move(message));
}

bool raft::send_append(member_id id, progress& peer, std::uint64_t max_bytes) {
  peer.poke = false;
  const auto before = log_.term_at(peer.next - 1);
  if (!before) { // entries only go once a snapshot covers them
    peer.become_snapshot(log_.snapshot());
    send_snapshot_piece(id, peer);
    return false;
  }
  auto message = message_to(id, raft_message_type::append);
  message.log_index = peer.next - 1;
  message.log_term = *before;
  message.commit = state_.commit;
  message.round = peer.epoch;
  if (max_bytes > 0)
    message.entries = log_.slice(peer.next, log_.last_index(), max_bytes);
  peer.sent_commit = std::min(state_.commit, message.log_index + message.entries.size());
  if (peer.state == progress_state::probe) {
    peer.probe_sent = true;
  } else if (!message.entries.empty()) {
    std::uint64_t bytes = 0;
    for (const auto& entry : message.entries)
      bytes += entry.bytes();
    peer.next += message.entries.size();
    peer.inflights.add(peer.next - 1, bytes);
  }
  send(std::move(message));
  return peer.state == progress_state::replicate;
}

void raft::broadcast_heartbeats() {
  for (auto& [id, peer] : peers_)
    if (id != options_.self)
      send_heartbeat(id, peer);
}

void raft::broadcast_heartbeats_sparing_answers() {
  for (auto& [id, peer] : peers_) {
    if (id == options_.self)
      continue;
    const bool lacks_nothing = peer.state == progress_state::replicate && peer.match == log_.last_index() &&
                               !peer.poke && peer.acknowledged_round == read_round_;
    if (lacks_nothing && peer.unanswered_heartbeats + 1 < options_.heartbeats_per_answer) {
      ++peer.unanswered_heartbeats;
      send_commit_notice(id, peer);
    } else {
      send_heartbeat(id, peer);
    }
  }
}

void raft::send_heartbeat(member_id id, progress& peer) {
  auto message = message_to(id, raft_message_type::heartbeat);
  message.commit = std::min(peer.match, state_.commit); // as in send_commit_notice
  peer.sent_commit = std::max(peer.sent_commit, message.commit);
  peer.unanswered_heartbeats = 0;
  message.round = read_round_;
  send(std::move(message));
}

std::uint64_t raft::confirmed_by_majority(std::uint64_t progress::*what, std::uint64_t own) const {
  return majority_index(members(), [&](member_id id) {
    const auto peer = peers_.find(id);
    if (id == options_.self)
      return own;
    return peer == peers_.end() || peer->second.discounted ? 0 : peer->second.*what;
  });
}

void raft::commit_what_a_majority_has() {
  const auto index = confirmed_by_majority(&progress::match, log_.persisted());
  // Counting replicas commits only entries of the own term (Ongaro 2014, 3.6.2 and figure 3.7).
  if (index > state_.commit && log_.matches({index, state_.term})) {
    commit_to(index);
    leave_leadership_if_removed();
  }
}

void raft::commit_to(std::uint64_t index) {
  index = std::min(index, log_.last_index());
  if (index <= state_.commit)
    return;
  state_.commit = index;
  if (role_ == raft_role::leader && !reads_.empty() && reads_.back().round == 0)
    read_round_wanted_ = true; // reads that waited for the first commit of this term
}

std::string raft::on_append(raft_message& message) {
  election_elapsed_ = 0;
  auto reply = message_to(message.from, raft_message_type::append_reply);
  reply.round = message.round;
  if (message.log_index < state_.commit) {
    // Late or doubled: what it could say about is committed here, hence the same.
    const auto end = message.log_index + message.entries.size();
    if (end <= state_.commit) {
      reply.log_index = state_.commit;
      send_when_durable(std::move(reply));
      return {};
    }
    const auto known = static_cast<std::ptrdiff_t>(state_.commit - message.log_index);
    if (!log_.matches({state_.commit, message.entries[static_cast<std::size_t>(known - 1)]->term}))
      return "it contradicts the committed entry " + std::to_string(state_.commit);
    message.entries.erase(message.entries.begin(), message.entries.begin() + known);
    message.log_index = state_.commit;
    message.log_term = *log_.term_at(state_.commit);
  }
  if (!log_.matches({message.log_index, message.log_term})) {
    if (message.log_index == state_.commit)
      return "it contradicts the committed entry " + std::to_string(state_.commit);
    const auto possible = log_.last_possible_match(message.log_index, message.log_term);
    reply.reject = true;
    reply.log_index = message.log_index;
    reply.hint = possible.index;
    reply.log_term = possible.term;
    send(std::move(reply));
    return {};
  }
  const auto last_new = message.log_index + message.entries.size();
  for (auto& entry : message.entries) {
    if (log_.matches({entry->index, entry->term}))
      continue;
    if (entry->index <= log_.last_index()) // only uncommitted ones: everything up to commit was compared above
      truncate_log(entry->index);
    append_entry(std::move(entry));
  }
  commit_to(std::min(message.commit, last_new));
  reply.log_index = last_new;
  send_when_durable(std::move(reply));
  return {};
}

std::string raft::on_append_reply(const raft_message& message) {
  const auto found = peers_.find(message.from);
  if (role_ != raft_role::leader || found == peers_.end())
    return {};
  auto& peer = found->second;
  peer.recently_active = true;
  peer.discounted = peer.discounted || message.force;
  if (message.round != peer.epoch)
    return {}; // of a log that is not there any more
  if (message.reject) {
    on_append_rejected(message, peer);
    return {};
  }
  if (message.log_index > log_.last_index())
    return "it claims entry " + std::to_string(message.log_index) + ", but the log ends at " +
           std::to_string(log_.last_index());
  const bool news = peer.update(message.log_index);
  if (peer.state == progress_state::probe && (news || message.log_index == peer.match))
    peer.become_replicate();
  else if (peer.state == progress_state::snapshot && peer.match >= peer.snapshot->index)
    peer.become_replicate();
  else if (peer.state == progress_state::replicate)
    peer.inflights.free_to(message.log_index);
  if (!news)
    return {};
  commit_what_a_majority_has();
  if (role_ == raft_role::leader)
    hand_over_if_caught_up(message.from, peer);
  return {};
}

void raft::on_append_rejected(const raft_message& message, progress& peer) {
  auto possible = message.hint;
  // The follower's term there may skip many of this log's entries at once (Ongaro 2014, 3.5, last paragraph).
  if (message.log_term > 0)
    possible = log_.last_possible_match(message.hint, message.log_term).index;
  if (peer.match > 0 && message.log_index <= peer.match)
    return peer.restart(std::min(message.log_index, possible));
  if (!peer.decrease(message.log_index, possible))
    return;
  if (peer.state == progress_state::replicate)
    peer.become_probe();
}

void raft::on_heartbeat(const raft_message& message) {
  election_elapsed_ = 0;
  commit_to(message.commit);
  auto reply = message_to(message.from, raft_message_type::heartbeat_reply);
  reply.round = message.round;
  reply.log_index = log_.last_index();
  send(std::move(reply));
}

void raft::on_heartbeat_reply(const raft_message& message) {
  const auto found = peers_.find(message.from);
  if (role_ != raft_role::leader || found == peers_.end())
    return;
  auto& peer = found->second;
  peer.recently_active = true;
  peer.discounted = peer.discounted || message.force;
  peer.probe_sent = false;
  if (peer.state == progress_state::snapshot) {
    // Pieces get lost; but a slow link must not be fed the same piece at every heartbeat.
    if (++peer.snapshot_stalled >= 3)
      send_snapshot_piece(message.from, peer);
  } else if (peer.match < log_.last_index() || message.log_index < peer.match) {
    peer.poke = true;
  }
  if (message.round > peer.acknowledged_round && message.round <= read_round_) {
    peer.acknowledged_round = message.round;
    finish_reads();
  }
}

} // namespace prunella::runtime
