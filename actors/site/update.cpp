#include "actors/site/update.hpp"

#include <algorithm>

#include "actors/application/application_plan.hpp"
#include "actors/names.hpp"

namespace prunella::actors {

bool needs_restart(const config::service_spec& before, const config::service_spec& after) {
  const auto differ = [](const std::vector<config::container_spec>& a, const std::vector<config::container_spec>& b) {
    return !std::equal(a.begin(), a.end(), b.begin(), b.end(),
                       [](const auto& x, const auto& y) { return made_anew_for(x) == made_anew_for(y); });
  };
  return before.network != after.network || differ(before.containers, after.containers)
         || differ(before.init_containers, after.init_containers);
}

const config::service_spec* find_service(const config::application_spec& spec, const std::string& name) {
  const auto found = std::find_if(spec.services.begin(), spec.services.end(), [&](const auto& x) { return x.name == name; });
  return found == spec.services.end() ? nullptr : &*found;
}

namespace {

bool runs_former(const application_record& record, const assignment& x) {
  const auto runs = [&](const std::map<std::string, std::uint64_t>& changed_at) {
    const auto found = changed_at.find(x.service);
    return found != changed_at.end() && found->second == x.revision;
  };
  return !runs(record.changed_at) && record.former.revision != 0 && runs(record.former.changed_at);
}

} // namespace

const config::application_spec& version_of(const application_record& record, const assignment& x) {
  return runs_former(record, x) ? record.former.spec : record.spec;
}

const image_digests& digests_of(const application_record& record, const assignment& x) {
  return runs_former(record, x) ? record.former.images : record.images;
}

const config::service_spec* service_of(const site_state& state, const assignment& x) {
  const auto record = state.applications.find(application_key(x.tenant, x.application));
  return record == state.applications.end() ? nullptr : find_service(version_of(record->second, x), x.service);
}

bool is_final(instance_end how, const config::service_spec& service) {
  const auto type = service.restart.type;
  return how == instance_end::finished ? type != config::restart_type::permanent
                                       : how == instance_end::failed && type == config::restart_type::temporary;
}

bool is_avoided_somewhere(const assignment& x, time_ms now) {
  return std::any_of(x.avoided.begin(), x.avoided.end(), [&](const avoided_host& host) { return now < host.until; });
}

bool is_outdated(assigned_replica replica, std::uint64_t changed_at) {
  return replica != nullptr && !replica->second.host.empty() && replica->second.leaves_since == 0
         && replica->second.revision != changed_at;
}

std::vector<std::size_t> to_update(const std::vector<assigned_replica>& replicas, const config::service_spec& service,
                                   std::uint64_t changed_at, time_ms now, const sight& seen) {
  std::vector<std::size_t> outdated;
  for (std::size_t i = 0; i < replicas.size(); ++i)
    if (is_outdated(replicas[i], changed_at))
      outdated.push_back(i);
  if (outdated.empty() || service.restart.type != config::restart_type::permanent)
    return outdated;
  std::vector<seen_as> states(replicas.size(), seen_as::steady); // what was never placed, or fits nowhere, holds nothing up
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    const auto* x = replicas[i];
    if (x != nullptr && !x->second.host.empty())
      states[i] = seen(x->first, x->second, service.update);
    else if (x != nullptr && is_avoided_somewhere(x->second, now))
      states[i] = seen_as::away;
    if (states[i] == seen_as::fresh && is_outdated(x, changed_at))
      states[i] = seen_as::steady; // how long the old one runs tells nothing about the new one
  }
  auto unsteady = static_cast<std::size_t>(
    std::count_if(states.begin(), states.end(), [](seen_as x) { return x != seen_as::steady; }));
  std::vector<std::size_t> due;
  for (const auto i : outdated)
    if (states[i] == seen_as::away || (states[i] == seen_as::steady && unsteady++ < service.update.parallel))
      due.push_back(i);
  return due;
}

} // namespace prunella::actors
