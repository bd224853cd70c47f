#include "actors/site/site_views.hpp"

#include <algorithm>
#include <chrono>
#include <set>

#include "actors/names.hpp"
#include "actors/site/membership.hpp"
#include "config/time.hpp"

namespace prunella::actors {

namespace {

void copy_report(instance_view& row, const instance_report& report) {
  row.state = to_text(report.phase);
  row.restarts = report.restarts;
  row.pid = report.pid;
  row.started_at = time_text_of(report.started_at);
  row.reason = report.reason;
  row.containers = report.containers;
}

instance_view assigned_row(const std::string& name, const assignment& x, const site_state& state,
                           const observations& seen, const std::string& only_host) {
  instance_view row;
  row.name = name;
  row.application = x.application;
  row.service = x.service;
  row.replica = x.replica;
  row.host = x.host;
  row.generation = x.generation;
  row.state = "pending";
  if (x.host.empty()) {
    row.state = x.avoided.empty() ? "pending" : "failed";
    row.reason = x.reason;
    return row;
  }
  const auto host = state.hosts.find(x.host);
  if (host == state.hosts.end() || !host->second.up) {
    row.reason = x.host + " is down";
    return row;
  }
  const auto* report = seen.find(x.host, name);
  if (!only_host.empty() && x.host != only_host)
    row.reason = "not known: no leader answers, and " + x.host + " reports only to the leader";
  else if (report == nullptr || report->generation != x.generation)
    row.reason = "waiting for " + x.host + " to take it up";
  else
    copy_report(row, *report);
  return row;
}

/// Key of the application that an instance belongs to.
std::string key_of(const std::string& instance) {
  const auto parts = parse_instance_name(instance);
  return application_key(parts.tenant, parts.application);
}

std::string state_of(const std::vector<const instance_view*>& instances, std::string& reason) {
  std::size_t running = 0;
  std::size_t starting = 0;
  const instance_view* worst = nullptr;
  for (const auto* x : instances) {
    running += x->state == "running" ? 1 : 0;
    starting += x->state == "starting" ? 1 : 0;
    if (x->state == "failed" || (worst == nullptr && !x->reason.empty() && x->state != "running"))
      worst = x;
  }
  if (running == instances.size())
    return "running";
  if (worst != nullptr)
    reason = worst->name + ": " + worst->reason;
  if (worst != nullptr && worst->state == "failed")
    return "failed";
  if (running > 0)
    return "degraded";
  return starting > 0 ? "starting" : "pending";
}

} // namespace

std::string time_text_of(time_ms at) {
  // Any number may come from another host; the clock counts nanoseconds, which end in 1677 and 2262.
  constexpr auto most = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::duration::max()).count();
  if (at == 0 || at > most || at < -most)
    return {};
  return config::time_text(std::chrono::system_clock::time_point{std::chrono::milliseconds{at}});
}

