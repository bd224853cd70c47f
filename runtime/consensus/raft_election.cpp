// Elections: Ongaro 2014, 3.4, 3.6 (votes), 9.6 (pre-vote), 4.2.3 (who hears a leader does not vote), 6.2 (a leader
// without a majority steps down), 3.10 (hand-over).

#include <algorithm>

#include "runtime/consensus/raft.hpp"

namespace prunella::runtime {

void raft::draw_election_timeout() {
  election_timeout_ = options_.election_ticks + options_.random() % options_.election_ticks;
}

bool raft::may_campaign() const {
  // A snapshot that is not on disk yet leaves a log that cannot be defended.
  if (options_.withhold_vote || to_install_ || applied_ < log_.offset())
    return false;
  if (is_voter(members(), options_.self))
    return true;
  // Until its removal is committed, a server may be the only one that can complete it (Ongaro 2014, 4.2.2): the rest
  // may lack the entry and need its vote, which it cannot give to their shorter logs. It does not count its own vote.
  const auto since = memberships_.current_since();
  return since > state_.commit && is_voter(memberships_.at(since - 1), options_.self);
}

void raft::become_follower(std::uint64_t term, member_id leader) {
  if (term != state_.term) {
    state_.term = term;
    state_.voted_for = 0;
  }
  if (role_ == raft_role::leader)
    fail_reads();
  role_ = raft_role::follower;
  leader_ = leader;
  transfer_to_ = 0;
  election_elapsed_ = 0;
  heartbeat_elapsed_ = 0;
  peers_.clear();
  votes_.clear();
  unapplied_bytes_ = 0;
  if (arriving_.leader_term != term)
    arriving_ = {};
  draw_election_timeout();
}

void raft::become_leader() {
  role_ = raft_role::leader;
  leader_ = options_.self;
  election_elapsed_ = 0;
  heartbeat_elapsed_ = 0;
  disk_elapsed_ = 0;
  votes_.clear();
  peers_.clear();
  on_membership_changed();
  // An empty entry of the new term: once it is committed, everything before it is, too (Ongaro 2014, 6.4 step 1).
  append_as_leader(entry_kind::barrier, {});
}

void raft::tick() {
  if (role_ == raft_role::leader)
    return tick_leader();
  ++election_elapsed_;
  if (election_elapsed_ >= election_timeout_ && may_campaign()) {
    election_elapsed_ = 0;
    start_campaign(campaign_kind::pre);
  }
}

std::uint32_t raft::ticks_until_action() const {
  const auto until = [](std::uint32_t due, std::uint32_t elapsed) { return due > elapsed ? due - elapsed : 1; };
  if (role_ == raft_role::leader)
    return until(options_.heartbeat_ticks, heartbeat_elapsed_);
  return may_campaign() ? until(election_timeout_, election_elapsed_) : options_.election_ticks;
}

void raft::tick_leader() {
  check_disk(); // before the quorum check forgets who was heard of
  if (++election_elapsed_ >= options_.election_ticks) {
    election_elapsed_ = 0;
    check_quorum();
    if (role_ != raft_role::leader)
      return;
  }
  if (transfer_to_ != 0 && ++transfer_elapsed_ >= options_.election_ticks)
    give_up_transfer();
  if (++heartbeat_elapsed_ >= options_.heartbeat_ticks) {
    heartbeat_elapsed_ = 0;
    broadcast_heartbeats_sparing_answers();
  }
}

void raft::check_quorum() {
  const auto active = count_votes(members(), [&](member_id id) {
    const auto peer = peers_.find(id);
    const bool heard = peer != peers_.end() && peer->second.recently_active && !peer->second.discounted;
    return id == options_.self || heard ? 1 : 0;
  });
  for (auto& [id, peer] : peers_)
    peer.recently_active = false;
  if (active != vote_outcome::won)
    become_follower(state_.term, 0);
}

void raft::check_disk() {
  disk_elapsed_ = writes_.empty() ? 0 : disk_elapsed_ + 1;
  if (disk_elapsed_ < options_.disk_patience_ticks)
    return;
  if (transfer_to_ != 0 || transfer_leadership(0).refusal == raft_refusal::none)
    disk_elapsed_ = 0; // if nobody takes over after all, it is tried again
}

member_id raft::furthest_active_voter() const {
  member_id best = 0;
  std::uint64_t best_match = 0;
  for (const auto& [id, peer] : peers_)
    if (id != options_.self && is_voter(members(), id) && peer.recently_active && !peer.discounted &&
        (best == 0 || peer.match > best_match)) {
      best = id;
      best_match = peer.match;
    }
  return best;
}

void raft::campaign() {
  if (role_ != raft_role::leader && may_campaign())
    start_campaign(campaign_kind::pre);
}

void raft::forget_leader() {
  if (role_ != raft_role::follower)
    return;
  // All notice at the same moment; by turns, two ticks apart, nobody splits the vote. Who lacks entries loses its turn.
  std::uint32_t turn = 0;
  for (auto id : members().voters)
    turn += id < options_.self && id != leader_ ? 1 : 0;
  leader_ = 0;
  election_timeout_ = std::min(election_timeout_, election_elapsed_ + 1 + 2 * turn);
}

void raft::start_campaigning() {
  if (members().voters == std::vector<member_id>{options_.self})
    campaign();
  else
    forget_leader();
}

void raft::start_campaign(campaign_kind kind) {
  votes_.clear();
  leader_ = 0;
  draw_election_timeout();
  if (kind == campaign_kind::pre) {
    role_ = raft_role::pre_candidate;
    votes_[options_.self] = 1;
  } else {
    role_ = raft_role::candidate;
    ++state_.term;
    state_.voted_for = options_.self;
    election_elapsed_ = 0;
    send_when_durable(message_to(options_.self, raft_message_type::vote_reply));
  }
  request_votes(kind);
  tally(); // a lone voter needs nobody's answer
}

void raft::request_votes(campaign_kind kind) {
  for (auto id : members().voters) {
    if (id == options_.self)
      continue;
    auto request = message_to(id, kind == campaign_kind::pre ? raft_message_type::pre_vote : raft_message_type::vote);
    request.log_index = log_.last_index();
    request.log_term = log_.last_term();
    request.force = kind == campaign_kind::transfer;
    if (kind == campaign_kind::pre) {
      ++request.term;
      send(std::move(request));
    } else {
      // Not before this member's own log and vote are durable: a restarted candidate must not collect votes that were
      // given to a longer log than it came back with.
      send_when_durable(std::move(request));
    }
  }
}

void raft::tally() {
  const auto outcome = count_votes(members(), [&](member_id id) {
    const auto vote = votes_.find(id);
    return vote == votes_.end() ? 0 : vote->second;
  });
  if (outcome == vote_outcome::lost)
    become_follower(state_.term, 0);
  else if (outcome == vote_outcome::won && role_ == raft_role::pre_candidate)
    start_campaign(campaign_kind::real);
  else if (outcome == vote_outcome::won && role_ == raft_role::candidate)
    become_leader();
}

bool raft::leader_in_lease() const {
  return leader_ != 0 && election_elapsed_ < options_.election_ticks;
}

void raft::on_vote_request(const raft_message& message) {
  const bool pre = message.type == raft_message_type::pre_vote;
  const bool free = state_.voted_for == 0 && leader_ == 0;
  const bool may_vote = pre ? message.term > state_.term : free || state_.voted_for == message.from;
  const bool granted =
      may_vote && !options_.withhold_vote && log_.is_behind_or_equal({message.log_index, message.log_term});
  auto reply = message_to(message.from, pre ? raft_message_type::pre_vote_reply : raft_message_type::vote_reply);
  reply.reject = !granted;
  if (pre) {
    reply.term = granted ? message.term : state_.term;
    return send(std::move(reply));
  }
  if (granted) {
    state_.voted_for = message.from;
    election_elapsed_ = 0;
  }
  send_when_durable(std::move(reply));
}

void raft::on_vote_reply(const raft_message& message) {
  const bool pre = message.type == raft_message_type::pre_vote_reply;
  if (role_ != (pre ? raft_role::pre_candidate : raft_role::candidate))
    return;
  if (pre && !message.reject && message.term != state_.term + 1)
    return; // granted for another term than the one this member would start
  votes_.emplace(message.from, message.reject ? -1 : 1);
  tally();
}

void raft::on_timeout_now(const raft_message&) {
  if (may_campaign())
    start_campaign(campaign_kind::transfer);
}

proposal raft::transfer_leadership(member_id to) {
  if (role_ != raft_role::leader)
    return {raft_refusal::not_leader, 0, 0, "only the leader hands leadership over"};
  if (to == 0)
    to = furthest_active_voter();
  if (to == 0)
    return {raft_refusal::busy, 0, 0, "no other voter answers; only one that does can take over"};
  if (to == options_.self)
    return {raft_refusal::invalid, 0, 0, "member " + std::to_string(to) + " leads already"};
  if (!is_voter(members(), to))
    return {raft_refusal::invalid, 0, 0, "member " + std::to_string(to) + " has no vote; only a voter can lead"};
  if (transfer_to_ == to)
    return {};
  transfer_to_ = to;
  transfer_elapsed_ = 0;
  auto& peer = peers_.at(to);
  peer.poke = true;
  hand_over_if_caught_up(to, peer);
  return {};
}

void raft::hand_over_if_caught_up(member_id id, const progress& peer) {
  if (transfer_to_ == id && peer.match == log_.last_index())
    send(message_to(id, raft_message_type::timeout_now));
}

} // namespace prunella::runtime
