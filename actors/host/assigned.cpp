#include "actors/host/assigned.hpp"

#include "actors/names.hpp"

namespace prunella::actors {

const application_plans& assigned_applications::plans(const site_state& state, const instance_table& instances) {
  if (is_made_ && index_ == state.applied_index && give_ups_ == instances.give_ups())
    return plans_;
  std::map<std::string, basis> bases;
  for (const auto& [name, x] : state.assignments)
    if (x.host == place_.host && !instances.has_given_up(name, x.generation))
      bases[application_key(x.tenant, x.application)].assigned.push_back({x.service, x.replica, x.generation});
  application_plans plans;
  for (auto it = bases.begin(); it != bases.end();) {
    auto& [key, x] = *it;
    const auto record = state.applications.find(key);
    if (record == state.applications.end()) {
      it = bases.erase(it);
      continue;
    }
    x.revision = record->second.revision;
    x.created_at = record->second.created_at;
    const auto before = bases_.find(key);
    if (before != bases_.end() && before->second == x) {
      if (auto same = plans_.extract(key))
        plans.insert(std::move(same));
    } else if (auto plan = plan_application(record->second.spec, x.assigned, place_); !plan.instances.empty()) {
      plans.emplace(key, std::move(plan));
    }
    ++it;
  }
  bases_ = std::move(bases);
  plans_ = std::move(plans);
  is_made_ = true;
  index_ = state.applied_index;
  give_ups_ = instances.give_ups();
  return plans_;
}

std::chrono::milliseconds grace_of(const site_state& state, const std::string& instance, const std::string& container) {
  const auto parts = parse_instance_name(instance);
  const auto record = state.applications.find(application_key(parts.tenant, parts.application));
  if (record != state.applications.end())
    for (const auto& service : record->second.spec.services)
      if (service.name == parts.service)
        for (const auto* containers : {&service.containers, &service.init_containers})
          for (const auto& x : *containers)
            if (container_name(instance, x.name) == container)
              return x.grace;
  return config::container_spec{}.grace;
}

std::vector<std::string> known_containers(const site_state& state) {
  std::vector<std::string> names;
  for (const auto& [instance, x] : state.assignments) {
    const auto record = state.applications.find(application_key(x.tenant, x.application));
    if (record == state.applications.end())
      continue;
    for (const auto& service : record->second.spec.services)
      if (service.name == x.service)
        for (const auto* containers : {&service.containers, &service.init_containers})
          for (const auto& container : *containers)
            names.push_back(container_name(instance, container.name));
  }
  return names;
}

} // namespace prunella::actors
