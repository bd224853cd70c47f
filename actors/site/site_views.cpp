#include "actors/site/site_views.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <string_view>
#include <tuple>

#include "actors/names.hpp"
#include "actors/site/address_holder.hpp"
#include "actors/site/membership.hpp"
#include "actors/site/update.hpp"
#include "actors/site/view_pages.hpp"
#include "config/json.hpp"
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
  row.ready = is_ready(report);
  row.address = report.address;
}

/// What the site knows holds also when its host is down, or began anew and remembers nothing of it.
void show_end(instance_view& row, const assignment& x, const instance_report* report) {
  if (report != nullptr && report->generation == x.generation)
    copy_report(row, *report);
  row.state = x.ended == instance_end::again ? std::string{"pending"} : std::string{config::to_text(x.ended)};
  row.reason = x.reason;
  row.ready = false;
}

instance_view assigned_row(const std::string& name, const assignment& x, const view_source& from) {
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
  if (x.ended != instance_end::none) {
    show_end(row, x, from.seen.find(x.host, name));
    return row;
  }
  const auto host = from.state.hosts.find(x.host);
  if (host == from.state.hosts.end() || !host->second.up) {
    row.reason = x.host + " is down";
    return row;
  }
  const auto* report = from.seen.find(x.host, name);
  if (!from.only_host.empty() && x.host != from.only_host)
    row.reason = "not known: no leader answers, and " + x.host + " reports only to the leader";
  else if (report == nullptr || report->generation != x.generation)
    row.reason = "waiting for " + x.host + " to take it up";
  else
    copy_report(row, *report);
  if (x.leaves_since != 0) {
    row.state = "moving";
    row.ready = false;
    row.reason = x.reason + "; it starts elsewhere when " + x.host + " has ended it";
  }
  return row;
}

instance_view waiting_row(const config::application_spec& application, const config::service_spec& service,
                          std::uint32_t replica, std::string name) {
  instance_view row;
  row.name = std::move(name);
  row.application = application.name;
  row.service = service.name;
  row.replica = replica;
  row.state = "pending";
  row.reason = "waiting to be placed";
  return row;
}

instance_view stopping_row(const std::string& host, const instance_report& report) {
  const auto parts = parse_instance_name(report.instance);
  instance_view row;
  row.name = report.instance;
  row.application = parts.application;
  row.service = parts.service;
  row.replica = parts.replica;
  row.host = host;
  row.generation = report.generation;
  copy_report(row, report);
  row.state = "stopping";
  row.ready = false;
  return row;
}

/// Key of the application that an instance belongs to.
std::string key_of(const std::string& instance) {
  const auto parts = parse_instance_name(instance);
  return application_key(parts.tenant, parts.application);
}

std::string state_of(const std::vector<const instance_view*>& instances, std::string& reason) {
  std::size_t running = 0;
  std::size_t finished = 0;
  std::size_t starting = 0;
  const instance_view* worst = nullptr;
  for (const auto* x : instances) {
    if (x->state == "finished") {
      ++finished;
      continue;
    }
    running += x->ready ? 1 : 0;
    starting += x->state == "starting" || (x->state == "running" && !x->ready) ? 1 : 0;
    if (x->state == "failed" || (worst == nullptr && !x->reason.empty() && !x->ready))
      worst = x;
  }
  if (running + finished == instances.size())
    return running == 0 && finished > 0 ? "finished" : "running";
  if (worst != nullptr)
    reason = worst->name + ": " + worst->reason;
  if (worst != nullptr && worst->state == "failed")
    return "failed";
  if (running > 0)
    return "degraded";
  return starting > 0 ? "starting" : "pending";
}

/// Those that run a former version still.
std::size_t outdated_of(const application_record& record, const site_state& state, const std::vector<const instance_view*>& own) {
  return static_cast<std::size_t>(std::count_if(own.begin(), own.end(), [&](const auto* x) {
    const auto row = state.assignments.find(x->name);
    const auto changed = record.changed_at.find(x->service);
    return row != state.assignments.end() && changed != record.changed_at.end() && is_outdated(&*row, changed->second);
  }));
}

/// How far an update has come, and how it ended; empty when it is done.
std::string update_text(const application_record& record, std::size_t outdated, std::size_t all) {
  const auto of_all = " of " + std::to_string(all) + " instances ";
  if (record.update == update_phase::paused)
    return "the update is paused (" + record.update_reason + "), " + std::to_string(outdated) + of_all
           + "wait to be updated; apply a corrected version or roll back";
  return outdated == 0 ? record.update_reason : std::to_string(all - outdated) + of_all + "run version " + record.spec.version;
}

} // namespace

std::string time_text_of(time_ms at) {
  // Any number may come from another host; the clock counts nanoseconds, which end in 1677 and 2262.
  constexpr auto most = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::duration::max()).count();
  if (at == 0 || at > most || at < -most)
    return {};
  return config::time_text(std::chrono::system_clock::time_point{std::chrono::milliseconds{at}});
}

