#include "actors/host/assigned.hpp"

#include <optional>
#include <set>

#include "actors/names.hpp"
#include "actors/site/update.hpp"

namespace prunella::actors {

const application_plans& assigned_applications::plans(const site_state& state, const instance_table& instances) {
  if (is_made_ && index_ == state.applied_index && give_ups_ == instances.give_ups())
    return plans_;
  std::map<std::string, basis> bases;
  for (const auto& [name, x] : state.assignments)
    if (x.host == place_.host && x.leaves_since == 0 && x.ended == instance_end::none && !instances.has_given_up(name, x.generation)) {
      const auto key = application_key(x.tenant, x.application);
      const auto record = state.applications.find(key);
      const bool is_outdated = record != state.applications.end() && &version_of(record->second, x) != &record->second.spec;
      bases[key].assigned.push_back({x.service, x.replica, x.generation, is_outdated});
    }
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
    } else if (auto plan = plan_application(record->second.spec, x.assigned, place_, record->second.former.spec);
               !plan.instances.empty()) {
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

namespace {

/// Calls `visit` with each container, init or not, of the service of this name in all versions that instances of it may run.
template <class Visit>
void visit_containers(const application_record& record, const std::string& service, Visit visit) {
  for (const auto* spec : {&record.spec, &record.former.spec})
    if (const auto* found = find_service(*spec, service))
      for (const auto* containers : {&found->containers, &found->init_containers})
        for (const auto& container : *containers)
          visit(container);
}

} // namespace

std::chrono::milliseconds grace_of(const site_state& state, const std::string& instance, const std::string& container) {
  const auto parts = parse_instance_name(instance);
  const auto record = state.applications.find(application_key(parts.tenant, parts.application));
  std::optional<std::chrono::milliseconds> grace; // of the present version if it has such a container
  if (record != state.applications.end())
    visit_containers(record->second, parts.service, [&](const config::container_spec& x) {
      if (!grace && container_name(instance, x.name) == container)
        grace = x.grace;
    });
  return grace.value_or(config::container_spec{}.grace);
}

namespace {

template <class Which>
std::vector<std::string> containers_of(const site_state& state, Which is_asked_for) {
  std::set<std::string> names;
  for (const auto& [instance, x] : state.assignments) {
    const auto record = state.applications.find(application_key(x.tenant, x.application));
    if (record == state.applications.end() || !is_asked_for(x))
      continue;
    visit_containers(record->second, x.service,
                     [&, name = &instance](const config::container_spec& container) { names.insert(container_name(*name, container.name)); });
  }
  return {names.begin(), names.end()};
}

} // namespace

std::vector<std::string> known_containers(const site_state& state) {
  return containers_of(state, [](const assignment&) { return true; });
}

std::vector<std::string> assigned_containers(const site_state& state, const std::string& host) {
  return containers_of(state, [&](const assignment& x) { return x.host == host && x.ended == instance_end::none; });
}

} // namespace prunella::actors
