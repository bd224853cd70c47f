#include "actors/door/door_plan.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "actors/names.hpp"
#include "config/address.hpp"

namespace prunella::actors {

namespace {

/// A published port and where its backends are listed.
struct published {
  std::uint16_t port = 0; ///< on which the instance listens
  std::size_t service = 0; ///< in the plan
};

/// By (key of the application, service).
using published_ports = std::multimap<std::pair<std::string, std::string>, published>;

published_ports list_services(const site_state& state, net::door_plan& plan) {
  published_ports result;
  std::set<std::pair<std::uint16_t, config::port_protocol>> taken;
  for (const auto& [key, record] : state.applications)
    for (const auto& service : record.spec.services)
      for (const auto& container : service.containers)
        for (const auto& port : container.ports) {
          if (port.publish == 0 || !taken.insert({port.publish, port.protocol}).second)
            continue;
          result.emplace(std::pair{key, service.name}, published{port.port, plan.services.size()});
          plan.services.push_back({key + '.' + service.name, port.publish, port.protocol, port.publish_on, {}});
        }
  return result;
}

bool is_own_ready(const door_knowledge& x, const std::string& instance, std::uint64_t generation) {
  const auto report = x.own.find(instance);
  return report != x.own.end() && report->second.generation == generation && is_ready(report->second);
}

std::vector<std::string> addresses_of(const door_knowledge& x, std::uint16_t port) {
  std::vector<std::string> result;
  for (const auto& host : x.own_addresses)
    result.push_back(config::address_text({host, port}));
  return result;
}

} // namespace

ready_table merged(const ready_table& known, ready_table next) {
  if (next.revision == 0)
    return known;
  const std::set<std::string> silent(next.silent.begin(), next.silent.end());
  for (const auto& x : known.ready)
    if (silent.count(x.host) != 0)
      next.ready.push_back(x);
  std::sort(next.ready.begin(), next.ready.end(),
            [](const auto& a, const auto& b) { return a.instance < b.instance; });
  for (const auto& x : known.doors)
    if (std::none_of(next.doors.begin(), next.doors.end(), [&](const auto& y) { return y.host == x.host; }))
      next.doors.push_back(x);
  return next;
}

net::door_plan make_door_plan(const door_knowledge& x) {
  net::door_plan plan;
  const auto ports = list_services(x.state, plan);
  std::map<std::string, const ready_instance*> elsewhere;
  if (!ports.empty())
    for (const auto& ready : x.table.ready)
      elsewhere[ready.instance] = &ready;
  if (!ports.empty())
    for (const auto& [name, assigned] : x.state.assignments) {
      const auto range = ports.equal_range({application_key(assigned.tenant, assigned.application), assigned.service});
      if (range.first == range.second)
        continue;
      const auto ready = elsewhere.find(name);
      const bool is_local = assigned.host == x.host;
      const bool is_there = !is_local && ready != elsewhere.end() && ready->second->host != x.host
                            && ready->second->generation >= assigned.generation;
      if (is_local ? !is_own_ready(x, name, assigned.generation) : !is_there)
        continue;
      const auto& host = is_local ? x.host : ready->second->host;
      const auto record = x.state.hosts.find(host);
      if (!is_local && (record == x.state.hosts.end() || !record->second.up))
        continue;
      for (auto it = range.first; it != range.second; ++it)
        plan.services[it->second.service].backends.push_back(
          {name, is_local ? assigned.generation : ready->second->generation, host,
           is_local ? addresses_of(x, it->second.port) : std::vector<std::string>{}});
    }
  for (const auto& [id, record] : x.state.hosts)
    if (id != x.host)
      plan.peers[id] = {{}, !record.up};
  for (const auto& door : x.table.doors)
    if (const auto peer = plan.peers.find(door.host); peer != plan.peers.end())
      peer->second.tunnel = door.address;
  return plan;
}

} // namespace prunella::actors
