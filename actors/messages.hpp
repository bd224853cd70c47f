#pragma once

// Every message that crosses from one host to another, and nothing else: each names the local actor it is for. Their type
// ids are in `type_ids.hpp`. Units are in the names; a message with a default-constructed field is an older sender's.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "actors/api/views.hpp"
#include "actors/site/site_state.hpp"
#include "config/fields.hpp"
#include "net/door/door.hpp"

namespace prunella::actors {

// -- host → site (actor "site" on the leader) ------------------------------------------------------------------------------

enum class instance_phase : std::uint8_t {
  pending,
  starting,
  running,
  stopping,
  failed,   ///< it ended, or gave up, and is not started again here
  finished, ///< all of its containers ended as they should, and are not started again
};

/// As the API says it.
constexpr const char* to_text(instance_phase phase) {
  switch (phase) {
  case instance_phase::pending: return "pending";
  case instance_phase::starting: return "starting";
  case instance_phase::running: return "running";
  case instance_phase::stopping: return "stopping";
  case instance_phase::failed: return "failed";
  case instance_phase::finished: return "finished";
  }
  return "unknown";
}

/// What a host observes of an instance that is assigned to it.
struct instance_report {
  std::string instance;
  std::uint64_t generation = 0;
  instance_phase phase = instance_phase::pending;
  bool gave_up = false; ///< exceeded its restart intensity on this host; the site is to place it elsewhere
  std::int64_t pid = 0;
  time_ms started_at = 0; ///< by the host's clock; 0: not running
  std::uint32_t restarts = 0;
  std::string reason;
  std::vector<container_view> containers;
  bool ready = true; ///< what its probes say, while it runs; `reason` says why it is not
  std::string address{}; ///< numeric, of its own network; empty: its host's

  PRUNELLA_FIELDS(instance_report, instance, generation, phase, gave_up, pid, started_at, restarts, reason,
                  containers, ready, address)
};

/// Sent every heartbeat interval, and at once when a report changed. → `heartbeat_answer`; `site_errc::not_leader` when
/// the receiver does not lead. Reports are the differences since the revision that the leader last confirmed, oldest first,
/// as many as one message takes (`host/report_log.hpp`); a leader that confirmed none gets all, part by part, the first of
/// them with `since_revision` 0.
struct host_heartbeat {
  std::string host;
  std::uint64_t incarnation = 0; ///< of the agent process
  std::int64_t sent_at_ns = 0;   ///< monotonic clock of the host; a lease counts from here
  bool has_reports = false;      ///< false: it only says that the host lives; other reports are under way
  std::uint64_t revision = 0;    ///< of the newest change in here, or of the newest there is if nothing is left over
  std::uint64_t since_revision = 0; ///< 0: what was reported before is no longer true
  std::vector<instance_report> reports;
  std::vector<std::string> gone; ///< instances no longer on this host; none of them is in `reports`
  /// The site's log up to here is carried out: what it takes from this host runs here no more, and never will, unless `reports` have
  /// it. 0: it cannot say so yet, or there are changes that did not fit in here.
  std::uint64_t carried_out = 0;
  host_offer offer; ///< its software only when the leader may not know it yet

  PRUNELLA_FIELDS(host_heartbeat, host, incarnation, sent_at_ns, has_reports, revision, since_revision, reports, gone, carried_out, offer)
};

/// The leader's answer. Lease fields are carried from the first version on; a leader that grants none says 0.
struct heartbeat_answer {
  std::string leader;
  std::uint64_t term = 0;
  std::int64_t sent_at_ns = 0; ///< of the heartbeat it answers
  std::int64_t lease_ms = 0;   ///< exclusive work may run until `sent_at` + this; 0: no lease
  std::uint64_t confirmed_revision = 0;

  PRUNELLA_FIELDS(heartbeat_answer, leader, term, sent_at_ns, lease_ms, confirmed_revision)
};

/// Whether the instance takes traffic.
inline bool is_ready(const instance_report& report) {
  return report.phase == instance_phase::running && report.ready;
}

/// Asks the leader which instances of published services are ready, for the door of `host`. → `ready_table`: at once if the
/// leader's is another than that of `term` and `revision`, else as soon as it changes, at the latest after
/// `ready_watch_hold` with the same. One per host; the next takes the place of one that waits.
struct watch_ready {
  std::string host;
  std::uint64_t term = 0; ///< 0: it knows nothing
  std::uint64_t revision = 0;
  std::string door; ///< numeric ADDRESS:PORT where its door listens for those of other hosts

