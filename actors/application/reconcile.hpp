#pragma once

// The difference between what a host should run and what it runs, as ordered steps. Pure; the same at start-up, after a
// change and after a reconnect.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "actors/application/application_plan.hpp"
#include "config/fields.hpp"

namespace prunella::actors {

enum class reconcile_step : std::uint8_t {
  stop_application,    ///< and all its instances
  resupervise_application, ///< how it supervises changed: other supervisors over the same containers
  stop_instance,
  resupervise_instance, ///< how it is supervised changed: other actors over the same containers
  replace_instance,     ///< stop it, then start it as planned
  start_instance,
  start_application, ///< and all its instances
};

std::string_view to_text(reconcile_step step);

struct reconcile_action {
  reconcile_step step = reconcile_step::stop_application;
  std::string application; ///< tenant.application
  std::string instance;    ///< tenant.application.service-N; empty for steps on an application
  std::string reason;      ///< for the event journal: "no longer assigned to this host", "its spec changed", …

  PRUNELLA_FIELDS(reconcile_action, step, application, instance, reason)
};

/// What turns `running` into `desired`; empty if nothing has to be done. Both hold each name at most once, in any order;
/// an application without instances counts as not desired. Order: everything that frees resources first (applications
/// by name, instances in reverse order of start), then replacements, then starts in order of start. A step touches only
/// what changed: equal instances are in none, unless the way their application supervises them changed.
/// `desired` must be in force (below): then within a generation an instance changes only in how it is supervised.
std::vector<reconcile_action> reconcile(const std::vector<application_plan>& desired,
                                        const std::vector<application_plan>& running);

/// `desired`, but instances whose containers differ from those that were started in the same generation (`started`, by
/// instance) as they were started: what runs is replaced by a new generation only, which the site gives to one instance after
/// the other.
application_plan in_force(application_plan desired, const std::map<std::string, instance_plan>& started);

/// Containers that run (`recovered`, after a start of the agent) and belong to no desired instance in its generation: to
/// be stopped. Ordered by name.
std::vector<recovered_container> unwanted_containers(const std::vector<recovered_container>& recovered,
                                                     const std::map<std::string, application_plan>& desired);

} // namespace prunella::actors
