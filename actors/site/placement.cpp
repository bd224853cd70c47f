#include "actors/site/placement.hpp"

#include <algorithm>
#include <tuple>

#include "actors/names.hpp"
#include "config/label_expression.hpp"

namespace prunella::actors {

namespace {

std::string service_key(const config::application_spec& application, const std::string& service) {
  return application_key(application.tenant, application.name) + '/' + service;
}

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

/// Services of `application` that must not share a host with `service`; the rule holds in both directions.
std::vector<std::string> foes_of(const config::application_spec& application, const config::service_spec& service) {
  std::vector<std::string> result;
  for (const auto& other : application.services)
    if (contains(service.placement.anti_affinity, other.name) || contains(other.placement.anti_affinity, service.name))
      result.push_back(service_key(application, other.name));
  return result;
}

/// Reserved share of the scarcer of cpu and memory in thousandths, if `wants` went there too.
std::int64_t reserved_share(const config::resources& capacity, const config::resources& free,
                            const config::resources& wants) {
  const auto share = [](std::int64_t total, std::int64_t left) { return total <= 0 ? 0 : (total - left) * 1000 / total; };
  return std::max(share(capacity.cpu_millis, free.cpu_millis - wants.cpu_millis),
                  share(capacity.memory_bytes / 1024, (free.memory_bytes - wants.memory_bytes) / 1024));
}

} // namespace

std::string to_text(rejection why, const config::service_spec& service) {
  switch (why) {
  case rejection::down: return "down";
  case rejection::labels: return "not matching the labels `" + service.placement.match_host_labels + '`';
  case rejection::avoided: return "avoided because it gave up there";
  case rejection::anti_affinity: return "holding a service that it must not share a host with";
  case rejection::port: return "with a port it needs already reserved";
  case rejection::cpu: return "with too little cpu left";
  case rejection::memory: return "with too little memory left";
  }
  return "rejected";
}

std::string explain(const rejection_counts& counts, const config::service_spec& service) {
  std::uint32_t hosts = 0;
  std::string list;
  for (std::size_t i = 0; i < rejection_count; ++i) {
    hosts += counts[i];
    if (counts[i] != 0)
      list += (list.empty() ? ": " : ", ") + std::to_string(counts[i]) + ' ' + to_text(static_cast<rejection>(i), service);
  }
  return "0 of " + std::to_string(hosts) + " hosts fit" + list;
}

placement_board::placement_board(const site_state& state) {
  slots_.reserve(state.hosts.size());
  for (const auto& [id, host] : state.hosts)
    slots_.push_back({&host, host.spec.capacity, 0, {}, {}});
}

placement_board::demand& placement_board::demand_of(const wanted_instance& instance) {
  const auto key = service_key(*instance.application, instance.service->name);
  auto [it, is_new] = demands_.try_emplace(key);
  auto& wants = it->second;
  if (!is_new)
    return wants;
  wants.key = key;
  for (const auto& container : instance.service->containers) {
    wants.resources.cpu_millis += container.resources.cpu_millis;
    wants.resources.memory_bytes += container.resources.memory_bytes;
    for (const auto& port : container.ports)
      wants.ports.emplace_back(port.port, port.protocol);
  }
  wants.foes = foes_of(*instance.application, *instance.service);
  // An expression that does not parse was refused when the application was applied; if one is here, it matches nothing.
  const auto parsed = config::parse_label_expression(instance.service->placement.match_host_labels);
  wants.label_match.reserve(slots_.size());
  for (const auto& at : slots_)
    wants.label_match.push_back(parsed.error.empty() && parsed.expression.matches(at.host->spec.labels));
  return wants;
}

const std::string& placement_board::domain_of(const slot& at, const config::service_spec& service) const {
  if (service.placement.spread_by.empty())
    return at.host->spec.id;
  static const std::string unlabelled;
  auto it = at.host->spec.labels.find(service.placement.spread_by);
  return it == at.host->spec.labels.end() ? unlabelled : it->second;
}

std::optional<rejection> placement_board::check_slot(const wanted_instance& instance, const demand& wants,
                                                     std::size_t index, time_ms now) const {
  const auto& at = slots_[index];
  if (!at.host->up)
    return rejection::down;
  if (!wants.label_match[index])
    return rejection::labels;
  if (instance.avoided != nullptr)
    for (const auto& avoided : *instance.avoided)
      if (avoided.host == at.host->spec.id && now < avoided.until)
        return rejection::avoided;
  for (const auto& foe : wants.foes)
    if (at.services.find(foe) != at.services.end())
      return rejection::anti_affinity;
  for (const auto& port : wants.ports)
    if (at.ports.find(port) != at.ports.end())
      return rejection::port;
  if (at.free.cpu_millis < wants.resources.cpu_millis)
    return rejection::cpu;
  if (at.free.memory_bytes < wants.resources.memory_bytes)
    return rejection::memory;
  return std::nullopt;
}

std::size_t placement_board::find(const std::string& host) const {
  auto it = std::lower_bound(slots_.begin(), slots_.end(), host,
                             [](const slot& at, const std::string& id) { return at.host->spec.id < id; });
  return it == slots_.end() || it->host->spec.id != host ? slots_.size()
                                                         : static_cast<std::size_t>(it - slots_.begin());
}

std::optional<rejection> placement_board::check(const wanted_instance& instance, const std::string& host, time_ms now) {
  const auto index = find(host);
  return index == slots_.size() ? rejection::down : check_slot(instance, demand_of(instance), index, now);
}

void placement_board::occupy(const wanted_instance& instance, const std::string& host) {
  const auto index = find(host);
  if (index == slots_.size())
    return;
  auto& at = slots_[index];
  auto& wants = demand_of(instance);
  at.free.cpu_millis -= wants.resources.cpu_millis;
  at.free.memory_bytes -= wants.resources.memory_bytes;
  at.ports.insert(wants.ports.begin(), wants.ports.end());
  ++at.instances;
  ++at.services[wants.key];
  ++wants.in_domain[domain_of(at, *instance.service)];
}

placement_result placement_board::choose(const wanted_instance& instance, time_ms now) {
  const auto& wants = demand_of(instance);
  placement_result result;
  using rank = std::tuple<std::uint32_t, std::uint32_t, std::int64_t, std::uint32_t>;
  rank best{};
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const auto& at = slots_[i];
    if (const auto why = check_slot(instance, wants, i, now)) {
      ++result.rejected[static_cast<std::size_t>(*why)];
      continue;
    }
    const auto domain = wants.in_domain.find(domain_of(at, *instance.service));
    const auto here = at.services.find(wants.key);
    const rank score{domain == wants.in_domain.end() ? 0 : domain->second, here == at.services.end() ? 0 : here->second,
                     reserved_share(at.host->spec.capacity, at.free, wants.resources), at.instances};
    if (result.host.empty() || score < best) {
      best = score;
      result.host = at.host->spec.id;
    }
  }
  return result;
}

} // namespace prunella::actors
