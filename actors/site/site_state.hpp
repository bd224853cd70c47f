#pragma once

// What a site has decided: the replicated state, and the only way it changes. Every host applies the same commands in the
// same order and so holds the same state; ids and times are in the commands, nothing here reads a clock.

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "actors/site/application_images.hpp"
#include "actors/site/host_offer.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

/// Milliseconds since the Unix epoch, by the clock of the leader that made the command. For people, never for decisions
/// about order: that is the log's.
using time_ms = std::int64_t;

// -- state ---------------------------------------------------------------------------------------------------------------

/// A host as the site sees it. One row of kind "host", key = id.
struct host_record {
  config::host_spec spec;
  bool up = true;
  std::string reason; ///< why it is down; empty while up
  time_ms since = 0;  ///< of the last change of `up`
  std::vector<config::driver_kind> drivers{}; ///< that it said it has, ascending; none: it has not said yet
  std::vector<host_lack> lacks{}; ///< what it said it cannot do, ascending
  host_software software{};       ///< as it said
  bool drained = false;           ///< somebody said that nothing is to run there for now

  PRUNELLA_FIELDS(host_record, spec, up, reason, since, drivers, lacks, software, drained)
};

/// A version that ran before the present one, to go back to.
struct former_version {
  config::application_spec spec;
  std::uint64_t revision = 0; ///< 0: there is none
  std::map<std::string, std::uint64_t> changed_at;
  image_digests images;

  PRUNELLA_FIELDS(former_version, spec, revision, changed_at, images)
};

/// How an update stands that there is a way back from; without one nobody has to watch it.
enum class update_phase : std::uint8_t {
  done,    ///< all instances run the present spec, or come to it without being watched
  running, ///< instances come to it one after the other
  paused,  ///< it failed: outdated instances stay as they are
};

/// One row of kind "application", key = "tenant.name".
struct application_record {
  config::application_spec spec;
  std::uint64_t revision = 0; ///< counts changes of the spec, from 1
  time_ms created_at = 0;
  time_ms updated_at = 0;
  /// Service → revision of the change that what its instances run is of. Two versions with equal numbers run the same of it
  /// (`site/update.hpp`).
  std::map<std::string, std::uint64_t> changed_at;
  former_version former;
  update_phase update = update_phase::done;
  std::string update_reason; ///< why it is paused, or why the site went back from a version; empty: neither
  image_digests images;      ///< what its tags mean, as far as that is decided
  /// Tags that are to be looked at since it was applied, in order: also those that are decided, they may have moved.
  std::vector<std::string> open_tags;
  std::uint64_t open_since = 0; ///< the log's index of that; a later look at a tag counts for all before it
  std::uint64_t applied = 0;    ///< the revision that its last spec began with; later ones are of tags that have moved

  PRUNELLA_FIELDS(application_record, spec, revision, created_at, updated_at, changed_at, former, update, update_reason, images,
                  open_tags, open_since, applied)
};

/// A host on which an instance gave up, and until when placement avoids it.
struct avoided_host {
  std::string host;
  std::uint64_t generation = 0; ///< that gave up there
  std::uint32_t times = 0;      ///< in a row; the avoidance doubles with it
  time_ms until = 0;
  std::string reason;

  PRUNELLA_FIELDS(avoided_host, host, generation, times, until, reason)
};

/// How an instance came to its end, when all of its containers ended by themselves and none is started again.
enum class instance_end : std::uint8_t {
  none,     ///< it has not
  finished, ///< all of them ended well
  failed,   ///< one did not, and its service is `temporary`
  again,    ///< it had ended, and somebody asked for it once more: it waits to be placed
};

