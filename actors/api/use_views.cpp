#include "actors/api/use_views.hpp"

#include <algorithm>
#include <tuple>

#include "actors/site/site_views.hpp"
#include "actors/site/update.hpp"
#include "config/quantity.hpp"

namespace prunella::actors {

namespace {

/// A document may promise what the machine does not have. Some memory is always the kernel's own, so a twentieth is allowed.
std::string warning_of(const config::resources& capacity, const machine_use& machine) {
  if (machine.cpu_millis_total > 0 && capacity.cpu_millis > machine.cpu_millis_total)
    return "its capacity promises " + config::cpu_text(capacity.cpu_millis) + " cores, the machine has "
           + config::cpu_text(machine.cpu_millis_total);
  if (machine.memory_bytes_total > 0 && capacity.memory_bytes > machine.memory_bytes_total / 20 * 21)
    return "its capacity promises " + config::memory_text(capacity.memory_bytes) + " of memory, the machine has "
           + config::memory_text(machine.memory_bytes_total >> 20 << 20);
  return {};
}

/// Null: the site does not know it (any more).
const config::container_spec* spec_of(const site_state& state, const std::string& container) {
  const auto dot = container.rfind('.');
  if (dot == std::string::npos)
    return nullptr;
  const auto placed = state.assignments.find(container.substr(0, dot));
  const auto* service = placed == state.assignments.end() ? nullptr : service_of(state, placed->second);
  if (service == nullptr)
    return nullptr;
  const auto found = std::find_if(service->containers.begin(), service->containers.end(),
                                  [&](const auto& x) { return x.name == container.substr(dot + 1); });
  return found == service->containers.end() ? nullptr : &*found;
}

} // namespace

std::vector<host_use_view> host_use_views(const site_state& state, const host_uses& answers) {
  const auto reserved = reserved_of_hosts(state);
  std::vector<host_use_view> rows;
  for (const auto& [host, answer] : answers) {
    host_use_view row;
    row.host = host;
    row.machine = answer.machine;
    row.containers = static_cast<std::uint32_t>(answer.containers.size());
    if (const auto known = state.hosts.find(host); known != state.hosts.end()) {
      row.capacity = known->second.spec.capacity;
      row.warning = warning_of(row.capacity, answer.machine);
    }
    if (const auto x = reserved.find(host); x != reserved.end())
      row.reserved = x->second.second;
    rows.push_back(std::move(row));
  }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.host < b.host; });
  return rows;
}

std::vector<container_use_view> container_use_views(const site_state& state, const host_uses& answers) {
  std::vector<container_use_view> rows;
  for (const auto& [host, answer] : answers)
    for (const auto& use : answer.containers) {
      const auto* spec = spec_of(state, use.name);
      rows.push_back({host, use, spec ? spec->resources : config::resources{}, spec ? spec->disk_bytes : 0});
    }
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return std::tie(a.use.name, a.host) < std::tie(b.use.name, b.host);
  });
  return rows;
}

} // namespace prunella::actors
