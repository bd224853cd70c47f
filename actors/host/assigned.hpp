#pragma once

// What the site assigned to one host, as plans. Pure.

#include <map>
#include <string>

#include "actors/application/application_plan.hpp"
#include "actors/host/instance_table.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// By application. Instances that gave up here in their present generation are left out: the site decides about them.
std::map<std::string, application_plan> assigned_plans(const site_state& state, const plan_place& place,
                                                       const instance_table& instances);

} // namespace prunella::actors
