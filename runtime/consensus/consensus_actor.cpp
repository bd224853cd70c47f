#include "runtime/consensus/consensus_actor.hpp"

#include <algorithm>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/behavior.hpp>
#include <caf/make_message.hpp>
#include <caf/spawn_options.hpp>
#include <caf/system_messages.hpp>

#include "runtime/consensus/consensus_state.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::runtime {

namespace {

struct consensus_tick {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(consensus_tick, epoch)
};

/// To itself, behind everything that waits now: one look at the output for all of it, so one disk batch.
struct consensus_flush {
  bool now = true;

  PRUNELLA_FIELDS(consensus_flush, now)
};

consensus_errc errc_of(raft_refusal refusal) {
  switch (refusal) {
  case raft_refusal::not_leader:
    return consensus_errc::not_leader;
  case raft_refusal::busy:
    return consensus_errc::busy;
  case raft_refusal::too_large:
    return consensus_errc::too_large;
  case raft_refusal::not_ready:
    return consensus_errc::not_ready;
  case raft_refusal::not_caught_up:
    return consensus_errc::not_caught_up;
  case raft_refusal::none:
  case raft_refusal::invalid:
    break;
  }
  return consensus_errc::invalid;
}

/// A log that a repair has shortened may have forgotten votes and acknowledgements; only a lone voter has nobody whom
/// that could mislead.
bool must_withhold_vote(const storage::raft_log_contents& contents, member_id self) {
  if (!contents.repaired)
    return false;
  auto members = contents.snapshot.members;
  for (const auto& entry : contents.entries)
    if (entry.kind == entry_kind::membership)
      if (auto later = decode_membership(entry.data))
        members = std::move(*later);
  return members.voters != std::vector<member_id>{self};
}

restored_state restored_from(storage::raft_log_contents& contents, std::uint64_t applied) {
  restored_state restored;
  restored.state = contents.state;
  if (contents.snapshot.index > 0)
    restored.snapshot = std::make_shared<const raft_snapshot>(std::move(contents.snapshot));
  restored.compacted = {contents.compacted_index, contents.compacted_term};
  restored.entries.reserve(contents.entries.size());
  for (auto& entry : contents.entries)
    restored.entries.emplace_back(std::move(entry));
  restored.applied = applied;
  if (contents.repaired) { // what was dropped is not here to be committed; the leader has it
    const auto snapshot_index = restored.snapshot ? restored.snapshot->index : 0;
    const auto last = restored.entries.empty() ? snapshot_index : restored.entries.back()->index;
    restored.state.commit = std::min(restored.state.commit, last);
  }
  return restored;
}

caf::behavior consensus_behavior(consensus_self* self, consensus_options options) {
  auto& state = self->state;
  state.start(std::move(options));
  return {
      [&state](propose_command& message) { return state.on_propose(message); },
      [&state](raft_message& message) { state.on_peer_message(message); },
      [&state](const log_written& message) { state.on_written(message); },
      [&state](const consensus_flush&) { state.flush(); },
      [&state](const consensus_tick& tick) { state.on_tick(tick.epoch); },
      [&state](const commit_notices_due&) { state.on_notices_due(); },
      [&state](const read_barrier& message) { return state.on_read_barrier(message); },
      [&state](const change_membership& message) { return state.on_change_membership(message); },
      [&state](const transfer_leadership& message) { return state.on_transfer(message); },
      [&state](const peer_lost& message) { state.on_peer_lost(message); },
      [&state](const subscribe_consensus& message) { state.on_subscribe(message); },
      [&state](const get_consensus_status& message) {
        auto status = state.status();
        if (!message.peers)
          status.peers.clear();
        return status;
      },
  };
}

} // namespace

caf::actor spawn_consensus(caf::actor_system& system, consensus_options options) {
  return options.detached ? system.spawn<caf::detached>(consensus_behavior, std::move(options))
                          : system.spawn(consensus_behavior, std::move(options));
}

caf::error to_error(consensus_errc code, const std::string& details, member_id leader) {
  auto text = std::string{sentence(code)};
  if (!details.empty())
    text += ": " + details;
  return caf::error{static_cast<std::uint8_t>(code), caf::atom("consensus"),
                    caf::make_message(std::move(text), leader)};
}

