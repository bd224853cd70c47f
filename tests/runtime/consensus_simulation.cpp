#include "tests/runtime/consensus_simulation.hpp"

#include <algorithm>
#include <functional>
#include <stdexcept>

namespace prunella::tests {

using namespace runtime;

namespace {

std::uint64_t hash_of(const log_entry& entry) {
  return std::hash<std::string>{}(entry.data) * 31 + static_cast<std::uint64_t>(entry.kind);
}

std::string text(std::uint64_t number) {
  return std::to_string(number);
}

} // namespace

group_simulation::group_simulation(simulation_options options) : options_(options), random_(options.seed) {
  // Each run has its own temper: some faults often, some never (swarm testing).
  const auto often = [&](unsigned most) { return chance(300) ? 0u : draw(most + 1); };
  habits_.loss = often(200);
  habits_.doubling = often(100);
  habits_.max_delay = 1 + often(40);
  habits_.crash = often(25);
  habits_.cut = often(20);
  habits_.membership = often(20);
  habits_.snapshot = often(20);
  habits_.transfer = often(30);
  habits_.slow_disk = often(40);
  habits_.reads = often(300);
  habits_.proposals = 20 + draw(200);
  habits_.durable_machine = chance(500);
  habits_.restless = often(60);
  habits_.restart = 10 + draw(200);
  habits_.tick_odds = 2 + draw(8);
  habits_.notices = often(1000);
  // The loss of one disk's promises is survived, as long as nobody counts on that member: not two, and no group that
  // shrinks until it is half of it.
  habits_.amnesia = chance(250) ? 50 + draw(500) : 0;
  if (habits_.amnesia > 0)
    habits_.membership = 0;
  for (std::size_t i = 0; i < options_.founders + options_.spares; ++i) {
    nodes_.emplace_back();
    nodes_.back().id = i + 1;
  }
  for (auto& n : nodes_) {
    n.disk_delay = 1 + draw(30);
    start(n);
  }
}

void group_simulation::fail(const std::string& what) const {
  auto report = what + " (step " + text(now_) + ", " + text(options_.founders) + " founders)";
  for (const auto& n : nodes_) {
    report += "\n  member " + text(n.id) + ": ";
    if (!n.core) {
      report += "down";
      continue;
    }
    const auto status = n.core->status();
    report += std::string(to_text(status.soft.role)) + " of term " + text(status.soft.term) + ", leader " +
              text(status.soft.leader) + ", log " + text(n.core->log().offset()) + "-" + text(status.last_index) +
              " (last term " + text(n.core->log().last_term()) + "), commit " + text(status.commit) + ", persisted " +
              text(status.persisted) + ", applied " + text(status.applied) + ", voters";
    for (auto id : status.members.voters)
      report += " " + text(id);
    report += ", learners";
    for (auto id : status.members.learners)
      report += " " + text(id);
    for (const auto& [id, peer] : status.peers)
      report += "\n    knows of " + text(id) + ": match " + text(peer.match) + ", next " + text(peer.next) +
                ", state " + text(static_cast<std::uint64_t>(peer.state)) + ", window " + text(peer.inflights.count());
  }
  throw std::runtime_error(report);
}

void group_simulation::start(node& n) {
  raft_options options;
  options.self = n.id;
  if (n.id <= options_.founders)
    for (member_id id = 1; id <= options_.founders; ++id)
      options.initial.voters.push_back(id);
  options.election_ticks = 10;
  options.heartbeat_ticks = 2;
  options.heartbeats_per_answer = 1 + static_cast<std::uint32_t>(n.id % 2);
  options.max_append_bytes = 40 + draw(300);
  options.max_inflight_appends = 1 + draw(6);
  options.max_unapplied_bytes = 2000;
  options.max_apply_bytes = 60 + draw(500);
  options.snapshot_piece_bytes = 1 + draw(12);
  options.promotion_lag = 8;
  options.withhold_vote = n.amnesiac;
  options.random = [this] { return static_cast<std::uint32_t>(random_()); };
  restored_state restored;
  restored.state = n.disk.state;
  restored.snapshot = n.disk.snapshot;
  restored.compacted = n.disk.compacted;
  restored.entries.assign(n.disk.entries.begin(), n.disk.entries.end());
  const auto snapshot_index = n.disk.snapshot ? n.disk.snapshot->index : 0;
  n.state = habits_.durable_machine ? n.stored_state : machine{};
  if (n.state.applied < snapshot_index)
    n.state = {snapshot_index, std::stoull(n.disk.snapshot->data)};
  restored.applied = n.state.applied;
  n.checked_commit = restored.applied;
  n.checked_last = 0;
  try {
    n.core = std::make_unique<raft>(options, std::move(restored));
  } catch (const std::invalid_argument& e) {
    fail("member " + text(n.id) + " cannot start from its disk: " + e.what());
  }
}

void group_simulation::crash(node& n) {
  ++totals_.crashes;
  // Some of what waits may have reached the disk, always a prefix; the rest is lost.
  const auto kept = draw(static_cast<unsigned>(n.writes.size() + 1));
  for (unsigned i = 0; i < kept; ++i) {
    write(n.disk, n.writes[i].request);
    if (chance(500)) // what its disk wrote, its disk may also have told
      for (auto& promise : n.writes[i].request.promises)
        post(std::move(promise));
  }
  totals_.lost_writes += n.writes.size() - kept;
  n.writes.clear();
  n.core.reset();
  n.proposed.clear();
  n.reads.clear();
  if (habits_.durable_machine)
    n.stored_state = n.state;
  const bool another = std::any_of(nodes_.begin(), nodes_.end(),
                                   [&](const node& other) { return other.amnesiac && other.id != n.id; });
  if (!another && n.id <= options_.founders && chance(habits_.amnesia))
    forget(n);
}

/// As after a repair of its log: an end of what was on disk is gone, now and then everything.
void group_simulation::forget(node& n) {
  ++totals_.forgotten;
  n.amnesiac = true;
  n.stored_state = {};
  if (chance(300)) {
    n.disk = {};
    return;
  }
  const auto kept = draw(static_cast<unsigned>(n.disk.entries.size() + 1));
  n.disk.entries.resize(kept);
  const auto snapshot_index = n.disk.snapshot ? n.disk.snapshot->index : 0;
  const auto last = n.disk.compacted.index + kept;
  if (last < snapshot_index) { // what the snapshot covers is not needed
    n.disk.entries.clear();
    n.disk.compacted = {snapshot_index, n.disk.snapshot->term};
  }
  n.disk.state.commit = std::min(n.disk.state.commit, std::max(last, snapshot_index));
}

void group_simulation::write(stored& disk, const write_request& request) {
  const auto drop_up_to = [&](entry_id last) {
    while (!disk.entries.empty() && disk.entries.front()->index <= last.index)
      disk.entries.pop_front();
    disk.compacted = last;
  };
  if (request.snapshot) {
    const entry_id last{request.snapshot->index, request.snapshot->term};
    const auto found = std::find_if(disk.entries.begin(), disk.entries.end(), [&](const shared_entry& e) {
      return e->index == last.index && e->term == last.term;
    });
    if (found == disk.entries.end() && disk.compacted != last) {
      disk.entries.clear();
      disk.compacted = last;
    }
    disk.snapshot = request.snapshot;
    for (const auto& e : disk.entries)
      if (e->index == request.compact_to) {
        drop_up_to({e->index, e->term});
        break;
      }
  }
  while (request.truncate_from != 0 && !disk.entries.empty() && disk.entries.back()->index >= request.truncate_from)
    disk.entries.pop_back();
  for (const auto& e : request.entries) {
    const auto last = disk.entries.empty() ? disk.compacted.index : disk.entries.back()->index;
    if (e->index != last + 1)
      throw std::runtime_error("a write leaves a gap in the log: " + text(last) + ", " + text(e->index));
    disk.entries.push_back(e);
  }
  if (request.has_state)
    disk.state = request.state;
}

group_simulation::node* group_simulation::leader() {
  node* found = nullptr;
  for (auto& n : nodes_)
    if (n.core && n.core->soft().role == raft_role::leader && (!found || n.core->term() > found->core->term()))
      found = &n;
  return found;
}

void group_simulation::run() {
  while (now_ < options_.steps)
    step_once();
  heal_and_converge();
}

void group_simulation::step_once() {
  ++now_;
  if (!healing_) {
    inject_faults();
    act_as_client();
  }
  deliver_due();
  for (auto& n : nodes_) {
    if (!n.core)
      continue;
    if (draw(habits_.tick_odds) == 0) { // clocks run apart
      n.core->tick();
      check(n);
    }
    finish_writes(n, false);
    // Not every input is followed by a look at the output: inputs gather, as in an actor's mailbox.
    if (healing_ || draw(3) != 0)
      drain(n);
  }
}

void group_simulation::inject_faults() {
  if (chance(habits_.crash)) {
    if (chance(100))
      for (auto& n : nodes_) // the power of the whole site
        if (n.core)
          crash(n);
    auto* n = &any_node();
    for (int tries = 0; tries < 5 && (!n->core || n->writes.empty()); ++tries)
      n = &any_node(); // a crash in the middle of a write finds more than one in a quiet moment
    if (n->core)
      crash(*n);
  }
  for (auto& n : nodes_)
    if (!n.core && chance(habits_.restart))
      start(n);
  if (chance(habits_.cut)) {
    cut_.clear();
    const auto side = random_();
    const bool one_way = chance(300);
    for (const auto& a : nodes_)
      for (const auto& b : nodes_)
        if (((side >> a.id) & 1) == 0 && ((side >> b.id) & 1) == 1) {
          cut_.insert({a.id, b.id});
          if (!one_way)
            cut_.insert({b.id, a.id});
        }
  }
  if (!cut_.empty() && chance(8))
    cut_.clear();
  if (chance(habits_.restless))
    if (auto& n = any_node(); n.core) {
      if (chance(500))
        n.core->campaign();
      else
        n.core->forget_leader();
      check(n);
    }
  if (chance(habits_.slow_disk))
    any_node().disk_delay = 1 + draw(chance(200) ? 300 : 20);
}

void group_simulation::act_as_client() {
  auto& n = any_node();
  if (!n.core)
    return;
  if (chance(habits_.proposals)) {
    auto* lead = leader();
    auto& target = lead && chance(800) ? *lead : n; // an older leader is asked, too
    for (auto batch = 1 + draw(3); target.core && batch > 0; --batch) {
      const auto taken = target.core->propose("command " + text(next_command_++));
      if (taken.refusal == raft_refusal::none)
        target.proposed[taken.index] = taken.term;
    }
    check(target);
  }
  if (chance(habits_.reads)) {
    auto* reader = &n;
    for (auto& other : nodes_) // who believes to lead, and may be wrong, is asked most
      if (other.core && other.core->soft().role == raft_role::leader && chance(600))
        reader = &other;
    const auto context = next_context_++;
    if (reader->core->read_index(context) == raft_refusal::none)
      reader->reads[context].floor = std::max(highest_acknowledged_, highest_read_);
  }
  if (chance(habits_.snapshot) && n.state.applied > 0 &&
      n.core->take_snapshot(n.state.applied, text(n.state.chain), draw(12)))
    ++totals_.snapshots_taken;
  if (chance(habits_.transfer))
    if (auto* lead = leader(); lead && lead->core->transfer_leadership(n.id).refusal == raft_refusal::none)
      ++totals_.transfers;
  if (chance(habits_.membership))
    change_membership();
}

void group_simulation::change_membership() {
  auto* lead = leader();
  if (!lead)
    return;
  const membership_change change{static_cast<membership_change_kind>(draw(4)), any_node().id};
  const auto voters = lead->core->members().voters.size();
  const bool shrinks =
      change.kind == membership_change_kind::remove || change.kind == membership_change_kind::demote_voter;
  if (shrinks && voters <= 2 && chance(900)) // a lone voter makes for a dull run
    return;
  if (lead->core->propose_membership(change).refusal == raft_refusal::none)
    ++totals_.membership_changes;
  check(*lead);
}

void group_simulation::post(raft_message message) {
  ++totals_.messages;
  if (!healing_ && chance(habits_.loss))
    return;
  const auto copies = !healing_ && chance(habits_.doubling) ? 2 : 1;
  for (int i = 0; i < copies; ++i)
    network_.push_back({message, now_ + 1 + draw(healing_ ? 2 : habits_.max_delay)});
}

void group_simulation::deliver_due() {
  std::vector<parcel> later;
  auto due = std::move(network_);
  network_.clear();
  for (auto& p : due) {
    if (p.due > now_)
      later.push_back(std::move(p));
    else if (cut_.count({p.message.from, p.message.to}) == 0)
      deliver(std::move(p.message));
  }
  std::move(later.begin(), later.end(), std::back_inserter(network_));
}

void group_simulation::deliver(raft_message message) {
  auto& n = nodes_[message.to - 1];
  if (!n.core)
    return;
  const auto fault = n.core->step(std::move(message));
  if (!fault.empty())
    fail("a sound member's message was refused: " + fault);
  check(n);
}

void group_simulation::finish_writes(node& n, bool all) {
  std::uint64_t ticket = 0;
  while (!n.writes.empty() && (all || n.writes.front().due <= now_)) {
    ticket = n.writes.front().request.ticket;
    write(n.disk, n.writes.front().request);
    for (auto& promise : n.writes.front().request.promises)
      post(std::move(promise));
    n.writes.pop_front();
  }
  if (ticket == 0)
    return;
  n.core->persisted(ticket);
  check(n);
}

void group_simulation::drain(node& n) {
  if (chance(habits_.notices))
    n.core->send_commit_notices();
  for (int rounds = 0; n.core->has_ready(); ++rounds) {
    if (rounds > 10000)
      fail("member " + text(n.id) + " is never done with its output");
    auto out = n.core->ready();
    for (auto& message : out.messages)
      post(std::move(message));
    if (out.write.ticket != 0) {
      totals_.truncations += out.write.truncate_from != 0 ? 1 : 0;
      const auto earliest = n.writes.empty() ? now_ : n.writes.back().due;
      const auto delay = healing_ ? 1 : 1 + draw(static_cast<unsigned>(n.disk_delay));
      n.writes.push_back({std::move(out.write), std::max(earliest, now_ + delay)});
    }
    if (out.restore) {
      ++totals_.snapshots_installed;
      n.state = {out.restore->index, std::stoull(out.restore->data)};
      const auto known = chain_after_.find(n.state.applied);
      if (known == chain_after_.end() || known->second != n.state.chain)
        fail("member " + text(n.id) + " restored a state that never was");
      n.proposed.clear();
      n.checked_commit = std::max(n.checked_commit, n.state.applied);
    }
    apply(n, out.committed);
    for (const auto& read : out.reads)
      if (const auto found = n.reads.find(read.context); found != n.reads.end()) {
        if (read.failed)
          n.reads.erase(found);
        else
          found->second.index = read.index;
      }
    finish_reads(n);
    check(n);
  }
}

void group_simulation::apply(node& n, const std::vector<shared_entry>& entries) {
  for (const auto& entry : entries) {
    if (entry->index != n.state.applied + 1)
      fail("member " + text(n.id) + " applies entry " + text(entry->index) + " after " + text(n.state.applied));
    const bool on_disk = std::any_of(n.disk.entries.begin(), n.disk.entries.end(), [&](const shared_entry& e) {
      return e->index == entry->index && e->term == entry->term;
    });
    if (!on_disk && entry->index > n.disk.compacted.index)
      fail("member " + text(n.id) + " applies entry " + text(entry->index) + " that its disk does not have");
    n.state.applied = entry->index;
    n.state.chain = n.state.chain * 1000003 + hash_of(*entry);
    const auto [known, first] = chain_after_.emplace(entry->index, n.state.chain);
    if (!first && known->second != n.state.chain)
      fail("State Machine Safety: members applied different entries at index " + text(entry->index));
    totals_.commits += first ? 1 : 0;
    if (const auto mine = n.proposed.find(entry->index); mine != n.proposed.end()) {
      if (mine->second == entry->term) {
        highest_acknowledged_ = std::max(highest_acknowledged_, entry->index);
        ++totals_.acknowledged;
      }
      n.proposed.erase(mine);
    }
  }
}

void group_simulation::finish_reads(node& n) {
  for (auto i = n.reads.begin(); i != n.reads.end();) {
    const auto& read = i->second;
    if (!read.index || *read.index > n.state.applied) {
      ++i;
      continue;
    }
    if (*read.index < read.floor)
      fail("Linearizability: a read at member " + text(n.id) + " saw entry " + text(*read.index) + ", but entry " +
           text(read.floor) + " was acknowledged or read before it began");
    highest_read_ = std::max(highest_read_, n.state.applied);
    ++totals_.reads;
    i = n.reads.erase(i);
  }
}

void group_simulation::check(node& n) {
  const auto& core = *n.core;
  const auto& log = core.log();
  if (core.commit() > log.last_index())
    fail("member " + text(n.id) + " committed what it does not have");
  check_leader(n);
  const auto last = log.last_index();
  if (last != n.checked_last || log.last_term() != n.checked_last_term || core.commit() != n.checked_commit) {
    check_log(n, std::min(n.checked_commit, core.commit()) + 1);
    n.checked_last = last;
    n.checked_last_term = log.last_term();
    n.checked_commit = core.commit();
  }
}

void group_simulation::check_log(node& n, std::uint64_t from) {
  const auto& log = n.core->log();
  for (auto i = std::max(from, log.offset() + 1); i <= log.last_index(); ++i) {
    const auto& entry = *log.at(i);
    const auto before = *log.term_at(i - 1);
    const auto [known, first] = entries_.try_emplace({i, entry.term}, hash_of(entry), before);
    if (!first && known->second != std::make_pair(hash_of(entry), before))
      fail("Log Matching: entry " + text(i) + " of term " + text(entry.term) + " differs between members");
    if (i > n.core->commit())
      continue;
    const auto [fact_at, new_fact] = committed_.try_emplace(i, fact{entry.term, hash_of(entry), n.core->term()});
    if (!new_fact && (fact_at->second.term != entry.term || fact_at->second.hash != hash_of(entry)))
      fail("State Machine Safety: different entries committed at index " + text(i) + ", by member " + text(n.id));
    fact_at->second.seen_in_term = std::min(fact_at->second.seen_in_term, n.core->term());
  }
}

void group_simulation::check_leader(node& n) {
  const auto soft = n.core->soft();
  if (soft.role != raft_role::leader)
    return;
  const auto [known, first] = leaders_.emplace(soft.term, n.id);
  if (known->second != n.id)
    fail("Election Safety: members " + text(known->second) + " and " + text(n.id) + " both lead term " +
         text(soft.term));
  if (n.checked_leader_term == soft.term && !first)
    return;
  n.checked_leader_term = soft.term;
  ++totals_.elections;
  const auto& log = n.core->log();
  for (auto i = committed_.upper_bound(log.offset()); i != committed_.end(); ++i)
    if (i->second.seen_in_term < soft.term && !log.matches({i->first, i->second.term}))
      fail("Leader Completeness: member " + text(n.id) + " leads term " + text(soft.term) +
           " without the committed entry " + text(i->first));
}

void group_simulation::heal_and_converge() {
  healing_ = true;
  cut_.clear();
  for (auto& n : nodes_) {
    n.disk_delay = 1;
    if (!n.core)
      start(n);
  }
  const auto everyone_there = [&] {
    auto* lead = leader();
    if (!lead)
      return false;
    for (const auto& [index, term] :
         lead->proposed) // those of lost terms may wait for ever: nothing came in their place
      if (term == lead->core->term())
        return false;
    const auto& members = lead->core->members();
    for (const auto& n : nodes_)
      if (is_member(members, n.id) && n.state.applied < lead->core->log().last_index())
        return false;
    return lead->state.applied >= highest_acknowledged_;
  };
  for (int write = 0; write < 3; ++write) {
    bool taken = false;
    for (int patience = 0; !taken || !everyone_there(); ++patience) {
      if (patience > 20000)
        fail("Liveness: healed, but the group does not make progress");
      step_once();
      auto* lead = leader();
      if (!taken && lead) {
        const auto proposal = lead->core->propose("after healing");
        taken = proposal.refusal == raft_refusal::none;
        if (taken)
          lead->proposed[proposal.index] = proposal.term;
        check(*lead);
      }
    }
  }
}

} // namespace prunella::tests
