#include "tests/actors/reference_plan.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <tuple>

#include "actors/names.hpp"
#include "actors/site/placement.hpp"
#include "config/host_paths.hpp"
#include "config/label_expression.hpp"

namespace prunella::test {

namespace {

using namespace actors;

/// An instance on a host, or one that wants to be.
struct wanted {
  const config::application_spec* application = nullptr;
  const config::service_spec* service = nullptr;
  std::uint32_t replica = 0;
  std::string name;
  std::vector<avoided_host> avoided;

  std::string application_id() const { return application_key(application->tenant, application->name); }
  bool is_of(const config::application_spec& a, const std::string& s) const { return application == &a && service->name == s; }
};

config::resources needs(const config::service_spec& service) {
  config::resources sum;
  for (const auto& container : service.containers) {
    sum.cpu_millis += container.resources.cpu_millis;
    sum.memory_bytes += container.resources.memory_bytes;
  }
  for (const auto& init : service.init_containers) {
    sum.cpu_millis = std::max(sum.cpu_millis, init.resources.cpu_millis);
    sum.memory_bytes = std::max(sum.memory_bytes, init.resources.memory_bytes);
  }
  return sum;
}

bool has_drivers(const host_record& host, const config::service_spec& service) {
  using config::driver_kind;
  const auto has = [&](bool image) {
    return (host.drivers.empty() && !image)
           || std::any_of(host.drivers.begin(), host.drivers.end(), [&](auto x) { return (x != driver_kind::process) == image; });
  };
  for (const auto* containers : {&service.containers, &service.init_containers})
    for (const auto& container : *containers)
      if (!has(!container.image.empty()))
        return false;
  return true;
}

std::optional<rejection> lacks(const host_record& host, const config::service_spec& service) {
  const auto has = [&](host_lack lack) { return std::find(host.lacks.begin(), host.lacks.end(), lack) != host.lacks.end(); };
  bool users = false;
  bool paths = false;
  bool disk = false;
  for (const auto* containers : {&service.containers, &service.init_containers})
    for (const auto& container : *containers) {
      users = users || container.user_namespace;
      disk = disk || (!container.image.empty() && container.disk_bytes > 0);
      for (const auto& volume : container.volumes)
        paths = paths || (volume.kind == config::volume_kind::host_path && !config::is_below(volume.path, host.spec.host_paths));
    }
  if (service.network != config::instance_network::host && has(host_lack::own_networks))
    return rejection::own_network;
  if (service.network == config::instance_network::bridge && has(host_lack::bridge))
    return rejection::bridge;
  if (users && has(host_lack::user_namespaces))
    return rejection::user_namespace;
  if (disk && has(host_lack::disk_limits))
    return rejection::disk_limit;
  return paths ? std::optional{rejection::host_path} : std::nullopt;
}

std::set<std::pair<std::uint16_t, config::port_protocol>> ports(const config::service_spec& service) {
  std::set<std::pair<std::uint16_t, config::port_protocol>> all;
  if (service.network != config::instance_network::host)
    return all; // not the host's
  for (const auto& container : service.containers)
    for (const auto& port : container.ports)
      all.emplace(port.port, port.protocol);
  return all;
}

bool names(const config::service_spec& service, const std::string& other) {
  const auto& list = service.placement.anti_affinity;
  return std::find(list.begin(), list.end(), other) != list.end();
}

std::string domain(const host_record& host, const std::string& label) {
  if (label.empty())
    return host.spec.id;
  const auto it = host.spec.labels.find(label);
  return it == host.spec.labels.end() ? std::string{} : it->second;
}

struct board {
  const site_state& state;
  std::map<std::string, std::vector<wanted>> on; ///< host → instances

  config::resources left(const host_record& host) {
    auto free = host.spec.capacity;
    for (const auto& x : on[host.spec.id]) {
      free.cpu_millis -= needs(*x.service).cpu_millis;
      free.memory_bytes -= needs(*x.service).memory_bytes;
    }
    return free;
  }

  static bool matches(const wanted& x, const host_record& host) {
    const auto parsed = config::parse_label_expression(x.service->placement.match_host_labels);
    return parsed.error.empty() && parsed.expression.matches(host.spec.labels);
  }