std::map<std::string, std::pair<std::uint32_t, config::resources>> reserved_of_hosts(const site_state& state) {
  std::map<std::string, std::pair<std::uint32_t, config::resources>> use;
  for (const auto& [name, x] : state.assignments) {
    if (x.host.empty() || x.ended != instance_end::none)
      continue;
    auto& [instances, reserved] = use[x.host];
    ++instances;
    const auto application = state.applications.find(application_key(x.tenant, x.application));
    if (application == state.applications.end())
      continue;
    if (const auto* service = find_service(application->second.spec, x.service)) // the present one, as placement counts
      for (const auto& container : service->containers) {
        reserved.cpu_millis += container.resources.cpu_millis;
        reserved.memory_bytes += container.resources.memory_bytes;
      }
  }
  return use;
}

/// Why instances stay on a drained host for now: as many of their services are not ready as may be, and all of them would be too
/// many. Empty: nothing holds them up.
std::string what_holds_up(const std::string& host, const view_source& from) {
  std::map<const config::service_spec*, std::string_view> here; // with one of its instances
  for (const auto& [name, x] : from.state.assignments)
    if (x.host == host && x.leaves_since == 0 && x.ended == instance_end::none)
      if (const auto* service = service_of(from.state, x); service != nullptr && service->restart.type == config::restart_type::permanent)
        here.emplace(service, name);
  std::map<const config::service_spec*, std::vector<std::string_view>> unready;
  for (const auto& [name, x] : from.state.assignments)
    if (!x.host.empty() && x.ended == instance_end::none && !here.empty())
      if (const auto* service = service_of(from.state, x); here.count(service) != 0 && !assigned_row(name, x, from).ready)
        unready[service].push_back(name);
  for (const auto& [service, names] : unready)
    if (const auto one = here.at(service); names.size() >= service->update.parallel && names.front() != one)
      return std::string{one} + " stays until " + std::string{names.front()} + " is ready (its service may miss "
             + std::to_string(service->update.parallel) + ": `update: parallel`)";
  return {};
}

