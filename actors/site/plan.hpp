#pragma once

// What the leader decides next: from what is wanted, what is assigned and what was seen, the changes that close the
// difference. Called again after every change; a plan of a satisfied site is empty.

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <string>

#include "actors/site/placement.hpp"
#include "actors/site/site_state.hpp"
#include "actors/site/update.hpp"

namespace prunella::actors {

/// A report that an instance exceeded its restart intensity, level by level, on its host.
struct gave_up_report {
  std::string host;
  std::uint64_t generation = 0;
  std::string reason;
};

/// By instance name; only reports about the present assignment count.
using gave_up_reports = std::map<std::string, gave_up_report>;

/// A report that an instance came to its end on its host.
struct ended_report {
  std::string host;
  std::uint64_t generation = 0;
  instance_end how = instance_end::finished;
  std::string reason;
};

/// By instance name; only reports about the present assignment count.
using ended_reports = std::map<std::string, ended_report>;

inline constexpr std::size_t max_end_reason_bytes = 512; ///< of what is kept of `ended_report::reason`

struct site_plan {
  /// Removals first, then by application, service and number of the replica. Empty: all is as it should be.
  change_assignments changes;
  time_ms look_again_at = 0;  ///< when time alone changes the plan (an avoided host becomes eligible); 0: never
  bool waits_for_reports = false; ///< an update or a move goes on when instances are steady, or gone, so what is seen, and time, change the plan
};

/// Changes as log entries take them: in order, each portion below the longest entry and with less changes than a journal has
/// numbers for the events of an entry.
std::deque<change_assignments> in_portions(change_assignments all);
inline constexpr std::size_t max_portion_changes = 500;
inline constexpr std::size_t max_portion_bytes = 512 * 1024; ///< about; an explanation may be as long as a label expression

/// How long placement avoids a host on which an instance gave up: 30 s, doubling up to 1 h each time in a row, that is
/// until it did not give up there for an hour after it was avoided last.
time_ms avoidance_ms(std::uint32_t times_in_a_row);

/// Whether the host of an instance that leaves it has said that it runs there no more; of one that was never placed, without a
/// host in `x`, whether nothing of an earlier one of its name is left on any host. Empty: yes.
using departure_sight = std::function<bool(const std::string& instance, const assignment& x)>;

/// Decides placement, healing, updates and removal. Instances stay where they are unless the host is down, no longer matches, or
/// they gave up there; where a host's resources no longer suffice, those leave whose application was changed last. What runs is
/// updated when its host has the images of the new version. A host that returns gets nothing back by itself (failback is a decision of its own). `images`: who
/// has which, see `image_copies.hpp`; hosts that have a service's are better than those that do not. `seen` is asked
/// only about services that have to be updated or moved; empty: all are away.
///
/// Who leaves a host that is up ends there first: the assignment says that it leaves, and is placed anew when `has_left`, or when
/// that host is down; and who is placed for the first time waits for what ran under its name before. Of a service whose host does not suit it any more (labels, what the host can do) as many leave at a
/// time as `update.parallel` lets be away; who has no room any more, or gave up, leaves at once.
///
/// Who ended (`ended`) and is not started again (`is_final`) is decided to have: it reserves nothing any more, and stays as it is
/// whatever becomes of its host, until it runs an outdated spec, or one that does not leave it at its end. A report of who leaves
/// its host counts for nothing: that it is told to stop may be why it ended.
site_plan plan(const site_state& state, const gave_up_reports& gave_up, time_ms now, const image_places& images = {},
               const sight& seen = {}, const departure_sight& has_left = {}, const ended_reports& ended = {});

} // namespace prunella::actors