  std::optional<rejection> check(const wanted& x, const host_record& host, time_ms now, bool is_new = false) {
    if (!host.up)
      return rejection::down;
    if (host.drained && !is_new)
      return rejection::drained;
    if (!matches(x, host))
      return rejection::labels;
    for (const auto& avoided : x.avoided)
      if (avoided.host == host.spec.id && now < avoided.until)
        return rejection::avoided;
    if (host.drained)
      return rejection::drained;
    if (is_new && std::find(host.lacks.begin(), host.lacks.end(), host_lack::disk_room) != host.lacks.end())
      return rejection::disk_room;
    if (!has_drivers(host, *x.service))
      return rejection::driver;
    if (const auto why = lacks(host, *x.service))
      return why;
    for (const auto& there : on[host.spec.id])
      if (there.application == x.application && (names(*x.service, there.service->name) || names(*there.service, x.service->name)))
        return rejection::anti_affinity;
    for (const auto& there : on[host.spec.id])
      for (const auto& port : ports(*there.service))
        if (ports(*x.service).count(port) != 0)
          return rejection::port;
    if (left(host).cpu_millis < needs(*x.service).cpu_millis)
      return rejection::cpu;
    if (left(host).memory_bytes < needs(*x.service).memory_bytes)
      return rejection::memory;
    return std::nullopt;
  }

  std::int64_t share(const wanted& x, const host_record& host) {
    const auto& all = host.spec.capacity;
    const auto cpu = left(host).cpu_millis - needs(*x.service).cpu_millis;
    const auto memory = left(host).memory_bytes - needs(*x.service).memory_bytes;
    return std::max(all.cpu_millis <= 0 ? 0 : (all.cpu_millis - cpu) * 1000 / all.cpu_millis,
                    all.memory_bytes < 1024 ? 0 : (all.memory_bytes / 1024 - memory / 1024) * 1000 / (all.memory_bytes / 1024));
  }

  std::string choose(const wanted& x, time_ms now, rejection_counts& rejected) {
    std::map<std::string, std::size_t> in_domain;
    for (const auto& [id, there] : on)
      if (const auto host = state.hosts.find(id); host != state.hosts.end())
        for (const auto& y : there)
          in_domain[domain(host->second, x.service->placement.spread_by)] += y.is_of(*x.application, x.service->name) ? 1 : 0;
    std::string best;
    std::tuple<std::size_t, std::size_t, std::int64_t, std::size_t> best_rank;
    for (const auto& [id, host] : state.hosts) {
      if (const auto why = check(x, host, now, true)) {
        ++rejected[static_cast<std::size_t>(*why)];
        continue;
      }
      const auto here = std::count_if(on[id].begin(), on[id].end(),
                                      [&](const auto& y) { return y.is_of(*x.application, x.service->name); });
      const std::tuple rank{in_domain[domain(host, x.service->placement.spread_by)], static_cast<std::size_t>(here),
                            share(x, host), on[id].size()};
      if (best.empty() || rank < best_rank) {
        best = id;
        best_rank = rank;
      }
    }
    return best;
  }
};

std::vector<wanted> all_wanted(const site_state& state) {
  std::vector<wanted> all;
  for (const auto& [key, record] : state.applications)
    for (const auto& service : record.spec.services)
      for (std::uint32_t replica = 1; replica <= service.replicas; ++replica)
        all.push_back({&record.spec, &service, replica,
                       instance_name(record.spec.tenant, record.spec.name, service.name, replica), {}});
  std::stable_sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return std::tuple{a.application_id(), a.service->name, a.replica} < std::tuple{b.application_id(), b.service->name, b.replica};
  });
  return all;
}

/// Whether it runs as before a change that it has to be restarted for.
bool is_old(const site_state& state, const wanted& x) {
  const auto row = state.assignments.find(x.name);
  return row != state.assignments.end() && !row->second.host.empty() && row->second.leaves_since == 0
         && row->second.revision != state.applications.at(x.application_id()).changed_at.at(x.service->name);
}