std::vector<host_view> host_views(const view_source& from, const row_range& range) {
  std::vector<config::host_spec> specs;
  for (const auto& [id, host] : from.state.hosts)
    specs.push_back(host.spec);
  const auto controllers = controllers_of(specs);
  const auto use = reserved_of_hosts(from.state);
  std::vector<host_view> rows;
  for (auto it = from.state.hosts.upper_bound(range.after); it != from.state.hosts.end() && rows.size() < range.most; ++it) {
    const auto& [id, host] = *it;
    host_view row;
    row.id = id;
    row.state = host.up ? "up" : "down";
    const bool votes = std::binary_search(controllers.begin(), controllers.end(), id);
    row.role = id == from.leader ? "leader" : votes ? "controller" : "follower";
    row.address = host.spec.address;
    row.labels = host.spec.labels;
    row.capacity = host.spec.capacity;
    row.reason = host.reason;
    if (host.drained && host.up) {
      row.state = use.count(id) != 0 ? "draining" : "drained";
      row.reason = "nothing is placed here until `prunella host undrain " + id + "`";
      if (const auto why = row.state == "draining" ? what_holds_up(id, from) : std::string{}; !why.empty())
        row.reason = why + "; " + row.reason;
    }
    if (const auto* full = full_disk_of(host.lacks, host.software); full != nullptr && host.up)
      row.reason += (row.reason.empty() ? "" : "; ") + full->why;
    row.drivers = host.software.drivers;
    row.without = host.software.without;
    if (const auto late = from.late_us.find(id); late != from.late_us.end())
      row.heartbeat_late_us = late->second;
    if (id == from.only_host) {
      row.state = "up";
      row.reason.clear();
    } else if (!from.only_host.empty()) {
      row.reason = "no leader answers; it was " + row.state + " when the site last decided";
      row.state = "unknown";
    }
    if (const auto used = use.find(id); used != use.end())
      std::tie(row.instances, row.reserved) = used->second;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<instance_view> instance_views(const view_source& from, const row_range& range) {
  const auto& state = from.state;
  const auto is_asked_for = [&](const std::string& key) { return range.application.empty() || range.application == key; };
  std::map<std::string, instance_view> rows;
  // Of each source only the first are built; when they are merged, nobody's later ones can be among them.
  for (auto it = state.assignments.upper_bound(range.after); it != state.assignments.end() && rows.size() < range.most; ++it)
    if (is_asked_for(application_key(it->second.tenant, it->second.application)))
      rows.emplace(it->first, assigned_row(it->first, it->second, from));
  const auto is_wanted_here = [&](const std::string& name) {
    return name > range.after && state.assignments.count(name) == 0
           && (rows.size() < range.most || name < rows.rbegin()->first);
  };
  const auto add = [&](instance_view row) {
    auto name = row.name;
    if (rows.emplace(std::move(name), std::move(row)).second && rows.size() > range.most)
      rows.erase(std::prev(rows.end()));
  };
  for (const auto& [key, record] : state.applications) {
    if (!is_asked_for(key))
      continue;
    for (const auto& service : record.spec.services)
      for (std::uint32_t replica = 1; replica <= service.replicas; ++replica) {
        auto name = instance_name(record.spec.tenant, record.spec.name, service.name, replica);
        if (is_wanted_here(name))
          add(waiting_row(record.spec, service, replica, std::move(name)));
      }
  }
  for (const auto& [id, host] : state.hosts) {
    if (!host.up)
      continue;
    const auto& reports = from.seen.of_host(id);
    for (auto it = reports.upper_bound(range.after); it != reports.end(); ++it)
      if (is_wanted_here(it->first) && is_asked_for(key_of(it->first)))
        add(stopping_row(id, it->second));
  }
  std::vector<instance_view> result;
  result.reserve(rows.size());
  for (auto& [name, row] : rows)
    result.push_back(std::move(row));
  return result;
}

std::vector<application_view> application_views(const view_source& from, const row_range& range) {
  const auto instances = instance_views(from, {range.application, {}});
  std::map<std::string, std::vector<const instance_view*>> by_application;
  for (const auto& x : instances)
    if (x.state != "stopping")
      by_application[key_of(x.name)].push_back(&x);
  std::vector<application_view> rows;
  const auto& all = from.state.applications;
  for (auto it = all.upper_bound(range.after); it != all.end() && rows.size() < range.most; ++it) {
    const auto& [key, record] = *it;
    if (!range.application.empty() && key != range.application)
      continue;
    application_view row;
    row.name = record.spec.name;
    row.tenant = record.spec.tenant;
    row.version = record.spec.version;
    row.revision = record.revision;
    row.applied_revision = record.applied;
    row.updated_at = time_text_of(record.updated_at);
    row.update = std::string{config::to_text(record.update)};
    row.previous_version = record.former.spec.version;
    const auto& own = by_application[key];
    std::map<std::string_view, std::map<std::string_view, std::uint32_t>> in_state;
    for (const auto* x : own)
      ++in_state[x->service][x->ready ? std::string_view{"ready"} : std::string_view{x->state}];
    for (const auto& service : record.spec.services) {
      auto& of = in_state[service.name];
      row.services.push_back({service.name, service.replicas, of["ready"], of["finished"]});
    }
    row.state = state_of(own, row.reason);
    const auto outdated = outdated_of(record, from.state, own);
    if (outdated > 0 && record.update == update_phase::running && (row.state == "running" || row.state == "degraded"))
      row.state = "updating";
    if (const auto update = update_text(record, outdated, own.size()); !update.empty())
      row.reason = update + (row.reason.empty() ? std::string{} : "; " + row.reason);
    rows.push_back(std::move(row));
  }
  return rows;
}

view_answer view_page(const view_request& request, const view_source& from) {
  if (request.view == "spec") {
    const auto found = from.state.applications.find(request.application);
    return {found == from.state.applications.end() ? std::string{} : config::json_text(config::to_json(found->second.spec)), {}};
  }
  const std::size_t limit = std::clamp<std::uint32_t>(request.limit, 1, max_page_rows);
  const row_range range{request.application, request.after, limit + 1}; // one more tells whether there are more
  if (request.view == "hosts")
    return page_of(host_views(from, range), limit, [](const auto& x) { return x.id; });
  if (request.view == "applications")
    return page_of(application_views(from, range), limit, [](const auto& x) { return application_key(x.tenant, x.name); });
  return page_of(instance_views(from, range), limit, [](const auto& x) { return x.name; });
}

void fill_status(status_view& status, const view_source& from) {
  const auto& state = from.state;
  status.site = state.site.name;
  status.hosts = static_cast<std::uint32_t>(state.hosts.size());
  status.applications = static_cast<std::uint32_t>(state.applications.size());
  status.hosts_up = 0;
  status.instances = 0;
  status.instances_running = 0;
  status.instances_finished = 0;
  std::string trouble;
  for (const auto& [id, host] : state.hosts) {
    status.hosts_up += (from.only_host.empty() ? host.up : id == from.only_host) ? 1 : 0;
    if (!host.up && trouble.empty())
      trouble = id + " is down: " + host.reason;
    else if (const auto* full = full_disk_of(host.lacks, host.software); full != nullptr && trouble.empty())
      trouble = id + ": " + full->why;
  }
  if (trouble.empty())
    trouble = why_no_address_holder(state);
  for (const auto& x : instance_views(from)) {
    if (x.state == "stopping")
      continue;
    ++status.instances;
    status.instances_running += x.state == "running" ? 1 : 0;
    status.instances_finished += x.state == "finished" ? 1 : 0;
    if (!x.ready && x.state != "finished" && trouble.empty())
      trouble = x.name + " is " + x.state + (x.reason.empty() ? std::string{} : ": " + x.reason);
  }
  status.health = !status.quorum ? "no-quorum" : trouble.empty() ? "healthy" : "degraded";
  status.reason = status.quorum ? trouble
                                : "more than half of the site's controllers must reach each other to elect one. What "
                                  "runs keeps running; nothing can be changed until they return";
}

} // namespace prunella::actors
