#include "actors/application/reconcile.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>
#include <utility>

namespace prunella::actors {

namespace {

using plan_map = std::map<std::string, const application_plan*>;

plan_map by_name(const std::vector<application_plan>& plans) {
  plan_map map;
  for (const auto& plan : plans)
    if (!plan.instances.empty())
      map[plan.name] = &plan;
  return map;
}

const instance_plan* find(const application_plan& plan, const std::string& instance) {
  const auto found = std::find_if(plan.instances.begin(), plan.instances.end(),
                                  [&](const instance_plan& candidate) { return candidate.name == instance; });
  return found == plan.instances.end() ? nullptr : &*found;
}

bool supervises_alike(const application_plan& a, const application_plan& b) {
  return std::tie(a.strategy, a.intensity, a.period) == std::tie(b.strategy, b.intensity, b.period);
}

/// Whether one process per container can serve both.
bool run_alike(const instance_plan& a, const instance_plan& b) {
  return std::equal(a.containers.begin(), a.containers.end(), b.containers.begin(), b.containers.end(),
                    [](const auto& x, const auto& y) { return x.name == y.name && x.spec_hash == y.spec_hash; });
}

reconcile_action replacement(const std::string& application, const instance_plan& wanted, const instance_plan& runs) {
  if (wanted.generation == runs.generation)
    return {reconcile_step::resupervise_instance, application, wanted.name, "the way it is supervised changed"};
  return {reconcile_step::replace_instance, application, wanted.name,
          "generation " + std::to_string(wanted.generation) + " was assigned, " + std::to_string(runs.generation) + " ran"};
}

void add_stops(const application_plan& wanted, const application_plan& runs, std::vector<reconcile_action>& actions) {
  for (auto instance = runs.instances.rbegin(); instance != runs.instances.rend(); ++instance)
    if (!find(wanted, instance->name))
      actions.push_back(
        {reconcile_step::stop_instance, runs.name, instance->name, "it is no longer assigned to this host"});
}

void add_replacements(const application_plan& wanted, const application_plan& runs,
                      std::vector<reconcile_action>& actions) {
  for (const auto& instance : wanted.instances)
    if (const auto* old = find(runs, instance.name); old && *old != instance)
      actions.push_back(replacement(wanted.name, instance, *old));
}

void add_starts(const application_plan& wanted, const application_plan& runs, std::vector<reconcile_action>& actions) {
  for (const auto& instance : wanted.instances)
    if (!find(runs, instance.name))
      actions.push_back({reconcile_step::start_instance, wanted.name, instance.name, "it was assigned to this host"});
}

} // namespace

std::string_view to_text(reconcile_step step) {
  switch (step) {
    case reconcile_step::stop_application:
      return "stop application";
    case reconcile_step::resupervise_application:
      return "resupervise application";
    case reconcile_step::stop_instance:
      return "stop instance";
    case reconcile_step::resupervise_instance:
      return "resupervise instance";
    case reconcile_step::replace_instance:
      return "replace instance";
    case reconcile_step::start_instance:
      return "start instance";
    case reconcile_step::start_application:
      return "start application";
  }
  return "unknown step";
}

std::vector<reconcile_action> reconcile(const std::vector<application_plan>& desired,
                                        const std::vector<application_plan>& running) {
  const auto wanted = by_name(desired);
  // A running application without instances still has a supervisor to stop or to give instances to.
  plan_map runs;
  for (const auto& plan : running)
    runs[plan.name] = &plan;
  std::vector<reconcile_action> actions;
  std::vector<std::pair<const application_plan*, const application_plan*>> kept; // wanted, runs
  for (const auto& [name, plan] : runs) {
    const auto still = wanted.find(name);
    if (still == wanted.end())
      actions.push_back({reconcile_step::stop_application, name, "", "none of it is assigned to this host any more"});
    else if (supervises_alike(*still->second, *plan))
      kept.emplace_back(still->second, plan);
  }
  for (const auto& [plan, old] : kept)
    add_stops(*plan, *old, actions);
  for (const auto& [name, plan] : wanted)
    if (const auto old = runs.find(name); old != runs.end() && !supervises_alike(*plan, *old->second))
      actions.push_back({reconcile_step::resupervise_application, name, "", "the way it is supervised changed"});
  for (const auto& [plan, old] : kept)
    add_replacements(*plan, *old, actions);
  for (const auto& [plan, old] : kept)
    add_starts(*plan, *old, actions);
  for (const auto& [name, plan] : wanted)
    if (runs.count(name) == 0)
      actions.push_back({reconcile_step::start_application, name, "", "it was assigned to this host"});
  return actions;
}

application_plan in_force(application_plan desired, const std::map<std::string, instance_plan>& started) {
  for (auto& instance : desired.instances) {
    const auto known = started.find(instance.name);
    if (known != started.end() && known->second.generation == instance.generation && !run_alike(known->second, instance))
      instance = known->second;
  }
  return desired;
}

std::vector<recovered_container> unwanted_containers(const std::vector<recovered_container>& recovered,
                                                     const std::map<std::string, application_plan>& desired) {
  std::set<std::pair<std::string, std::uint64_t>> wanted; // container, generation
  for (const auto& [key, application] : desired)
    for (const auto& instance : application.instances)
      for (const auto& container : instance.containers)
        wanted.emplace(container.name, container.generation);
  std::vector<recovered_container> unwanted;
  for (const auto& container : recovered)
    if (wanted.count({container.name, container.generation}) == 0)
      unwanted.push_back(container);
  std::sort(unwanted.begin(), unwanted.end(),
            [](const recovered_container& a, const recovered_container& b) { return a.name < b.name; });
  return unwanted;
}

} // namespace prunella::actors
