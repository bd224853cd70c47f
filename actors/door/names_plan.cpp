#include "actors/door/names_plan.hpp"

#include <set>

#include "actors/fnv1a.hpp"
#include "actors/names.hpp"
#include "actors/site/service_ports.hpp"

namespace prunella::actors {

service_addresses place_services(const site_state& state, const config::ipv4_network& range, const service_addresses& before) {
  service_addresses result;
  if (!uses_names(state) || range.length > 30)
    return result;
  std::set<std::uint32_t> taken;
  std::set<std::string> waiting;
  for (const auto& [application, service] : reached_services(state)) {
    const auto name = application + '.' + service;
    const auto known = before.find(name);
    if (known != before.end() && range.holds(known->second) && taken.insert(known->second).second)
      result.insert(*known);
    else
      waiting.insert(name);
  }
  const auto size = (std::uint32_t{1} << (32 - range.length)) - 2;
  for (const auto& name : waiting) {
    if (taken.size() == size)
      break;
    auto at = fnv1a(name) % size;
    while (!taken.insert(range.base + 1 + at).second)
      at = (at + 1) % size;
    result[name] = range.base + 1 + at;
  }
  return result;
}

net::name_table make_name_table(const site_state& state, const service_addresses& addresses,
                                const std::map<std::string, instance_report>& own) {
  net::name_table table;
  for (const auto& [key, record] : state.applications) {
    const auto& spec = record.spec;
    auto& application = table.tenants[spec.tenant][spec.name]; // also without a service: nobody else knows its names
    for (const auto& service : spec.services) {
      const auto placed = addresses.find(key + '.' + service.name);
      if (placed == addresses.end())
        continue;
      auto& named = application[service.name];
      named.address = placed->second;
      for (const auto& container : service.containers)
        for (const auto& port : container.ports)
          named.ports.push_back({port.name, port.protocol, port.port});
    }
  }
  for (const auto& [instance, report] : own) {
    const auto address = config::parse_ipv4(report.address);
    const auto assigned = state.assignments.find(instance);
    if (address && assigned != state.assignments.end())
      table.tenant_of[*address] = assigned->second.tenant;
  }
  return table;
}

} // namespace prunella::actors
