#pragma once

// Keeps the host's event journal: what was decided (from the log, the same on every host) and what this host observed.
// Events wait for up to `flush_after` and are written as one batch; a crash of this actor or the agent loses those, which
// nothing is decided from. Restart type: permanent.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/host/wall_clock.hpp"
#include "actors/messages.hpp"
#include "storage/event_journal.hpp"

namespace prunella::actors {

/// Bytes that are kept of these texts; of longer ones the first, then `…`.
inline constexpr std::size_t max_event_reason = 400;
inline constexpr std::size_t max_event_cause = 200;

/// Adds events. One with origin `storage::site_origin` keeps its sequence; all others get this host as origin, the next
/// sequence, and the present time if they have none. No answer. Beyond `max_waiting` events the oldest waiting go.
struct record_events {
  std::vector<storage::journal_event> events;

  PRUNELLA_FIELDS(record_events, events)
};

struct journal_actor_options {
  std::string host;
  /// Opens the journal; called when the actor starts, also after a crash.
  std::function<storage::result<std::unique_ptr<storage::event_journal>>()> open;
  wall_clock clock = wall_clock_ms;
  std::chrono::milliseconds flush_after{50};
  std::size_t max_waiting = 10'000;
  bool detached = false; ///< own thread; see `outer_parts::own_threads`
};

/// Answers `events_request` with `events_answer`: what waits is written first.
caf::actor spawn_journal(caf::local_actor* parent, journal_actor_options options);

/// The id of an event in the API: `<time_ms>-<origin>-<sequence>`.
std::string event_id(const storage::journal_event& event);

/// The position that an id names; false for a text that is no id.
bool parse_event_id(const std::string& id, storage::journal_position& out);

event_view view_of(const storage::journal_event& event);

/// `text`, or its first characters and `…`: at most `max_bytes` (>= 3) in all, no character of UTF-8 cut in two.
std::string shortened(std::string text, std::size_t max_bytes);

/// Rows of several hosts in one order, each event once, at most `limit`: the oldest of them behind `after`, or the newest
/// ones if `after` is empty. Rows with ids that are none are left out.
std::vector<event_view> merge_events(std::vector<event_view> rows, const std::string& after, std::uint32_t limit);

} // namespace prunella::actors