std::vector<host_view> host_views(const site_state& state, const std::string& leader, const std::string& only_host) {
  std::vector<config::host_spec> specs;
  for (const auto& [id, host] : state.hosts)
    specs.push_back(host.spec);
  const auto controllers = controllers_of(specs);
  std::vector<host_view> rows;
  for (const auto& [id, host] : state.hosts) {
    host_view row;
    row.id = id;
    row.state = host.up ? "up" : "down";
    const bool votes = std::binary_search(controllers.begin(), controllers.end(), id);
    row.role = id == leader ? "leader" : votes ? "controller" : "follower";
    row.address = host.spec.address;
    row.labels = host.spec.labels;
    row.capacity = host.spec.capacity;
    row.reason = host.reason;
    if (id == only_host) {
      row.state = "up";
      row.reason.clear();
    } else if (!only_host.empty()) {
      row.reason = "no leader answers; it was " + row.state + " when the site last decided";
      row.state = "unknown";
    }
    for (const auto& [name, x] : state.assignments) {
      if (x.host != id)
        continue;
      ++row.instances;
      const auto application = state.applications.find(application_key(x.tenant, x.application));
      if (application == state.applications.end())
        continue;
      for (const auto& service : application->second.spec.services)
        if (service.name == x.service)
          for (const auto& container : service.containers) {
            row.reserved.cpu_millis += container.resources.cpu_millis;
            row.reserved.memory_bytes += container.resources.memory_bytes;
          }
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<instance_view> instance_views(const site_state& state, const observations& seen,
                                          const std::string& application, const std::string& only_host) {
  std::map<std::string, instance_view> rows;
  for (const auto& [name, x] : state.assignments)
    if (application.empty() || key_of(name) == application)
      rows.emplace(name, assigned_row(name, x, state, seen, only_host));
  for (const auto& [key, record] : state.applications) {
    if (!application.empty() && key != application)
      continue;
    for (const auto& service : record.spec.services)
      for (std::uint32_t replica = 1; replica <= service.replicas; ++replica) {
        auto name = instance_name(record.spec.tenant, record.spec.name, service.name, replica);
        if (rows.count(name) != 0)
          continue;
        instance_view row;
        row.name = name;
        row.application = record.spec.name;
        row.service = service.name;
        row.replica = replica;
        row.state = "pending";
        row.reason = "waiting to be placed";
        rows.emplace(std::move(name), std::move(row));
      }
  }
  for (const auto& [id, host] : state.hosts)
    if (host.up)
      for (const auto& report : seen.of_host(id)) {
        if (rows.count(report.instance) != 0 || (!application.empty() && key_of(report.instance) != application))
          continue;
        const auto parts = parse_instance_name(report.instance);
        instance_view row;
        row.name = report.instance;
        row.application = parts.application;
        row.service = parts.service;
        row.replica = parts.replica;
        row.host = id;
        row.generation = report.generation;
        copy_report(row, report);
        row.state = "stopping";
        rows.emplace(report.instance, std::move(row));
      }
  std::vector<instance_view> result;
  result.reserve(rows.size());
  for (auto& [name, row] : rows)
    result.push_back(std::move(row));
  return result;
}

std::vector<application_view> application_views(const site_state& state, const observations& seen,
                                                const std::string& application, const std::string& only_host) {
  const auto instances = instance_views(state, seen, application, only_host);
  std::vector<application_view> rows;
  for (const auto& [key, record] : state.applications) {
    if (!application.empty() && key != application)
      continue;
    application_view row;
    row.name = record.spec.name;
    row.tenant = record.spec.tenant;
    row.version = record.spec.version;
    row.revision = record.revision;
    row.updated_at = time_text_of(record.updated_at);
    std::vector<const instance_view*> own;
    for (const auto& x : instances)
      if (x.state != "stopping" && key_of(x.name) == key)
        own.push_back(&x);
    for (const auto& service : record.spec.services) {
      service_view s{service.name, service.replicas, 0};
      for (const auto* x : own)
        s.running += x->service == service.name && x->state == "running" ? 1 : 0;
      row.services.push_back(std::move(s));
    }
    row.state = state_of(own, row.reason);
    rows.push_back(std::move(row));
  }
  return rows;
}

void fill_status(status_view& status, const site_state& state, const observations& seen, const std::string& only_host) {
  status.site = state.site.name;
  status.hosts = static_cast<std::uint32_t>(state.hosts.size());
  status.applications = static_cast<std::uint32_t>(state.applications.size());
  status.hosts_up = 0;
  status.instances = 0;
  status.instances_running = 0;
  std::string trouble;
  for (const auto& [id, host] : state.hosts) {
    status.hosts_up += (only_host.empty() ? host.up : id == only_host) ? 1 : 0;
    if (!host.up && trouble.empty())
      trouble = id + " is down: " + host.reason;
  }
  for (const auto& x : instance_views(state, seen, {}, only_host)) {
    if (x.state == "stopping")
      continue;
    ++status.instances;
    status.instances_running += x.state == "running" ? 1 : 0;
    if (x.state != "running" && trouble.empty())
      trouble = x.name + " is " + x.state + (x.reason.empty() ? std::string{} : ": " + x.reason);
  }
  status.health = !status.quorum ? "no-quorum" : trouble.empty() ? "healthy" : "degraded";
  status.reason = status.quorum ? trouble
                                : "more than half of the site's controllers must reach each other to elect one. What "
                                  "runs keeps running; nothing can be changed until they return";
}

} // namespace prunella::actors