  PRUNELLA_FIELDS(watch_ready, host, term, revision, door)
};

inline constexpr std::chrono::milliseconds ready_watch_hold{4'000};

struct ready_instance {
  std::string instance;
  std::uint64_t generation = 0;
  std::string host;

  PRUNELLA_FIELDS(ready_instance, instance, generation, host)
};

struct host_door {
  std::string host;
  std::string address;

  PRUNELLA_FIELDS(host_door, host, address)
};

struct ready_table {
  std::uint64_t term = 0; ///< of the leader
  std::uint64_t revision = 0;
  std::vector<ready_instance> ready; ///< of published services, by name; as many as `max_ready_bytes` take
  std::vector<host_door> doors;      ///< those that are known, by host
  std::vector<std::string> silent;   ///< hosts that have not reported to this leader yet: what was known of them still holds

  PRUNELLA_FIELDS(ready_table, term, revision, ready, doors, silent)
};

inline constexpr std::size_t max_ready_bytes = 768 * 1024;

// -- API of any host → site (actor "site" on the leader) -------------------------------------------------------------------

/// A `site_command` asked for by a user; the leader checks it, sets its time and proposes it. → `site_answer`, after it is
/// applied on the leader. Repeating it is harmless: every command states what is wanted.
struct site_request {
  std::string command; ///< `encode(site_command)`

  PRUNELLA_FIELDS(site_request, command)
};

struct site_answer {
  command_outcome outcome;
  problem_view problem; ///< `status` 0: none

  PRUNELLA_FIELDS(site_answer, outcome, problem)
};

/// Asks the leader for what only it knows whole. → `view_answer`.
struct view_request {
  std::string view;        ///< hosts | applications | instances | spec
  std::string application; ///< only this one ("tenant.name"); empty: all, except for a `spec`
  std::string after;       ///< rows behind this key (`view_answer::next`); empty: from the first
  std::uint32_t limit = 0; ///< rows, 1 … `max_page_rows`

  PRUNELLA_FIELDS(view_request, view, application, after, limit)
};

inline constexpr std::uint32_t max_page_rows = 1'000;

/// The API's JSON, ready to send: one object for a `spec`, else an array of rows in order of their keys, of at
/// most about half a mebibyte. Of a `spec` that is not there it is empty.
struct view_answer {
  std::string json;
  std::string next; ///< key of the last row if there are more; empty: these were the last

  PRUNELLA_FIELDS(view_answer, json, next)
};

/// Asks the leader how the site is. → `status_view`, in which the leader fills what is the same for all hosts.
struct status_request {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(status_request, unused)
};

// -- API of any host → every host ----------------------------------------------------------------------------------------

/// To actor "journal": events behind `after` (empty: the newest `limit`), oldest first. → `events_answer`.
struct events_request {
  std::string after;
  std::uint32_t limit = 0; ///< 1 … 1000

  PRUNELLA_FIELDS(events_request, after, limit)
};

struct events_answer {
  std::vector<event_view> events;

  PRUNELLA_FIELDS(events_answer, events)
};

/// To actor "door": its published ports and what is open. → `door_status_answer`.
struct door_status_request {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(door_status_request, unused)
};

struct door_status_answer {
  std::string host;
  std::vector<net::door_listener_status> ports;

  PRUNELLA_FIELDS(door_status_answer, host, ports)
};

/// To actor "tree": all actors of the agent. → `actors_answer`.
struct actors_request {
  std::uint32_t limit = 0; ///< 1 … 10000

  PRUNELLA_FIELDS(actors_request, limit)
};

struct actors_answer {
  std::vector<actor_view> actors;

  PRUNELLA_FIELDS(actors_answer, actors)
};

/// To actor "tree": kills one actor (reason `kill`), so that its supervisor can be watched. → `kill_answer`.
struct kill_request {
  std::string path; ///< without the host

  PRUNELLA_FIELDS(kill_request, path)
};

struct kill_answer {
  bool found = false;

  PRUNELLA_FIELDS(kill_answer, found)
};

} // namespace prunella::actors
