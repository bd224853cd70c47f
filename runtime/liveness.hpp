#pragma once

// The figures behind a site's liveness profile. One table, so that heartbeats, suspicion and elections fit each other:
//  - Raft's heartbeat is the host heartbeat: a member's answer to it says that the host lives. One rhythm, one wake-up. Only
//    now and then does the host say more (`report`).
//  - An answer costs a leader as much as the heartbeat, for each host; so every second heartbeat wants none. `down_after` is
//    at least four answers, so one lost packet (and TCP's 200 ms retransmission) is no suspicion in `balanced` and `patient`.
//  - An election starts after 4 to 10 silent heartbeats and is randomised over a factor of two (Ongaro 2014, §3.4 and
//    §9.3), so it is over before hosts are declared down by the new leader.
//  - On two busy cores election timeouts of 150 ms moved leadership under load (CAF.md §6): `fast` stays above that and is
//    for wired sites with idle cores; `balanced` follows the advice of at least 500 ms.
//  - `patient` is for radio and satellite links between hosts: seconds of silence are normal there, and traffic is cost.

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "config/fields.hpp"
#include "config/spec.hpp"
#include "runtime/failure_detector.hpp"

namespace prunella::runtime {

struct liveness_figures {
  std::chrono::milliseconds heartbeat{125};    ///< of the leader's consensus to each host
  std::chrono::milliseconds down_after{1'000}; ///< silence after which a host may be declared down
  std::chrono::milliseconds raft_tick{25};     ///< the consensus core counts time in these
  std::uint32_t raft_heartbeat_ticks = 5;
  std::uint32_t raft_election_ticks = 20; ///< randomised per election in [this, 2 * this)
  std::uint32_t heartbeats_per_answer = 2; ///< of a member that lacks nothing

  /// How often the leader hears of each host.
  std::chrono::milliseconds contact() const { return heartbeats_per_answer * heartbeat; }

  /// How often a host that has no news tells the leader so, beside answering heartbeats. At most half of `down_after`, so
  /// that a host whose consensus waits for a slow disk is not silent.
  std::chrono::milliseconds report() const { return std::min(5 * heartbeat, down_after / 2); }
  std::chrono::milliseconds election_min() const { return raft_tick * raft_election_ticks; }
  std::chrono::milliseconds election_max() const { return 2 * election_min(); }

  PRUNELLA_FIELDS(liveness_figures, heartbeat, down_after, raft_tick, raft_heartbeat_ticks, raft_election_ticks,
                  heartbeats_per_answer)
};

/// The figures of `profile`: heartbeat / down after / election
/// fast 50 ms / 500 ms / 250–500 ms · balanced 125 ms / 1 s / 500–1000 ms · patient 500 ms / 10 s / 3–6 s.
inline liveness_figures figures_of(config::liveness_profile profile) {
  using std::chrono::milliseconds;
  switch (profile) {
  case config::liveness_profile::fast:
    return {milliseconds{50}, milliseconds{500}, milliseconds{25}, 2, 10};
  case config::liveness_profile::patient:
    return {milliseconds{500}, milliseconds{10'000}, milliseconds{250}, 2, 12};
  case config::liveness_profile::balanced:
    break;
  }
  return {};
}

/// How a host's heartbeats are judged under `figures`. Adapts upwards to a bad link, at most five-fold.
inline failure_detector_options detector_for(const liveness_figures& figures) {
  failure_detector_options options;
  options.heartbeat = figures.contact();
  options.down_after = figures.down_after;
  options.down_at_most = 5 * figures.down_after;
  return options;
}

} // namespace prunella::runtime