/// Whether an old one is to be updated now: it is away anyway, or with it and the steady ones before it no more than
/// `parallel` are not steady.
bool is_next(const site_state& state, const std::vector<wanted>& all, const wanted& x, time_ms now, const sight& seen) {
  const auto changed = state.applications.at(x.application_id()).changed_at.at(x.service->name);
  const auto look = [&](const auto& row) {
    const auto host = state.hosts.find(row.second.host);
    const bool is_up = host != state.hosts.end() && host->second.up;
    const bool may_run = is_up && row.second.leaves_since == 0 && row.second.ended == instance_end::none;
    const auto found = may_run ? seen(row.first, row.second, x.service->update) : seen_as::away;
    return found == seen_as::fresh && row.second.revision != changed ? seen_as::steady : found;
  };
  const auto own = look(*state.assignments.find(x.name));
  if (own == seen_as::away)
    return true;
  for (const auto* containers : {&x.service->containers, &x.service->init_containers})
    for (const auto& container : *containers)
      if (!container.image.empty())
        return false; // here nobody ever said that he has one
  if (x.service->restart.type != config::restart_type::permanent)
    return true;
  std::uint32_t unsteady = 0;
  for (const auto& other : all) {
    const auto there = state.assignments.find(other.name);
    if (other.application != x.application || other.service != x.service || there == state.assignments.end())
      continue;
    const auto& row = there->second;
    if (row.host.empty())
      unsteady += std::any_of(row.avoided.begin(), row.avoided.end(), [&](const auto& y) { return now < y.until; }) ? 1 : 0;
    else
      unsteady += look(*there) != seen_as::steady || (other.replica < x.replica && is_old(state, other)) ? 1 : 0;
  }
  return own == seen_as::steady && unsteady < x.service->update.parallel;
}

/// Whether an instance that came to this end may stay at it, by what its service says of restarts.
bool may_rest(const wanted& x, instance_end how) {
  using config::restart_type;
  const std::map<restart_type, std::set<instance_end>> final_ends{{restart_type::permanent, {}},
                                                                   {restart_type::transient, {instance_end::finished}},
                                                                   {restart_type::temporary, {instance_end::finished, instance_end::failed}}};
  return final_ends.at(x.service->restart.type).count(how) != 0;
}

bool is_about_the_host_alone(rejection why) {
  const std::set<rejection> about{rejection::drained, rejection::labels, rejection::driver, rejection::bridge, rejection::user_namespace, rejection::disk_limit,
                                  rejection::own_network, rejection::host_path};
  return about.count(why) != 0;
}

/// Of the replicas of one service that their hosts do not suit, those that leave now: all that are away anyway, and as many as leave
/// no more than `parallel` of the service away. `x` is any of them.
std::set<std::string> leaving_now(const site_state& state, const std::vector<wanted>& all, const wanted& x, const std::set<std::string>& misplaced,
                                  time_ms now, const sight& seen) {
  std::set<std::string> away;
  std::size_t unsteady = 0;
  for (const auto& other : all) {
    const auto there = state.assignments.find(other.name);
    if (other.application != x.application || other.service != x.service || there == state.assignments.end() || there->second.host.empty())
      continue;
    const auto host = state.hosts.find(there->second.host);
    const bool is_seen = host != state.hosts.end() && host->second.up && there->second.leaves_since == 0
                         && there->second.ended == instance_end::none;
    auto found = is_seen ? seen(other.name, there->second, x.service->update) : seen_as::away;
    if (is_old(state, other) && is_next(state, all, other, now, seen))
      found = seen_as::away;
    if (misplaced.count(other.name) != 0 && found == seen_as::fresh)
      found = seen_as::steady;
    if (found == seen_as::away)
      away.insert(other.name);
    unsteady += found != seen_as::steady ? 1 : 0;
  }
  std::set<std::string> result;
  for (const auto& other : all)
    if (misplaced.count(other.name) != 0
        && (x.service->restart.type != config::restart_type::permanent || away.count(other.name) != 0
            || unsteady++ < x.service->update.parallel))
      result.insert(other.name);
  return result;
}

void note_failure(std::vector<avoided_host>& all, const gave_up_report& report, time_ms now) {
  avoided_host x{report.host, 0, 0, 0, {}};
  const auto is_it = [&](const auto& a) { return a.host == report.host; };
  auto it = std::find_if(all.begin(), all.end(), is_it);
  if (it == all.end())
    it = all.insert(all.end(), x);
  it->times = it->times > 0 && now - it->until < 3'600'000 ? it->times + 1 : 1;
  it->generation = report.generation;
  it->until = now + avoidance_ms(it->times);
  it->reason = report.reason;
}

std::string last_failure(const std::vector<avoided_host>& avoided) {
  std::string text;
  std::uint64_t newest = 0;
  for (const auto& x : avoided)
    if (text.empty() || x.generation > newest) {
      newest = x.generation;
      text = "gave up on " + x.host + ": " + x.reason + "; ";
    }
  return text;
}

} // namespace

