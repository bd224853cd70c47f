#include "runtime/consensus/raft.hpp"

#include <algorithm>
#include <stdexcept>

namespace prunella::runtime {

std::string find_fault(const raft_options& options) {
  if (options.self == 0)
    return "a member needs an id other than 0";
  if (!options.random)
    return "a member needs a source of random numbers for its election timeouts";
  if (options.heartbeat_ticks == 0 || options.election_ticks <= options.heartbeat_ticks)
    return "heartbeat_ticks is at least 1 and below election_ticks";
  if (options.heartbeats_per_answer == 0 ||
      (options.heartbeats_per_answer > 1 && 2 * options.heartbeats_per_answer * options.heartbeat_ticks > options.election_ticks))
    return "heartbeats_per_answer is at least 1, and two answers fit into election_ticks, or a lost one would end a "
           "leadership";
  if (options.disk_patience_ticks < options.election_ticks)
    return "disk_patience_ticks is at least election_ticks, or a busy disk would move leadership all the time";
  if (options.max_inflight_appends == 0 || options.max_inflight_bytes == 0 || options.snapshot_piece_bytes == 0 ||
      options.max_append_bytes == 0)
    return "the limits of what is under way to a member are at least 1";
  if (options.max_append_bytes + options.max_entry_bytes > append_bytes_ceiling)
    return "max_append_bytes and max_entry_bytes together are at most " + std::to_string(append_bytes_ceiling);
  return find_fault(options.initial);
}

std::string find_fault(const restored_state& restored) {
  static const raft_snapshot none;
  const auto& snapshot = restored.snapshot ? *restored.snapshot : none;
  auto fault = find_fault(snapshot, restored.compacted, restored.entries);
  if (fault.empty() && snapshot.index > 0)
    fault = find_fault(snapshot.members);
  if (!fault.empty())
    return fault;
  const auto last = restored.entries.empty() ? snapshot.index : restored.entries.back()->index;
  const auto last_term = restored.entries.empty() ? snapshot.term : restored.entries.back()->term;
  if (restored.state.commit > last)
    return "the log ends at entry " + std::to_string(last) + ", but entry " + std::to_string(restored.state.commit) +
           " was committed: the end of the log is lost; restore this member from the others";
  if (restored.state.term < last_term)
    return "the log has entries of term " + std::to_string(last_term) + ", but the member remembers only term " +
           std::to_string(restored.state.term) + ": its promises are lost; restore this member from the others";
  if (restored.applied > last)
    return "the state machine has applied entry " + std::to_string(restored.applied) + ", but the log ends at entry " +
           std::to_string(last) + ": the end of the log is lost; restore this member from the others";
  if (restored.applied < snapshot.index)
    return "the state machine is at entry " + std::to_string(restored.applied) + ", behind the snapshot at " +
           std::to_string(snapshot.index) + "; restore it from the snapshot first";
  return {};
}

const char* to_text(raft_role role) {
  switch (role) {
  case raft_role::follower:
    return "follower";
  case raft_role::pre_candidate:
    return "pre-candidate";
  case raft_role::candidate:
    return "candidate";
  case raft_role::leader:
    return "leader";
  }
  return "unknown";
}

raft::raft(raft_options options, restored_state restored) : options_(std::move(options)) {
  auto fault = find_fault(options_);
  if (fault.empty())
    fault = find_fault(restored);
  if (!fault.empty())
    throw std::invalid_argument(fault);
  const bool founding = restored.entries.empty() && !restored.snapshot && restored.state == hard_state{};
  auto snapshot = restored.snapshot ? restored.snapshot : std::make_shared<const raft_snapshot>();
  memberships_ = membership_history(snapshot->index, snapshot->members);
  for (const auto& entry : restored.entries)
    if (entry->kind == entry_kind::membership && entry->index > snapshot->index)
      memberships_.append(entry->index, *decode_membership(entry->data)); // readable: find_fault looked
  log_ = log_view(std::move(snapshot), restored.compacted, std::move(restored.entries));
  state_ = written_state_ = restored.state;
  state_.commit = std::max(state_.commit, restored.applied);
  applied_ = restored.applied;
  if (founding && !options_.initial.voters.empty()) {
    // Every founding member begins with the same committed entry, so that the group's first membership is in the log
    // like every later one, whatever the config file says by then.
    state_ = {1, 0, 1};
    append_entry(shared_entry({1, 1, entry_kind::membership, encode_membership(options_.initial)}));
  }
  draw_election_timeout();
}

std::string raft::step(raft_message message) {
  auto fault = find_fault(message, options_.max_snapshot_bytes);
  if (fault.empty() && message.group != options_.group)
    fault = "it belongs to another group";
  if (fault.empty() && message.to != options_.self)
    fault = "it is meant for member " + std::to_string(message.to);
  if (fault.empty() && message.from == options_.self)
    fault = "it claims to be from this member itself";
  const auto type = message.type;
  const auto from = message.from;
  if (fault.empty())
    fault = step_by_term(message);
  if (fault.empty())
    return fault;
  return std::string(to_text(type)) + " from member " + std::to_string(from) + " refused: " + fault;
}

std::string raft::step_by_term(raft_message& message) {
  using type = raft_message_type;
  const bool asks_for_vote = message.type == type::vote || message.type == type::pre_vote;
  const bool from_leader = message.type == type::append || message.type == type::heartbeat ||
                           message.type == type::snapshot || message.type == type::timeout_now ||
                           message.type == type::commit_notice;
  if (message.term > state_.term) {
    // Who hears a leader does not let itself be disturbed (Ongaro 2014, 4.2.3); this also keeps removed servers out.
    if (asks_for_vote && !message.force && leader_in_lease())
      return {};
    const bool hypothetical =
        message.type == type::pre_vote || (message.type == type::pre_vote_reply && !message.reject);
    if (!hypothetical)
      become_follower(message.term, from_leader ? message.from : 0);
  } else if (message.term < state_.term) {
    // A member that came back with a higher term must not stay stuck: its answer tells the leader or candidate of it.
    if (from_leader && message.type != type::timeout_now && message.type != type::commit_notice)
      send(message_to(message.from, type::append_reply));
    else if (message.type == type::pre_vote) {
      auto reply = message_to(message.from, type::pre_vote_reply);
      reply.reject = true;
      send(std::move(reply));
    }
    return {};
  }
  if (from_leader) {
    if (role_ == raft_role::leader)
      return "term " + std::to_string(message.term) + " has two leaders";
    if (leader_ != 0 && leader_ != message.from)
      return "the leader of term " + std::to_string(message.term) + " is member " + std::to_string(leader_);
    if (role_ != raft_role::follower || leader_ == 0)
      become_follower(message.term, message.from);
  }
  return step_as_member(message);
}

std::string raft::step_as_member(raft_message& message) {
  switch (message.type) {
  case raft_message_type::pre_vote:
  case raft_message_type::vote:
    on_vote_request(message);
    return {};
  case raft_message_type::pre_vote_reply:
  case raft_message_type::vote_reply:
    on_vote_reply(message);
    return {};
  case raft_message_type::append:
    return on_append(message);
  case raft_message_type::append_reply:
    return on_append_reply(message);
  case raft_message_type::heartbeat:
    on_heartbeat(message);
    return {};
  case raft_message_type::heartbeat_reply:
    on_heartbeat_reply(message);
    return {};
  case raft_message_type::commit_notice:
    election_elapsed_ = 0;
    commit_to(message.commit);
    return {};
  case raft_message_type::snapshot:
    on_snapshot(message);
    return {};
  case raft_message_type::snapshot_reply:
    on_snapshot_reply(message);
    return {};
  case raft_message_type::timeout_now:
    on_timeout_now(message);
    return {};
  case raft_message_type::read_request:
    if (role_ == raft_role::leader && is_member(members(), message.from))
      take_read(message.from, message.round);
    return {};
  case raft_message_type::read_reply:
    read_answers_.push_back({message.round, message.log_index, false});
    return {};
  }
  return "its type is unknown";
}

raft_message raft::message_to(member_id to, raft_message_type type) const {
  raft_message message;
  message.type = type;
  message.group = options_.group;
  message.from = options_.self;
  message.to = to;
  message.term = state_.term;
  if (type == raft_message_type::append_reply || type == raft_message_type::heartbeat_reply)
    message.force = options_.withhold_vote;
  return message;
}

bool raft::must_write() const {
  return log_.has_unwritten() || to_install_ || to_save_ || state_.term != written_state_.term ||
         state_.voted_for != written_state_.voted_for;
}

bool raft::has_ready() const {
  if (!messages_.empty() || !promises_.empty() || !read_answers_.empty() || must_write() || read_round_wanted_ ||
      to_restore_)
    return true;
  if (applied_ >= log_.offset() && applied_ < std::min(state_.commit, log_.persisted()))
    return true;
  if (role_ != raft_role::leader)
    return false;
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& item) {
    const auto& peer = item.second;
    if (item.first == options_.self)
      return false;
    if (peer.paused())
      return peer.poke && peer.state == progress_state::replicate;
    return peer.next <= log_.last_index() || peer.poke;
  });
}

