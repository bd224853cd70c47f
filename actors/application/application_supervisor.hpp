#pragma once

// An application plan as supervision: application → instances → containers, with the application's, the service's and
// the container's own rules of restart. Nothing is decided here; see `application_plan.hpp`.
//
// Where it hangs: an application is a `temporary` child of the agent's `applications` supervisor, so that giving up is an
// event (report gave_up at .../applications/tenant.application, child = the instance that needed one restart too many)
// and not an outage of the others. The host actor sends the messages of runtime/supervisor.hpp:
//   start application  start_child{application_child(plan, context)}    to the applications supervisor
//   stop application   terminate_child{application_id(plan.name)}; temporary children are forgotten when they ended
//   start instance     start_child{instance_child(plan, context)}      to the application's supervisor
//   stop instance      terminate_child{instance_id(name)}, delete_child{instance_id(name)}
//   replace            stop, then start

#include <string>
#include <string_view>

#include "actors/application/application_plan.hpp"
#include "actors/instance/container_actor.hpp"
#include "runtime/supervisor.hpp"

namespace prunella::actors {

/// Child ids, the parts of paths: `tenant.application`, `service-N`, `container`. The names must be those of a plan.
std::string application_id(std::string_view application);
std::string instance_id(std::string_view instance);
std::string container_id(std::string_view container);

/// A worker, ready when the driver answered its start. Stopped with its grace and `context.margin`, then killed.
runtime::supervised_child container_child(const container_order& order, const config::restart_spec& restart,
                                          const container_context& context);

/// A supervisor over the instance's containers; more restarts than the service allows and the application restarts it
/// afresh (permanent).
runtime::supervised_child instance_child(const instance_plan& plan, const container_context& context);

/// A supervisor over the application's instances; gives up beyond the application's intensity (temporary). Where instances
/// live and die on their own the containers of the others run on.
runtime::supervised_child application_child(const application_plan& plan, const container_context& context);

} // namespace prunella::actors