member_id leader_hint(const caf::error& error) {
  if (error != consensus_errc::not_leader || !error.context().match_element<member_id>(1))
    return 0;
  return error.context().get_as<member_id>(1);
}

void add_consensus_errors(caf::actor_system_config& config) {
  config.add_error_category(caf::atom("consensus"),
                            [](std::uint8_t code, caf::atom_value, const caf::message& context) {
                              return !context.empty() && context.match_element<std::string>(0)
                                         ? context.get_as<std::string>(0)
                                         : std::string{sentence(static_cast<consensus_errc>(code))};
                            });
}

void consensus_state::start(consensus_options given) {
  options = std::move(given);
  random.seed(options.seed);
  if (!options.raft.random)
    options.raft.random = [this] { return static_cast<std::uint32_t>(random()); };
  next_context = random(); // unlike those of this member's last life, whose late answers must not count
  self->set_down_handler([this](caf::down_msg& down) { on_down(down); });
  self->set_exit_handler([this](caf::exit_msg& message) { on_exit(message); });
  self->monitor(options.log_writer);
  self->request(options.log_writer, options.load_timeout, load_log{options.send})
      .then([this](log_contents& loaded) { on_log_loaded(loaded); },
            [this](caf::error& error) { stop(consensus_errc::log_failed, reason_text(error)); });
}

void consensus_state::on_log_loaded(log_contents& loaded) {
  auto& contents = *loaded.contents;
  if (must_withhold_vote(contents, options.raft.self))
    options.raft.withhold_vote = true;
  // The state machine goes first to where the log begins, if a crash or a snapshot from a leader left it behind.
  if (options.machine->applied_index() < contents.snapshot.index) {
    if (auto restored = options.machine->restore(contents.snapshot); !restored)
      return stop(consensus_errc::machine_failed, restored.error().message);
  }
  auto restored = restored_from(contents, options.machine->applied_index());
  auto fault = find_fault(options.raft);
  if (fault.empty())
    fault = find_fault(restored);
  if (!fault.empty())
    return stop(consensus_errc::log_failed, fault);
  core = std::make_unique<raft>(options.raft, std::move(restored));
  announced = core->soft();
  ticked_at = self->clock().now();
  core->start_campaigning();
  schedule_flush();
  if (options.say_ready)
    options.say_ready();
}

void consensus_state::refuse(caf::response_promise& promise, const proposal& refused) {
  promise.deliver(to_error(errc_of(refused.refusal), refused.why, core->leader()));
}

void consensus_state::wait_for(const proposal& taken, caf::response_promise promise,
                               std::chrono::milliseconds timeout) {
  auto& slot = commands[taken.index];
  // An older command of this index is gone: a leader has every committed entry, and this one has another one here.
  if (slot.promise.pending())
    slot.promise.deliver(to_error(consensus_errc::dropped, {}));
  slot = {taken.term, std::move(promise), self->clock().now() + timeout};
  schedule_flush();
}

caf::response_promise consensus_state::on_propose(propose_command& message) {
  auto promise = self->make_response_promise();
  if (!core) {
    promise.deliver(to_error(consensus_errc::starting, {}));
    return promise;
  }
  if (commands.size() >= options.max_waiting_commands) {
    promise.deliver(to_error(consensus_errc::busy, "too many commands wait for their outcome"));
    return promise;
  }
  const auto taken = core->propose(std::move(message.data), message.expected_term);
  if (taken.refusal != raft_refusal::none)
    refuse(promise, taken);
  else
    wait_for(taken, promise, message.timeout.count() > 0 ? message.timeout : options.command_timeout);
  return promise;
}

caf::response_promise consensus_state::on_change_membership(const change_membership& message) {
  auto promise = self->make_response_promise();
  if (!core) {
    promise.deliver(to_error(consensus_errc::starting, {}));
    return promise;
  }
  const auto taken = core->propose_membership(message.change);
  if (taken.refusal != raft_refusal::none)
    refuse(promise, taken);
  else
    wait_for(taken, promise, options.command_timeout);
  return promise;
}