ready_batch raft::ready() {
  ready_batch out;
  start_read_round();
  flush_replication();
  collect_write(out);
  collect_committed(out);
  out.messages.swap(messages_);
  out.reads.swap(read_answers_);
  out.soft = soft();
  return out;
}

void raft::collect_write(ready_batch& out) {
  if (must_write()) {
    auto& write = out.write;
    write.ticket = ++last_ticket_;
    write.has_state =
        true; // the commit hint rides along with every write and never causes one: an idle group is silent
    write.state = written_state_ = state_;
    write.snapshot = to_install_ ? to_install_ : to_save_;
    write.compact_to = write.snapshot ? log_.offset() : 0;
    auto unwritten = log_.take_unwritten();
    write.truncate_from = unwritten.truncates ? unwritten.entries.front()->index : 0;
    write.entries = std::move(unwritten.entries);
    writes_.push_back({last_ticket_, log_.last_index(), std::move(to_install_), {}});
    to_install_.reset();
    to_save_.reset();
  }
  for (auto& promise : promises_)
    bind_promise(out, std::move(promise));
  promises_.clear();
}

void raft::bind_promise(ready_batch& out, raft_message promise) {
  if (writes_.empty())
    messages_.push_back(std::move(promise)); // all it counts on is durable
  else if (out.write.ticket != 0 && promise.to != options_.self)
    out.write.promises.push_back(std::move(promise));
  else
    writes_.back().messages.push_back(std::move(promise));
}

