#pragma once

// What the site assigned to one host, as plans. Pure.

#include <chrono>
#include <map>
#include <string>

#include "actors/application/application_plan.hpp"
#include "actors/host/instance_table.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// By application. Instances that gave up here in their present generation are left out: the site decides about them.
std::map<std::string, application_plan> assigned_plans(const site_state& state, const plan_place& place,
                                                       const instance_table& instances);

/// How long `container` of `instance` may take to end: what its application asks for now, wherever it runs; the default of
/// a container if there is no such application any more.
std::chrono::milliseconds grace_of(const site_state& state, const std::string& instance, const std::string& container);

} // namespace prunella::actors
