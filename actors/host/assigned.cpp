#include "actors/host/assigned.hpp"

#include "actors/names.hpp"

namespace prunella::actors {

std::map<std::string, application_plan> assigned_plans(const site_state& state, const plan_place& place,
                                                       const instance_table& instances) {
  std::map<std::string, std::vector<assigned_instance>> by_application;
  for (const auto& [name, x] : state.assignments)
    if (x.host == place.host && !instances.has_given_up(name, x.generation))
      by_application[application_key(x.tenant, x.application)].push_back({x.service, x.replica, x.generation});
  std::map<std::string, application_plan> plans;
  for (const auto& [key, assigned] : by_application) {
    const auto record = state.applications.find(key);
    if (record == state.applications.end())
      continue;
    auto plan = plan_application(record->second.spec, assigned, place);
    if (!plan.instances.empty())
      plans.emplace(key, std::move(plan));
  }
  return plans;
}

std::chrono::milliseconds grace_of(const site_state& state, const std::string& instance, const std::string& container) {
  const auto parts = parse_instance_name(instance);
  const auto record = state.applications.find(application_key(parts.tenant, parts.application));
  if (record != state.applications.end())
    for (const auto& service : record->second.spec.services)
      if (service.name == parts.service)
        for (const auto& x : service.containers)
          if (container_name(instance, x.name) == container)
            return x.grace;
  return config::container_spec{}.grace;
}

} // namespace prunella::actors