void raft::collect_committed(ready_batch& out) {
  if (to_restore_) {
    applied_ = std::max(applied_, to_restore_->index);
    out.restore = std::move(to_restore_);
    to_restore_.reset();
  }
  if (applied_ < log_.offset())
    return; // a snapshot on its way to the disk replaces what was not applied
  out.committed = log_.slice(applied_ + 1, std::min(state_.commit, log_.persisted()), options_.max_apply_bytes);
  applied_ += out.committed.size();
  for (const auto& entry : out.committed)
    unapplied_bytes_ -= std::min(unapplied_bytes_, entry.bytes());
}

void raft::persisted(std::uint64_t ticket) {
  while (!writes_.empty() && writes_.front().ticket <= ticket) {
    auto write = std::move(writes_.front());
    writes_.pop_front();
    disk_elapsed_ = 0;
    log_.persisted_up_to(write.last_index);
    if (write.install)
      to_restore_ = std::move(write.install);
    for (auto& message : write.messages) {
      if (message.to != options_.self)
        send(std::move(message));
      else if (message.term == state_.term)
        on_vote_reply(message); // the own vote is the only promise a member makes to itself
    }
  }
  if (role_ != raft_role::leader)
    return;
  auto own = peers_.find(options_.self);
  if (own != peers_.end() && own->second.update(log_.persisted()))
    commit_what_a_majority_has();
}

bool raft::take_snapshot(std::uint64_t index, std::string data, std::uint64_t keep_entries) {
  if (index > applied_ || index <= log_.snapshot()->index || to_install_ || index <= log_.offset())
    return false;
  to_save_ = std::make_shared<const raft_snapshot>(
      raft_snapshot{index, *log_.term_at(index), memberships_.at(index), std::move(data)});
  log_.take_snapshot(to_save_, index > keep_entries ? index - keep_entries : 0);
  memberships_.compact(index);
  return true;
}

raft_status raft::status() const {
  return {options_.self,          soft(),    state_.commit, applied_, log_.persisted(), log_.last_index(),
          log_.snapshot()->index, members(), peers_};
}

} // namespace prunella::runtime
