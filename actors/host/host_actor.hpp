#pragma once

// The host: closes the difference between what the site assigned to it and what runs here, and tells the leader what it
// sees. Level-triggered: at start, after each change of the state and after each end of a child it compares again.
//
// Restart type: permanent. What it told its supervisors to run is kept in `host_memory`, outside of it, so a crash of this
// actor disturbs nothing that runs; reports and heartbeats start anew.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/application/application_plan.hpp"
#include "actors/host/instance_table.hpp"
#include "actors/host/wall_clock.hpp"
#include "actors/messages.hpp"
#include "actors/site/leadership.hpp"
#include "actors/site/state_cell.hpp"
#include "runtime/instant.hpp"
#include "runtime/liveness.hpp"
#include "runtime/supervisor.hpp"

namespace prunella::actors {

/// What outlives a crash of the host actor; used by it only.
struct host_memory {
  std::map<std::string, application_plan> running; ///< as told to the supervisors, by application
  std::map<std::string, instance_plan> started;    ///< as last told, by instance; of those in `instances`
  instance_table instances;
};

/// Asks for all reports of this host, within the process. → `own_reports`.
struct get_reports {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(get_reports, unused)
};

struct own_reports {
  std::vector<instance_report> reports;

  PRUNELLA_FIELDS(own_reports, reports)
};

/// What a supervisor of this host's applications saw (`runtime::supervisor_options::on_event`). No answer.
using host_event = runtime::supervision_event;

struct host_actor_options {
  std::string host;
  std::string site;
  std::string address{}; ///< of the host, without a port
  std::uint64_t incarnation = 0;
  std::shared_ptr<state_cell> state;
  std::shared_ptr<leadership_cell> leader;
  std::shared_ptr<host_memory> memory;
  std::function<caf::actor(const std::string& host, const std::string& name)> actor_on;
  std::function<caf::actor(const std::string& path)> lookup; ///< in the agent's directory
  std::string applications_path;                             ///< of the supervisor of applications
  container_context containers;
  runtime::liveness_figures figures;
  std::function<host_offer()> offer = [] { return host_offer{}; }; ///< of this host, as it is known now
  wall_clock clock = wall_clock_ms;
  /// At start nothing is decided before the log was heard from, or this long if no quorum is there: then the host
  /// works from its own copy.
  std::chrono::milliseconds sync_patience{4'000};
  std::chrono::milliseconds retry_after{1'000};
  /// Told of each change of what this host reports; may be empty.
  std::function<void(const instance_report& report)> on_report;
  std::function<void(const std::string& instance)> on_gone;
};

caf::actor spawn_host(caf::local_actor* parent, host_actor_options options);

} // namespace prunella::actors
