#pragma once

// How consensus refuses or fails, as one sentence per code. No CAF here: consensus_actor.hpp makes caf::error of it.

#include <cstdint>
#include <string_view>

namespace prunella::runtime {

/// Category "consensus". Values are stable: append only.
enum class consensus_errc : std::uint8_t {
  /// This member does not lead; the error's context names the leader if one is known.
  not_leader = 1,
  /// A queue is full or leadership is being handed over; nothing was done.
  busy = 2,
  /// The command is certainly not in the log and never will be: another leader's entry took its place.
  dropped = 3,
  /// The command may or may not be applied later: no majority answered in time, or this member stopped meanwhile.
  outcome_unknown = 4,
  /// No majority confirmed the read in time; nothing was done.
  timed_out = 5,
  /// The command is larger than the group's limit.
  too_large = 6,
  /// The leader is not there yet: it has to commit in its term, or another membership change is under way.
  not_ready = 7,
  /// The learner is too far behind to be given a vote.
  not_caught_up = 8,
  /// The request makes no sense for this group, whenever it comes.
  invalid = 9,
  /// The member has not read its log yet.
  starting = 10,
  /// The log cannot be read or written; the member stops.
  log_failed = 11,
  /// The state machine cannot apply, save or restore; the member stops.
  machine_failed = 12,
};

/// When it happens, without the details.
constexpr std::string_view sentence(consensus_errc code) {
  switch (code) {
  case consensus_errc::not_leader:
    return "this member does not lead";
  case consensus_errc::busy:
    return "consensus is busy, try again shortly";
  case consensus_errc::dropped:
    return "the command was not applied: leadership changed and another entry took its place";
  case consensus_errc::outcome_unknown:
    return "the command may or may not be applied: no majority answered in time";
  case consensus_errc::timed_out:
    return "no majority confirmed the read in time";
  case consensus_errc::too_large:
    return "the command is too large";
  case consensus_errc::not_ready:
    return "the leader cannot change the membership yet";
  case consensus_errc::not_caught_up:
    return "the learner is too far behind to be given a vote";
  case consensus_errc::invalid:
    return "the request is invalid";
  case consensus_errc::starting:
    return "this member is still reading its log";
  case consensus_errc::log_failed:
    return "the consensus log failed";
  case consensus_errc::machine_failed:
    return "the state machine failed";
  }
  return "unknown consensus error";
}

/// Whether the same request may be sent again as it is (to the leader, for not_leader) without the risk of doing it
/// twice. `outcome_unknown` is not among them: only the asker knows whether its command may be repeated.
constexpr bool is_retryable(consensus_errc code) {
  switch (code) {
  case consensus_errc::not_leader:
  case consensus_errc::busy:
  case consensus_errc::dropped:
  case consensus_errc::timed_out:
  case consensus_errc::not_ready:
  case consensus_errc::not_caught_up:
  case consensus_errc::starting:
    return true;
  default:
    return false;
  }
}

} // namespace prunella::runtime