/// Where an instance was put. One row of kind "assignment", key = instance name. It stays while the instance is wanted,
/// with an empty `host` when no host can hold it, so that its generation only ever grows.
struct assignment {
  std::string tenant;
  std::string application;
  std::string service;
  std::uint32_t replica = 0;    ///< from 1
  std::string host;             ///< empty: not placed; `reason` says why
  std::uint64_t generation = 0; ///< counts placements, 0: never placed; an older one never acts after a newer one
  time_ms assigned_at = 0;
  std::string reason;
  std::vector<avoided_host> avoided;
  std::string home{};         ///< the host that has its persistent volumes; it goes nowhere else. Empty: it has none
  std::uint64_t revision = 0; ///< `changed_at` of its service in the version that it runs
  /// The log's index of the decision that it leaves `host`, which then ends it and says so; only then it is placed anew. 0: it
  /// stays. In a change any other number says that it leaves.
  std::uint64_t leaves_since = 0;
  /// It came to its end on `host`, and `reason` says how: this generation is never started again, on no host, and reserves
  /// nothing. The next one takes its place when its service is changed or somebody restarts it.
  instance_end ended = instance_end::none;

  PRUNELLA_FIELDS(assignment, tenant, application, service, replica, host, generation, assigned_at, reason, avoided, home,
                  revision, leaves_since, ended)
};

/// The site's own row: kind "site", key "site".
struct site_record {
  std::string name; ///< empty: not registered yet
  config::labels labels;
  config::liveness_profile liveness = config::liveness_profile::balanced;
  std::uint64_t generation_floor = 0; ///< generations of removed instances; a name that comes back starts above it
  config::image_settings images;
  config::network_settings networks;
  std::string address; ///< that one host holds (`host/site_address.hpp`); empty: there is none

  PRUNELLA_FIELDS(site_record, name, labels, liveness, generation_floor, images, networks, address)
};

struct site_state {
  site_record site;
  std::map<std::string, host_record> hosts;
  std::map<std::string, application_record> applications;
  std::map<std::string, assignment> assignments;
  std::uint64_t applied_index = 0;

  PRUNELLA_FIELDS(site_state, site, hosts, applications, assignments, applied_index)
};

// -- commands ------------------------------------------------------------------------------------------------------------

/// The site's document, proposed by its first leader. Later ones change nothing but are accepted.
struct register_site {
  config::site_spec spec;
  PRUNELLA_FIELDS(register_site, spec)
};

struct put_application {
  config::application_spec spec;
  bool replaced_runs = false; ///< set by the leader: what this takes the place of is seen to run, so it is worth going back to
  PRUNELLA_FIELDS(put_application, spec, replaced_runs)
};

/// Back to the version before. Asked for by a user, or proposed by the leader for an update that failed.
struct roll_back {
  std::string key;            ///< tenant.name
  std::uint64_t revision = 0; ///< from which; 0: whichever it is
  std::string reason;         ///< why; empty: somebody asked for it
  PRUNELLA_FIELDS(roll_back, key, revision, reason)
};

/// The update to this revision is over; proposed by the leader.
struct end_update {
  std::string key; ///< tenant.name
  std::uint64_t revision = 0;
  std::string failure; ///< why it goes no further; empty: it came through
  PRUNELLA_FIELDS(end_update, key, revision, failure)
};

struct delete_application {
  std::string key; ///< tenant.name
  PRUNELLA_FIELDS(delete_application, key)
};

struct scale_service {
  std::string key; ///< tenant.name
  std::string service;
  std::uint32_t replicas = 0;
  PRUNELLA_FIELDS(scale_service, key, service, replicas)
};

struct set_host_state {
  std::string host;
  bool up = false;
  std::string reason;
  PRUNELLA_FIELDS(set_host_state, host, up, reason)
};

/// One change of an assignment. It applies only while the assignment is still at `from_host` with `from_generation`
/// (empty and 0: there is none, or it was never placed), so a plan made from an outdated state changes nothing.
struct assignment_change {
  std::string instance;
  std::string from_host;
  std::uint64_t from_generation = 0;
  bool remove = false; ///< the instance is no longer wanted
  assignment next;     ///< unless `remove`; its generation and time are set when it is applied, and kept when it ended
  std::string cause;   ///< object that led to it: `host/host-1`, `application/default.popcorn`

