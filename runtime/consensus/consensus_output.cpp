// What the core's output means to the world: messages, disk, state machine, answers.

#include <algorithm>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/message.hpp>

#include "runtime/consensus/consensus_state.hpp"

namespace prunella::runtime {

namespace {

/// Turns of output in one handler; then the mailbox gets its chance (heartbeats must not wait behind a long replay).
constexpr int max_turns = 8;

} // namespace

void consensus_state::flush() {
  flush_scheduled = false;
  if (!core || stopped)
    return;
  ask_reads();
  for (int turn = 0; turn < max_turns && core->has_ready() && !stopped; ++turn) {
    auto out = core->ready();
    take(out);
  }
  if (stopped)
    return;
  announce_leadership();
  plan_ticks();
  if (core->has_ready())
    schedule_flush();
  if (core->owes_commit_notices() && !notices_scheduled) {
    notices_scheduled = true;
    self->delayed_send(self, options.commit_notice_delay, commit_notices_due{});
  }
}

void consensus_state::take(ready_batch& out) {
  if (!out.messages.empty())
    options.send(std::move(out.messages));
  if (out.write.ticket != 0)
    self->send(options.log_writer, log_write{std::make_shared<write_request>(std::move(out.write))});
  if (out.restore && !restore(*out.restore))
    return;
  if (!out.committed.empty() && !apply(out.committed))
    return;
  take_read_answers(out.reads);
  finish_reads();
}

bool consensus_state::restore(const raft_snapshot& snapshot) {
  if (auto restored = options.machine->restore(snapshot); !restored) {
    stop(consensus_errc::machine_failed, restored.error().message);
    return false;
  }
  bytes_since_snapshot = 0;
  while (!commands.empty() && commands.begin()->first <= snapshot.index) {
    commands.begin()->second.promise.deliver(
        to_error(consensus_errc::outcome_unknown, "this member fell behind and continues from a snapshot"));
    commands.erase(commands.begin());
  }
  return true;
}

bool consensus_state::apply(const std::vector<shared_entry>& entries) {
  auto results = options.machine->apply(entries);
  if (!results) {
    stop(consensus_errc::machine_failed, results.error().message);
    return false;
  }
  if (results->size() != entries.size()) {
    stop(consensus_errc::machine_failed, "it gave " + std::to_string(results->size()) + " results for " +
                                             std::to_string(entries.size()) + " entries; one each is right");
    return false;
  }
  settle_commands(entries, *results);
  for (const auto& entry : entries)
    bytes_since_snapshot += entry.bytes();
  for (const auto& s : subscribers)
    if (s.applied)
      self->send(s.handle, log_applied{entries.back()->index});
  return take_snapshot_if_due();
}

void consensus_state::settle_commands(const std::vector<shared_entry>& entries, std::vector<std::string>& results) {
  for (std::size_t i = 0; i < entries.size() && !commands.empty(); ++i) {
    const auto& entry = *entries[i];
    if (commands.rbegin()->second.term < entry.term || commands.begin()->second.term < entry.term)
      drop_overtaken(entry);
    const auto found = commands.find(entry.index);
    if (found == commands.end())
      continue;
    if (found->second.term == entry.term)
      found->second.promise.deliver(command_applied{entry.index, std::move(results[i])});
    else
      found->second.promise.deliver(to_error(consensus_errc::dropped, {}));
    commands.erase(found);
  }
}

void consensus_state::drop_overtaken(const log_entry& entry) {
  // Terms never fall along a log: what was proposed in a lower term for this index or a later one can never follow a
  // committed entry of a higher term.
  for (auto i = commands.lower_bound(entry.index); i != commands.end();) {
    if (i->second.term < entry.term) {
      i->second.promise.deliver(to_error(consensus_errc::dropped, {}));
      i = commands.erase(i);
    } else {
      ++i;
    }
  }
}

bool consensus_state::take_snapshot_if_due() {
  const auto applied = options.machine->applied_index();
  const auto since = applied - std::min(applied, core->log().snapshot()->index);
  if (since < options.snapshot_after_entries && bytes_since_snapshot < options.snapshot_after_bytes)
    return true;
  auto taken = options.machine->take_snapshot();
  if (!taken && storage::is_retryable(taken.error().code))
    return true; // with one of the next entries; until then the log only grows
  if (!taken) {
    stop(consensus_errc::machine_failed, taken.error().message);
    return false;
  }
  core->take_snapshot(applied, std::move(taken).value(), options.keep_entries);
  bytes_since_snapshot = 0;
  return true;
}

void consensus_state::ask_reads() {
  // Questions whose answer is overdue (a message was lost, or the leader) are asked again, under a new context.
  for (auto i = read_groups.begin(); i != read_groups.end();) {
    auto& group = i->second;
    if (group.answered || ticks < group.asked_at + options.raft.election_ticks) {
      ++i;
      continue;
    }
    std::move(group.reads.begin(), group.reads.end(), std::back_inserter(new_reads));
    i = read_groups.erase(i);
  }
  if (new_reads.empty() || core->leader() == 0)
    return; // with the next leader; until then their deadlines run
  const auto context = next_context++;
  if (core->read_index(context) != raft_refusal::none)
    return;
  read_groups[context] = {std::move(new_reads), ticks, false, 0};
  new_reads.clear();
}

void consensus_state::take_read_answers(const std::vector<read_state>& answers) {
  for (const auto& answer : answers) {
    const auto found = read_groups.find(answer.context);
    if (found == read_groups.end())
      continue;
    auto& group = found->second;
    if (answer.failed) {
      std::move(group.reads.begin(), group.reads.end(), std::back_inserter(new_reads));
      read_groups.erase(found);
    } else {
      group.answered = true;
      group.index = answer.index;
    }
  }
}

void consensus_state::finish_reads() {
  if (read_groups.empty())
    return;
  const auto applied = options.machine->applied_index();
  for (auto i = read_groups.begin(); i != read_groups.end();) {
    auto& group = i->second;
    if (!group.answered || group.index > applied) {
      ++i;
      continue;
    }
    for (auto& read : group.reads)
      read.promise.deliver(barrier_passed{applied});
    reads_waiting -= group.reads.size();
    i = read_groups.erase(i);
  }
}

void consensus_state::announce_leadership() {
  const auto now = core->soft();
  if (now == announced)
    return;
  announced = now;
  for (const auto& s : subscribers)
    if (s.leadership)
      self->send(s.handle, leadership_changed{now.role, now.leader, now.term});
  end_transfer();
}

void consensus_state::fail_everybody_waiting(const std::string& why) {
  for (auto& item : commands)
    item.second.promise.deliver(to_error(consensus_errc::outcome_unknown, why));
  commands.clear();
  for (auto& read : new_reads)
    read.promise.deliver(to_error(consensus_errc::timed_out, why));
  new_reads.clear();
  for (auto& item : read_groups)
    for (auto& read : item.second.reads)
      read.promise.deliver(to_error(consensus_errc::timed_out, why));
  read_groups.clear();
  reads_waiting = 0;
  if (transfer_promise.pending())
    transfer_promise.deliver(to_error(consensus_errc::busy, why));
}

void consensus_state::stop(consensus_errc code, const std::string& why) {
  if (stopped)
    return;
  stopped = true;
  fail_everybody_waiting(why);
  self->quit(to_error(code, why));
}

} // namespace prunella::runtime