caf::response_promise consensus_state::on_read_barrier(const read_barrier& message) {
  auto promise = self->make_response_promise();
  if (!core) {
    promise.deliver(to_error(consensus_errc::starting, {}));
  } else if (reads_waiting >= options.max_waiting_reads) {
    promise.deliver(to_error(consensus_errc::busy, "too many reads wait to be confirmed"));
  } else {
    const auto timeout = message.timeout.count() > 0 ? message.timeout : options.read_timeout;
    new_reads.push_back({promise, self->clock().now() + timeout});
    ++reads_waiting;
    schedule_flush();
  }
  return promise;
}

caf::response_promise consensus_state::on_transfer(const transfer_leadership& message) {
  auto promise = self->make_response_promise();
  if (!core) {
    promise.deliver(to_error(consensus_errc::starting, {}));
    return promise;
  }
  const auto taken = core->transfer_leadership(message.to);
  if (taken.refusal != raft_refusal::none) {
    refuse(promise, taken);
    return promise;
  }
  if (transfer_promise.pending())
    transfer_promise.deliver(to_error(consensus_errc::busy, "another hand-over took its place"));
  transfer_promise = promise;
  transfer_started = ticks;
  schedule_flush();
  return promise;
}

void consensus_state::end_transfer() {
  if (!transfer_promise.pending())
    return;
  const auto now = core->soft();
  if (now.leader != 0 && now.leader != core->self())
    transfer_promise.deliver(leadership_changed{now.role, now.leader, now.term});
  else if (ticks > transfer_started + 2 * options.raft.election_ticks)
    transfer_promise.deliver(to_error(consensus_errc::busy, "nobody took over in time"));
  else
    return;
  transfer_promise = caf::response_promise{};
}

void consensus_state::on_peer_message(raft_message& message) {
  if (!core)
    return; // as if it had been lost
  catch_up();
  const auto from = message.from;
  auto fault = core->step(std::move(message));
  if (!fault.empty()) {
    ++refused_messages;
    last_refusal = std::move(fault);
  } else if (options.on_heard) {
    options.on_heard(from);
  }
  schedule_flush();
}

void consensus_state::on_peer_lost(const peer_lost& message) {
  if (!core || message.member != core->leader())
    return;
  // Turns are counted from now. Counted from the last heartbeat, those of all members may be over already: two stand at
  // the same moment, the vote is split, and the next try comes after a whole election timeout.
  catch_up();
  core->forget_leader();
  plan_ticks();
}

void consensus_state::on_subscribe(const subscribe_consensus& message) {
  auto handle = caf::actor_cast<caf::actor>(self->current_sender());
  if (!handle)
    return;
  const auto known = std::find_if(subscribers.begin(), subscribers.end(), [&](auto& s) { return s.handle == handle; });
  if (known == subscribers.end()) {
    self->monitor(handle);
    subscribers.push_back({handle, message.leadership, message.applied});
  } else {
    *known = {handle, message.leadership, message.applied};
  }
  if (message.leadership && core)
    self->send(handle, leadership_changed{announced.role, announced.leader, announced.term});
}

void consensus_state::on_written(const log_written& message) {
  if (!core || self->current_sender() != options.log_writer)
    return;
  core->persisted(message.ticket);
  schedule_flush();
}

/// One timer, for the next tick that does something: an idle member sleeps from heartbeat to heartbeat.
void consensus_state::plan_ticks() {
  if (!core || stopped)
    return;
  const bool somebody_waits = !commands.empty() || reads_waiting > 0 || transfer_promise.pending();
  const auto wanted = ticked_at + (somebody_waits ? 1 : core->ticks_until_action()) * options.tick_interval;
  if (tick_due != instant{} && tick_due <= wanted)
    return; // that one plans anew
  tick_due = wanted;
  const auto wait = std::max<instant::duration>(wanted - self->clock().now(), instant::duration::zero());
  self->delayed_send(self, wait, consensus_tick{++tick_epoch});
}

std::int64_t consensus_state::ticks_planned() const {
  return tick_due <= ticked_at ? 0 : (tick_due - ticked_at) / options.tick_interval;
}

