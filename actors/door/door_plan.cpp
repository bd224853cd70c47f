#include "actors/door/door_plan.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "actors/names.hpp"
#include "actors/site/service_ports.hpp"
#include "config/address.hpp"

namespace prunella::actors {

namespace {

/// A port of a service and where its backends are listed.
struct served {
  std::uint16_t port = 0;  ///< on which the instance listens
  std::size_t service = 0; ///< in the plan
};

/// By (key of the application, service).
using served_ports = std::multimap<std::pair<std::string, std::string>, served>;

using port_set = std::set<std::pair<std::uint16_t, config::port_protocol>>;

/// On which instances in this host's own network listen. Most do so on all of its addresses, and then nobody else may on any.
port_set host_ports(const door_knowledge& x) {
  port_set result;
  for (const auto& [name, assigned] : x.state.assignments) {
    if (assigned.host != x.host || assigned.ended != instance_end::none)
      continue;
    const auto record = x.state.applications.find(application_key(assigned.tenant, assigned.application));
    if (record == x.state.applications.end())
      continue;
    for (const auto& service : record->second.spec.services)
      if (service.name == assigned.service && service.network == config::instance_network::host)
        for (const auto& container : service.containers)
          for (const auto& port : container.ports)
            result.insert({port.port, port.protocol});
  }
  return result;
}

/// By (key of the application, service): how many of its instances have ended, and wait for nothing.
std::map<std::pair<std::string, std::string>, std::uint32_t> count_ended(const site_state& state) {
  std::map<std::pair<std::string, std::string>, std::uint32_t> result;
  for (const auto& [name, assigned] : state.assignments)
    if (assigned.ended == instance_end::finished || assigned.ended == instance_end::failed)
      ++result[{application_key(assigned.tenant, assigned.application), assigned.service}];
  return result;
}

/// A service of which nothing runs or is to run is not listened for: who comes is refused at once, and does not wait for an instance.
served_ports list_services(const door_knowledge& x, net::door_plan& plan) {
  served_ports result;
  port_set taken;
  const auto ended = count_ended(x.state);
  const bool has_names = uses_names(x.state);
  const auto listened_on = has_names ? host_ports(x) : port_set{};
  for (const auto& [key, record] : x.state.applications)
    for (const auto& service : record.spec.services) {
      const auto over = ended.find({key, service.name});
      const bool is_wanted = service.replicas > (over == ended.end() ? 0 : over->second);
      for (const auto& container : service.containers)
        for (const auto& port : container.ports) {
          const auto add = [&](net::door_service served_here) {
            served_here.name = key + '.' + service.name;
            served_here.protocol = port.protocol;
            served_here.target = port.port;
            result.emplace(std::pair{key, service.name}, served{port.port, plan.services.size()});
            plan.services.push_back(std::move(served_here));
          };
          if (port.publish != 0 && is_wanted && taken.insert({port.publish, port.protocol}).second) {
            net::door_service published;
            published.port = port.publish;
            published.scope = port.publish_on;
            add(std::move(published));
          }
          if (!has_names)
            continue;
          net::door_service named;
          named.port = port.port;
          named.is_named = true;
          const auto known = x.service_addresses.find(key + '.' + service.name);
          if (is_wanted && known != x.service_addresses.end() && listened_on.count({port.port, port.protocol}) == 0)
            named.address = known->second;
          add(std::move(named));
        }
    }
  return result;
}

bool is_own_ready(const door_knowledge& x, const std::string& instance, std::uint64_t generation) {
  const auto draining = x.draining.find(instance);
  if (draining != x.draining.end() && draining->second >= generation)
    return false;
  const auto report = x.own.find(instance);
  return report != x.own.end() && report->second.generation == generation && is_ready(report->second);
}

/// An instance with a network of its own is only there.
std::vector<std::string> addresses_of(const door_knowledge& x, const std::string& instance, std::uint16_t port) {
  if (const auto report = x.own.find(instance); report != x.own.end() && !report->second.address.empty())
    return {config::address_text({report->second.address, port})};
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
  const auto ports = list_services(x, plan);
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
           is_local ? addresses_of(x, name, it->second.port) : std::vector<std::string>{}});
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
