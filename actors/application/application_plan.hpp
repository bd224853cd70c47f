#pragma once

// What this host should run of an application, as data: the supervision tree application → instances → containers with
// everything a container needs. Pure: the application actor (`application_supervisor.hpp`) only turns it into actors.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "actors/instance/driver.hpp"
#include "config/fields.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

/// An instance that the site assigned to this host.
struct assigned_instance {
  std::string service;
  std::uint32_t replica = 0; ///< from 1
  std::uint64_t generation = 0;
  bool is_outdated = false; ///< it waits for its update and runs the version before

  PRUNELLA_FIELDS(assigned_instance, service, replica, generation, is_outdated)
};

/// One instance supervisor and its containers. Two equal plans need no restart between them.
struct instance_plan {
  std::string name; ///< tenant.application.service-N
  std::string service;
  std::uint32_t replica = 0;
  std::uint64_t generation = 0;
  config::restart_strategy strategy = config::restart_strategy::one_for_one; ///< over the containers
  config::restart_spec restart;                                              ///< of each container
  std::chrono::milliseconds drain{0};
  std::vector<container_order> containers; ///< in their order of start, init containers first

  PRUNELLA_FIELDS(instance_plan, name, service, replica, generation, strategy, restart, drain, containers)
};

/// One application supervisor.
struct application_plan {
  std::string name; ///< tenant.application
  config::restart_strategy strategy = config::restart_strategy::one_for_one; ///< over the instances on this host
  std::uint32_t intensity = 3;
  std::chrono::milliseconds period{60'000};
  std::vector<instance_plan> instances; ///< in order of start: as the spec lists the services, then by replica

  PRUNELLA_FIELDS(application_plan, name, strategy, intensity, period, instances)
};

/// Where the plan is for; becomes variables of the containers.
struct plan_place {
  std::string site;
  std::string host;
  std::string address{}; ///< of the host, without a port
};

/// The plan of `spec` for the instances assigned to this host. Assignments whose service the spec does not have (any
/// more) are left out: nothing says what to run for them. Duplicates count once, with the highest generation. `former`: what
/// outdated instances run; without it they run `spec`.
application_plan plan_application(const config::application_spec& spec, const std::vector<assigned_instance>& assigned,
                                  const plan_place& place, const config::application_spec& former = {});

/// The variables the agent sets for each container of an instance: PRUNELLA_SITE, _HOST, _ADDRESS, _TENANT, _APPLICATION, _SERVICE,
/// _INSTANCE (its full name), _REPLICA, _GENERATION, _CONTAINER (its full name), and PRUNELLA_PORT_<NAME> for each port of
/// the instance's containers (upper case, `-` as `_`; of two with one name the own container's, else the first).
std::map<std::string, std::string> agent_variables(const config::application_spec& spec,
                                                   const config::service_spec& service,
                                                   const config::container_spec& container,
                                                   const assigned_instance& assigned, const plan_place& place);

/// The part of `spec` that a running container cannot change to: without grace, probes, the bounds of its log and disk, published
/// ports, and what a plain process only reserves. Containers whose parts differ have to be made anew.
config::container_spec made_anew_for(config::container_spec spec);

/// 32 hex digits that are equal for orders which one running container can serve: they cover command, environment,
/// working directory, and what a container of an image is made with (limits too). A driver asked for another grace, or for
/// another reservation of a plain process, adopts what runs.
std::string hash_of(const container_order& order);

} // namespace prunella::actors