/// Tells the core of the time since `ticked_at`, at most `most` ticks.
void consensus_state::pass_time(std::int64_t most) {
  const auto now = self->clock().now();
  const std::int64_t passed = now <= ticked_at ? 0 : (now - ticked_at) / options.tick_interval;
  const auto told = std::min(passed, most);
  ticked_at = passed > most ? now : ticked_at + told * options.tick_interval;
  for (std::int64_t i = 0; i < told; ++i, ++ticks)
    core->tick();
}

/// Tells the core of the ticks up to now at which it does nothing by itself. The one that acts is the timer's, so that
/// one that comes late does not act before what was heard meanwhile.
void consensus_state::catch_up() {
  if (const auto planned = ticks_planned(); planned > 1)
    pass_time(planned - 1);
}

void consensus_state::on_tick(std::uint64_t epoch) {
  if (epoch != tick_epoch || stopped)
    return;
  // A timer that comes far too late says that this process stood still, and then it heard nothing for that reason.
  const auto planned = std::max<std::int64_t>(ticks_planned(), 1);
  const bool stood_still = self->clock().now() > tick_due + 2 * options.tick_interval;
  tick_due = {};
  pass_time(stood_still ? 1 : planned);
  if (options.on_heard && core->leader() == core->self())
    options.on_heard(core->self());
  expire(self->clock().now());
  end_transfer();
  flush();
}

void consensus_state::on_notices_due() {
  notices_scheduled = false;
  if (!core || stopped)
    return;
  core->send_commit_notices();
  flush();
}

void consensus_state::expire(instant now) {
  for (auto i = commands.begin(); i != commands.end();) {
    if (i->second.deadline > now) {
      ++i;
      continue;
    }
    i->second.promise.deliver(to_error(consensus_errc::outcome_unknown, {}));
    i = commands.erase(i);
  }
  const auto expire_reads = [&](std::vector<waiting_read>& reads) {
    const auto late = std::stable_partition(reads.begin(), reads.end(), [&](auto& r) { return r.deadline > now; });
    std::for_each(late, reads.end(), [](auto& r) { r.promise.deliver(to_error(consensus_errc::timed_out, {})); });
    reads_waiting -= static_cast<std::size_t>(reads.end() - late);
    reads.erase(late, reads.end());
  };
  expire_reads(new_reads);
  for (auto i = read_groups.begin(); i != read_groups.end();) {
    expire_reads(i->second.reads);
    i = i->second.reads.empty() ? read_groups.erase(i) : std::next(i);
  }
}

void consensus_state::schedule_flush() {
  if (flush_scheduled || stopped)
    return;
  flush_scheduled = true;
  self->send(self, consensus_flush{});
}

void consensus_state::on_down(const caf::down_msg& down) {
  if (down.source == options.log_writer)
    return stop(consensus_errc::log_failed, "its log writer ended: " + reason_text(down.reason));
  subscribers.erase(std::remove_if(subscribers.begin(), subscribers.end(),
                                   [&](auto& s) { return s.handle.address() == down.source; }),
                    subscribers.end());
}

void consensus_state::on_exit(const caf::exit_msg& message) {
  stopped = true;
  fail_everybody_waiting("this member is stopping");
  self->quit(message.reason);
}

consensus_status consensus_state::status() const {
  consensus_status result;
  result.self = options.raft.self;
  result.waiting_commands = commands.size();
  result.waiting_reads = reads_waiting;
  result.refused_messages = refused_messages;
  result.last_refusal = last_refusal;
  if (!core)
    return result;
  const auto now = core->status();
  result.started = true;
  result.role = now.soft.role;
  result.leader = now.soft.leader;
  result.term = now.soft.term;
  result.committed = now.commit;
  result.applied = options.machine->applied_index();
  result.persisted = now.persisted;
  result.last_index = now.last_index;
  result.snapshot_index = now.snapshot_index;
  result.members = now.members;
  for (const auto& [id, peer] : now.peers)
    result.peers.push_back(
        {id, is_voter(now.members, id), peer.match, peer.next, peer.state, peer.recently_active || id == now.self});
  return result;
}

} // namespace prunella::runtime
