#pragma once

// How running instances come to a changed spec. What needs no restart (replicas, placement, labels, grace, reservations, how
// it is supervised) applies to them as they run. The rest takes a new generation of each instance, which the site gives to
// one after the other. Pure.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// Whether what runs as `before` has to be started anew to be as `after` (`made_anew_for`).
bool needs_restart(const config::service_spec& before, const config::service_spec& after);

/// The service of this name; null: there is none.
const config::service_spec* find_service(const config::application_spec& spec, const std::string& name);

/// What an instance with this assignment runs: the present spec, or while it is outdated the one before. (One that is older
/// than that runs as it was started, and is started with the present spec if it has to be.)
const config::application_spec& version_of(const application_record& record, const assignment& x);

/// What the site decided about the images of `version_of`.
const image_digests& digests_of(const application_record& record, const assignment& x);

/// The service of `version_of` that an assignment is of; null: what is deployed has none such.
const config::service_spec* service_of(const site_state& state, const assignment& x);

/// Whether an instance of `service` that came to this end is left at it. Else it begins anew: the service has become one that
/// is started again however it ended, or unless it ended well.
bool is_final(instance_end how, const config::service_spec& service);

/// How an instance was seen, as it is assigned.
enum class seen_as : std::uint8_t {
  away,   ///< it does not run, or takes no traffic, or nobody knows
  fresh,  ///< it is ready, and has not been so for the `healthy_time` of its service
  steady, ///< it is ready, and has been so for that long
};

/// Asked only about services with outdated instances.
using sight = std::function<seen_as(const std::string& instance, const assignment& x, const config::update_spec& update)>;

/// An instance of a service and its assignment; null: never placed.
using assigned_replica = const std::pair<const std::string, assignment>*;

/// Of the replicas of a service those that are to be updated now, by their place in `replicas`: among those with a host that
/// do not run revision `changed_at`, all that are away anyway, and of those that run as many as leave no more than
/// `update.parallel` of the service away, or updated and fresh; one that gave up everywhere counts as away until it may be tried again. So the next ones wait until
/// those before them have run for `healthy_time`, and a spec that does not run comes no further. A service whose instances may
/// end for good (not `permanent`) is updated at once, as nobody can wait until they run. Ascending.
std::vector<std::size_t> to_update(const std::vector<assigned_replica>& replicas, const config::service_spec& service,
                                   std::uint64_t changed_at, time_ms now, const sight& seen);

/// Whether placement avoids a host for what it did there; what has no host and waits for nothing of the kind fits nowhere.
bool is_avoided_somewhere(const assignment& x, time_ms now);

/// Whether `replica` has a host, does not leave it, and does not run revision `changed_at`.
bool is_outdated(assigned_replica replica, std::uint64_t changed_at);

} // namespace prunella::actors