  PRUNELLA_FIELDS(assignment_change, instance, from_host, from_generation, remove, next, cause)
};

/// What the host said it can run; proposed by the leader.
struct set_host_drivers {
  std::string host;
  std::vector<config::driver_kind> drivers; ///< ascending
  std::vector<host_lack> lacks{};           ///< ascending
  host_software software{};
  PRUNELLA_FIELDS(set_host_drivers, host, drivers, lacks, software)
};

/// What tags of an application mean, as they were found; proposed by the leader. A service that runs something else by such a
/// tag is updated to it.
struct decide_images {
  std::string key;          ///< tenant.name
  std::uint64_t since = 0;  ///< `open_since` of the application; otherwise it is stale
  tag_digests digests;      ///< of some of its `open_tags`; the others are left out
  std::string found_at;     ///< host, for people
  bool replaced_runs = false; ///< as in `put_application`
  PRUNELLA_FIELDS(decide_images, key, since, digests, found_at, replaced_runs)
};

/// Whether instances may be on the host: a drained one is given nothing, and what is there leaves.
struct drain_host {
  std::string host;
  bool drained = false;
  PRUNELLA_FIELDS(drain_host, host, drained)
};

/// Runs anew what runs or has ended, by hand: the instances of a service like an update, or one instance at once.
struct restart_instances {
  std::string key;              ///< tenant.name
  std::string service;          ///< empty: of the instance
  std::uint64_t revision = 0;   ///< of the application, as it was when somebody asked; otherwise it is stale
  std::string instance;         ///< empty: all of the service
  std::uint64_t generation = 0; ///< of the instance, likewise
  PRUNELLA_FIELDS(restart_instances, key, service, revision, instance, generation)
};

struct change_assignments {
  std::vector<assignment_change> changes;
  PRUNELLA_FIELDS(change_assignments, changes)
};

/// An entry of the site's log.
struct site_command {
  time_ms at = 0;
  std::variant<register_site, put_application, delete_application, scale_service, set_host_state, change_assignments,
               set_host_drivers, roll_back, end_update, decide_images, drain_host, restart_instances>
    body;

  PRUNELLA_FIELDS(site_command, at, body)
};

// -- applying ------------------------------------------------------------------------------------------------------------

enum class command_result : std::uint8_t {
  created,
  updated,
  deleted,
  unchanged, ///< the state already was as asked
  not_found, ///< names nothing in this site; nothing changed
  stale,     ///< made from an outdated state; nothing changed
};

/// Something that was decided, for the event journal.
struct decision_event {
  std::string object;
  std::string from;
  std::string to;
  std::string reason;
  std::string cause;

  PRUNELLA_FIELDS(decision_event, object, from, to, reason, cause)
};

/// A row that changed: (kind, key). Whether it was put or removed shows in the state.
struct changed_row {
  std::string kind;
  std::string key;

  PRUNELLA_FIELDS(changed_row, kind, key)
};

struct command_outcome {
  command_result result = command_result::unchanged;
  std::uint64_t revision = 0; ///< of the application concerned; 0: none
  std::string detail;         ///< what was not found

  PRUNELLA_FIELDS(command_outcome, result, revision, detail)
};

struct applied_command {
  command_outcome outcome;
  std::vector<changed_row> rows;
  std::vector<decision_event> events;
};

/// Applies `command`, the log's entry `index`. Deterministic: the same state and command give the same result everywhere.
applied_command apply(site_state& state, const site_command& command, std::uint64_t index);

/// The text of a result as the API says it.
const char* to_text(command_result result);

} // namespace prunella::actors

namespace prunella::config {

template <>
struct enum_texts<actors::instance_end> {
  static constexpr std::array<std::string_view, 4> value{"none", "finished", "failed", "again"};
};

template <>
struct enum_texts<actors::update_phase> {
  static constexpr std::array<std::string_view, 3> value{"done", "running", "paused"};
};

} // namespace prunella::config