site_plan reference_plan(const site_state& state, const gave_up_reports& gave_up, time_ms now, const sight& seen,
                         const ended_reports& ended) {
  site_plan result;
  auto all = all_wanted(state);
  for (const auto& [name, x] : state.assignments)
    if (std::none_of(all.begin(), all.end(), [&, n = &name](const auto& w) { return w.name == *n; })) {
      const auto key = application_key(x.tenant, x.application);
      assignment_change change;
      change.instance = name;
      change.from_host = x.host;
      change.from_generation = x.generation;
      change.remove = true;
      change.cause = "application/" + key;
      change.next.reason = state.applications.count(key) != 0 ? "no longer wanted by its application" : "application deleted";
      result.changes.changes.push_back(change);
    }

  // Who was changed last is asked last whether it may stay.
  std::vector<std::size_t> by_age(all.size());
  std::iota(by_age.begin(), by_age.end(), std::size_t{0});
  const auto changed = [&](std::size_t i) { return state.applications.at(all[i].application_id()).updated_at; };
  std::stable_sort(by_age.begin(), by_age.end(), [&](auto a, auto b) { return changed(a) < changed(b); });
  // And of the replicas of a service, what has ended is asked last: it takes no place from who has one.
  const auto is_over = [&](std::size_t i) {
    const auto current = state.assignments.find(all[i].name);
    return current != state.assignments.end() && current->second.ended != instance_end::none;
  };
  for (auto begin = by_age.begin(); begin != by_age.end();) {
    const auto end = std::find_if(begin, by_age.end(), [&](auto i) { return all[i].service != all[*begin].service; });
    std::stable_partition(begin, end, [&](auto i) { return !is_over(i); });
    begin = end;
  }
  board hosts{state, {}};
  std::map<std::size_t, std::tuple<wanted, std::string, std::string>> homeless; // reason, cause
  std::map<std::size_t, assignment_change> finished;
  std::map<std::size_t, assignment_change> leaves;
  std::map<std::size_t, assignment_change> updates;
  std::map<std::size_t, std::pair<std::string, std::string>> misplaced; // of the service that is looked at: why, cause
  const auto leave = [&](std::size_t i, const std::string& reason, const std::string& cause) {
    const auto& current = state.assignments.at(all[i].name);
    hosts.on[current.host].push_back(all[i]);
    assignment_change change{all[i].name, current.host, current.generation, false, current, cause};
    change.next.leaves_since = 1;
    change.next.reason = reason;
    change.next.avoided = all[i].avoided;
    change.next.revision = state.applications.at(all[i].application_id()).changed_at.at(all[i].service->name);
    leaves[i] = change;
  };
  const auto end_service = [&] {
    if (misplaced.empty())
      return;
    std::set<std::string> names;
    for (const auto& [i, why] : misplaced)
      names.insert(all[i].name);
    const auto go = leaving_now(state, all, all[misplaced.begin()->first], names, now, seen);
    for (const auto& [i, why] : misplaced)
      if (go.count(all[i].name) != 0) {
        leave(i, why.first, why.second);
      } else {
        hosts.on[state.assignments.at(all[i].name).host].push_back(all[i]);
        result.waits_for_reports = true;
      }
    misplaced.clear();
  };
  const wanted* before = nullptr;
  for (const auto i : by_age) {
    auto& x = all[i];
    if (before != nullptr && before->service != x.service)
      end_service();
    before = &x;
    const auto current = state.assignments.find(x.name);
    const auto object = "application/" + x.application_id();
    const auto& record = state.applications.at(x.application_id());
    const bool is_asked_for = current != state.assignments.end() && current->second.ended == instance_end::again;
    if (current == state.assignments.end() || current->second.host.empty() || is_asked_for) {
      if (current != state.assignments.end())
        x.avoided = current->second.avoided;
      homeless.emplace(i, std::tuple<wanted, std::string, std::string>{x, is_asked_for ? current->second.reason : "placed", object});
      continue;
    }
    const auto& at = current->second.host;
    const auto host = state.hosts.find(at);
    const auto report = gave_up.find(x.name);
    const auto end = ended.find(x.name);
    const auto known_end = current->second.ended;
    const bool is_told = known_end == instance_end::none && current->second.leaves_since == 0 && end != ended.end()
                         && end->second.host == at && end->second.generation == current->second.generation;
    const bool is_to_begin = is_old(state, x) && is_next(state, all, x, now, seen);
    if ((known_end != instance_end::none || is_told) && !is_to_begin
        && (is_old(state, x) || may_rest(x, is_told ? end->second.how : known_end))) {
      if (!is_told)
        continue;
      assignment_change change{x.name, at, current->second.generation, false, current->second, "host/" + at};
      change.next.ended = end->second.how;
      change.next.reason = end->second.reason;
      finished[i] = change;
      continue;
    }
    const bool begins_anew = known_end != instance_end::none; // and nothing has to end for it
    if (host == state.hosts.end() || !host->second.up) {
      x.avoided = current->second.avoided;
      homeless.emplace(i, std::tuple<wanted, std::string, std::string>{x, at + " is down" + (host == state.hosts.end() ? "" : ": " + host->second.reason), "host/" + at});
    } else if (current->second.leaves_since != 0) { // nobody here is asked whether it has ended
      x.avoided = current->second.avoided;
      homeless.emplace(i, std::tuple<wanted, std::string, std::string>{x, current->second.reason, object});
    } else if (report != gave_up.end() && report->second.host == at && report->second.generation == current->second.generation
               && !begins_anew && !is_to_begin) {
      x.avoided = current->second.avoided;
      note_failure(x.avoided, report->second, now);
      leave(i, "gave up on " + at + ": " + report->second.reason, "instance/" + x.name);
    } else if (host->second.drained && !begins_anew && !is_to_begin) {
      x.avoided = current->second.avoided;
      misplaced[i] = {at + " is drained", "host/" + at};
    } else if (is_old(state, x) && !is_to_begin) {
      result.waits_for_reports = true;
      hosts.on[at].push_back(x);
    } else if (const auto why = hosts.check(x, host->second, now)) {
      x.avoided = current->second.avoided;
      const auto reason = at + " no longer fits (" + to_text(*why, *x.service) + ")";
      if (begins_anew)
        homeless.emplace(i, std::tuple<wanted, std::string, std::string>{x, reason, object});
      else if (!is_old(state, x) && is_about_the_host_alone(*why))
        misplaced[i] = {reason, object};
      else
        leave(i, reason, object);
    } else {
      hosts.on[at].push_back(x);
      if (!is_old(state, x) && !begins_anew)
        continue;
      assignment_change change{x.name, at, current->second.generation, false, current->second, object};
      change.next.ended = instance_end::none;
      change.next.revision = record.changed_at.at(x.service->name);
      change.next.avoided.clear();
      change.next.reason = "updated to version " + record.spec.version;
      updates[i] = change;
    }
  }

  end_service();
  for (const auto& [i, change] : finished)
    result.changes.changes.push_back(change);
  for (const auto& [i, change] : updates)
    result.changes.changes.push_back(change);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (const auto left = leaves.find(i); left != leaves.end())
      result.changes.changes.push_back(left->second);
    const auto found = homeless.find(i);
    if (found == homeless.end())
      continue;
    const auto& leaving = found->second;
    const auto& [x, reason, cause] = leaving;
    const auto current = state.assignments.find(x.name);
    const bool was_placed = current != state.assignments.end();
    rejection_counts rejected{};
    assignment_change change;
    change.instance = x.name;
    change.cause = cause;
    change.from_host = was_placed ? current->second.host : "";
    change.from_generation = was_placed ? current->second.generation : 0;
    change.next.host = hosts.choose(x, now, rejected);
    change.next.tenant = x.application->tenant;
    change.next.application = x.application->name;
    change.next.service = x.service->name;
    change.next.replica = x.replica;
    change.next.avoided = x.avoided;
    const bool stays_homeless = was_placed && current->second.host.empty() && change.next.host.empty();
    change.next.revision = stays_homeless ? current->second.revision
                                          : state.applications.at(x.application_id()).changed_at.at(x.service->name);
    change.next.reason = change.next.host.empty() ? last_failure(x.avoided) + explain(rejected, *x.service, state) : reason;
    if (!change.next.host.empty()) {
      hosts.on[change.next.host].push_back(x);
    } else {
      for (const auto& avoided : x.avoided)
        if (now < avoided.until && (result.look_again_at == 0 || avoided.until < result.look_again_at))
          result.look_again_at = avoided.until;
      if (was_placed && current->second.host.empty() && current->second.reason == change.next.reason)
        continue;
    }
    result.changes.changes.push_back(change);
  }
  return result;
}

} // namespace prunella::test
