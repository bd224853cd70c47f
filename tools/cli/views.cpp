#include "tools/cli/views.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "config/quantity.hpp"
#include "tools/cli/terminal.hpp"

namespace prunella::tools {

namespace {

using actors::actor_view;
using actors::application_view;
using actors::container_use_view;
using actors::container_view;
using actors::event_view;
using actors::host_use_view;
using actors::host_view;
using actors::image_view;
using actors::instance_view;

std::string labels_text(const config::labels& labels) {
  std::string text;
  for (const auto& [key, value] : labels)
    text += (text.empty() ? "" : ",") + key + '=' + value;
  return text;
}

std::string services_text(const application_view& application) {
  std::string text;
  for (const auto& service : application.services)
    text += (text.empty() ? "" : ", ") + service.name + ' ' + std::to_string(service.running) + '/' +
            std::to_string(service.replicas) + (service.finished == 0 ? "" : " (" + std::to_string(service.finished) + " finished)");
  return text;
}

std::string count(std::uint64_t n, std::string_view one, std::string_view many) {
  return std::to_string(n) + ' ' + std::string(n == 1 ? one : many);
}

/// Appends `part` after two blanks, if there is one.
void add_fact(std::string& facts, const std::string& part) {
  if (!part.empty())
    facts += (facts.empty() ? "" : "  ") + part;
}

std::string restarts_text(std::uint32_t restarts) {
  return restarts == 0 ? "" : count(restarts, "restart", "restarts");
}

/// `name` without the prefix `of.`.
std::string local_name(const std::string& name, const std::string& of) {
  const bool inside = name.size() > of.size() + 1 && name.compare(0, of.size(), of) == 0 && name[of.size()] == '.';
  return inside ? name.substr(of.size() + 1) : name;
}

/// `tenant.application` of an instance, whose name begins with it.
std::string application_of(const instance_view& instance) {
  return instance.name.substr(0, instance.name.rfind('.'));
}

tree_node container_node(const container_view& container, const std::string& instance) {
  tree_node node{local_name(container.name, instance), container.state, {}, {}};
  if (container.pid != 0)
    add_fact(node.facts, "pid " + std::to_string(container.pid));
  add_fact(node.facts, restarts_text(container.restarts));
  add_fact(node.facts, container.reason);
  return node;
}

tree_node instance_node(const instance_view& instance) {
  tree_node node{local_name(instance.name, application_of(instance)), instance.state, {}, {}};
  add_fact(node.facts, "generation " + std::to_string(instance.generation));
  add_fact(node.facts, restarts_text(instance.restarts));
  add_fact(node.facts, instance.reason);
  for (const auto& container : instance.containers)
    node.children.push_back(container_node(container, instance.name));
  return node;
}

tree_node application_node(const std::string& name, const std::vector<application_view>& applications) {
  for (const auto& application : applications)
    if (full_name(application) == name)
      return {name, application.state, "version " + application.version, {}};
  return {name, {}, {}, {}};
}

/// Application nodes with their instances on `host`, in the order of the instances.
std::vector<tree_node> nodes_on(const std::string& host, const std::vector<application_view>& applications,
                                const std::vector<instance_view>& instances) {
  std::vector<tree_node> nodes;
  for (const auto& instance : instances) {
    if (instance.host != host)
      continue;
    const auto name = application_of(instance);
    if (nodes.empty() || nodes.back().label != name)
      nodes.push_back(application_node(name, applications));
    nodes.back().children.push_back(instance_node(instance));
  }
  return nodes;
}

/// `43% from host-1`, `3 failed: …`; nothing for an image that is there.
std::string progress_text(const actors::host_image_view& x) {
  std::string text;
  if (x.state == "present")
    return text;
  if (x.bytes_total > 0)
    text = std::to_string(x.bytes_done * 100 / x.bytes_total) + "%";
  if (!x.from.empty())
    text += (text.empty() ? "from " : " from ") + x.from;
  if (x.attempts > 0)
    add_fact(text, count(x.attempts, "attempt failed: ", "attempts failed: ") + x.reason);
  return text;
}

/// Each tag that an image has or that means it; its digest is in a column of its own, and is the name only of what has no other.
std::set<std::string> names_for_people(const image_view& image) {
  std::set<std::string> names{image.name};
  names.insert(image.names.begin(), image.names.end());
  for (const auto& use : image.meant_by)
    names.insert(use.tag);
  const auto is_tag = [](const std::string& name) { return name.find('@') == std::string::npos && name.compare(0, 7, "sha256:") != 0; };
  if (std::any_of(names.begin(), names.end(), is_tag))
    for (auto it = names.begin(); it != names.end();)
      it = is_tag(*it) ? std::next(it) : names.erase(it);
  else
    names = {image.name};
  return names;
}

std::string list_text(const std::vector<std::string>& list) {
  std::string text;
  for (const auto& x : list)
    text += (text.empty() ? "" : ", ") + x;
  return text;
}

tree_node host_node(const host_view& host) {
  tree_node node{host.id, host.state, {}, {}};
  add_fact(node.facts, host.role);
  add_fact(node.facts, host.address);
  add_fact(node.facts, host.reason);
  return node;
}

tree_node actor_node(const actor_view& actor, std::string label) {
  tree_node node{std::move(label), actor.state, {}, {}};
  if (actor.mailbox > 0)
    add_fact(node.facts, count(static_cast<std::uint64_t>(actor.mailbox), "message waits", "messages wait"));
  add_fact(node.facts, age_text(std::chrono::milliseconds(actor.age_ms)));
  add_fact(node.facts, actor.strategy);
  add_fact(node.facts, restarts_text(actor.restarts));
  if (!actor.last_reason.empty())
    add_fact(node.facts, "last end: " + actor.last_reason);
  return node;
}

} // namespace

std::string full_name(const application_view& application) {
  return application.tenant.empty() ? application.name : application.tenant + '.' + application.name;
}

table to_table(const std::vector<host_view>& hosts, time_point) {
  table t;
  t.columns = {{"ID"},
               {"STATE", false, true},
               {"ROLE"},
               {"ADDRESS"},
               {"INSTANCES", true},
               {"CPU", true},
               {"MEMORY", true},
               {"DRIVERS", false, false, true},
               {"WITHOUT", false, false, true},
               {"LABELS", false, false, true},
               {"REASON", false, false, true}};
  const auto names = [](const auto& without) {
    std::vector<std::string> list;
    for (const auto& x : without)
      list.push_back(x.what);
    return list;
  };
  for (const auto& h : hosts)
    t.rows.push_back({h.id, h.state, h.role, h.address, std::to_string(h.instances),
                      config::cpu_text(h.reserved.cpu_millis) + '/' + config::cpu_text(h.capacity.cpu_millis),
                      bytes_text(h.reserved.memory_bytes) + '/' + bytes_text(h.capacity.memory_bytes),
                      list_text(h.drivers), list_text(names(h.without)), labels_text(h.labels), h.reason});
  return t;
}

table to_table(const std::vector<host_use_view>& hosts, time_point) {
  table t;
  t.columns = {{"HOST"},           {"CPU", true},        {"RESERVED", true},   {"MEMORY", true}, {"RESERVED", true},
               {"DISK", true},     {"THREADS", true},    {"CONTAINERS", true}, {"WARNING", false, false, true}};
  for (const auto& h : hosts) {
    const auto& m = h.machine;
    t.rows.push_back({h.host, config::cpu_text(m.cpu_millis) + '/' + config::cpu_text(m.cpu_millis_total),
                      config::cpu_text(h.reserved.cpu_millis) + '/' + config::cpu_text(h.capacity.cpu_millis),
                      bytes_text(m.memory_bytes) + '/' + bytes_text(m.memory_bytes_total),
                      bytes_text(h.reserved.memory_bytes) + '/' + bytes_text(h.capacity.memory_bytes),
                      bytes_text(m.disk_bytes) + '/' + bytes_text(m.disk_bytes_total),
                      std::to_string(m.threads) + '/' + std::to_string(m.threads_total), std::to_string(h.containers), h.warning});
  }
  return t;
}

table to_table(const std::vector<container_use_view>& containers, time_point) {
  table t;
  t.columns = {{"CONTAINER"}, {"HOST"}, {"CPU", true}, {"MEMORY", true}, {"DISK", true}, {"PROCESSES", true}};
  const auto of = [](const std::string& used, bool has_reserved, const std::string& reserved) {
    return has_reserved ? used + '/' + reserved : used;
  };
  for (const auto& c : containers)
    t.rows.push_back({c.use.name, c.host,
                      of(config::cpu_text(c.use.cpu_millis), c.reserved.cpu_millis > 0, config::cpu_text(c.reserved.cpu_millis)),
                      of(bytes_text(c.use.memory_bytes), c.reserved.memory_bytes > 0, bytes_text(c.reserved.memory_bytes)),
                      of((c.use.disk_is_at_least ? ">" : "") + bytes_text(c.use.disk_bytes), c.disk_limit_bytes > 0, bytes_text(c.disk_limit_bytes)),
                      std::to_string(c.use.processes)});
  return t;
}

table to_table(const std::vector<application_view>& applications, time_point now) {
  table t;
  t.columns = {{"NAME"},           {"VERSION"},       {"STATE", false, true},        {"SERVICES"},
               {"REVISION", true}, {"UPDATED", true}, {"REASON", false, false, true}};
  for (const auto& a : applications)
    t.rows.push_back({full_name(a), a.version, a.state, services_text(a), std::to_string(a.revision),
                      age_of(a.updated_at, now), a.reason});
  return t;
}

table to_table(const std::vector<instance_view>& instances, time_point now) {
  table t;
  t.columns = {{"NAME"},           {"HOST"},      {"STATE", false, true}, {"READY"}, {"GENERATION", true},
               {"RESTARTS", true}, {"PID", true}, {"AGE", true},          {"REASON", false, false, true}};
  for (const auto& i : instances)
    t.rows.push_back({i.name, i.host.empty() ? "-" : i.host, i.state, i.ready ? "yes" : "no",
                      i.generation == 0 ? "-" : std::to_string(i.generation),
                      i.host.empty() ? "-" : std::to_string(i.restarts), i.pid == 0 ? "-" : std::to_string(i.pid), age_of(i.started_at, now),
                      i.reason});
  return t;
}

table to_table(const std::vector<actors::published_view>& services, time_point) {
  const auto joined = [](const auto& list, auto text_of) {
    std::string text;
    for (const auto& x : list)
      text += (text.empty() ? "" : ",") + text_of(x);
    return text.empty() ? std::string{"-"} : text;
  };
  table t;
  t.columns = {{"SERVICE"},           {"PUBLISHED"}, {"STATE", false, true},           {"READY", true},
               {"CONNECTIONS", true}, {"ADDRESSES"}, {"BACKENDS", false, false, true}, {"REASON", false, false, true}};
  for (const auto& s : services) {
    auto reason = joined(s.problems, [](const std::string& x) { return x; });
    if (s.problems.empty())
      reason = s.ready == 0 && s.wanted > 0 ? "no instance is ready" : "";
    t.rows.push_back({s.service, std::to_string(s.port) + '/' + s.protocol, s.state,
                      std::to_string(s.ready) + '/' + std::to_string(s.wanted), std::to_string(s.connections),
                      joined(s.addresses, [](const std::string& x) { return x; }),
                      joined(s.backends,
                             [&](const actors::published_backend_view& x) {
                               return local_name(x.instance, s.service.substr(0, s.service.rfind('.'))) + " on " + x.host + ' ' +
                                      std::to_string(x.connections) + (x.state == "ready" ? "" : " " + x.state);
                             }),
                      reason});
  }
  return t;
}

table to_table(const std::vector<image_view>& images, time_point) {
  table t;
  t.columns = {{"NAME"}, {"DIGEST"}, {"SIZE", true}, {"NEEDED"}, {"HOST"}, {"STATE", false, true},
               {"PROGRESS", false, false, true}, {"HELD BY", false, false, true}};
  for (const auto& image : images) {
    const auto digest = image.digest.empty() ? "-" : image.digest.substr(0, 19);
    const auto size = image.bytes == 0 ? "-" : bytes_text(static_cast<std::int64_t>(image.bytes));
    for (const auto& name : names_for_people(image)) {
      if (image.hosts.empty())
        t.rows.push_back({name, digest, size, image.needed, "-", "missing", {}, {}});
      for (const auto& host : image.hosts)
        t.rows.push_back({name, digest, size, image.needed, host.host, host.state, progress_text(host), list_text(host.holders)});
    }
  }
  std::stable_sort(t.rows.begin(), t.rows.end(), [](const auto& a, const auto& b) { return a.front() < b.front(); });
  return t;
}

table to_table(const std::vector<event_view>& events, time_point now) {
  table t;
  t.columns = {{"TIME", false, false, false, 2},
               {"AGE", true},
               {"HOST"},
               {"OBJECT"},
               {"FROM", false, false, false, 3},
               {"TO", false, true},
               {"REASON", false, false, true},
               {"CAUSE", false, false, true, 1}};
  for (const auto& e : events)
    t.rows.push_back(
        {e.time, age_of(e.time, now), e.host, e.object, e.from.empty() ? "-" : e.from, e.to, e.reason, e.cause});
  return t;
}

tree_node site_tree(const actors::status_view& status, const std::vector<host_view>& hosts,
                    const std::vector<application_view>& applications, const std::vector<instance_view>& instances) {
  tree_node site{status.site, status.health, {}, {}};
  add_fact(site.facts, status.leader.empty() ? "no leader" : "leader " + status.leader);
  add_fact(site.facts, status.reason);
  for (const auto& host : hosts) {
    site.children.push_back(host_node(host));
    site.children.back().children = nodes_on(host.id, applications, instances);
  }
  tree_node waiting{"not placed", {}, {}, nodes_on({}, applications, instances)};
  if (!waiting.children.empty())
    site.children.push_back(std::move(waiting));
  return site;
}

tree_node actor_tree(const std::vector<actor_view>& actors) {
  tree_node root{"site", {}, {}, {}};
  std::vector<std::pair<std::string, tree_node*>> open; // the nodes from the root down to the last one added
  // A parent's children are complete before its sibling begins, so pointers into `children` hold while they are used.
  for (const auto& actor : actors) {
    while (!open.empty() && actor.path.compare(0, open.back().first.size() + 1, open.back().first + '/') != 0)
      open.pop_back();
    auto& parent = open.empty() ? root : *open.back().second;
    const auto label = open.empty() ? actor.path : actor.path.substr(open.back().first.size() + 1);
    parent.children.push_back(actor_node(actor, label));
    open.emplace_back(actor.path, &parent.children.back());
  }
  return root;
}

std::string status_text(const actors::status_view& s, time_point now, bool colours) {
  std::vector<std::pair<std::string, std::string>> lines{
      {"site", printable(s.site)},
      {"health",
       paint_state(s.health, printable(s.health), colours) + (s.reason.empty() ? "" : ": " + printable(s.reason))},
      {"leader", s.leader.empty() ? "none known" : printable(s.leader)},
      {"quorum", s.quorum ? "yes" : "no"},
      {"hosts", std::to_string(s.hosts_up) + " of " + std::to_string(s.hosts) + " up"},
      {"applications", std::to_string(s.applications)},
      {"instances", std::to_string(s.instances_running) + " of " + std::to_string(s.instances) + " running"
                        + (s.instances_finished == 0 ? "" : ", " + std::to_string(s.instances_finished) + " finished")},
      {"log", "term " + std::to_string(s.term) + ", committed " + std::to_string(s.committed) + ", applied " +
                  std::to_string(s.applied)},
      {"answered by", printable(s.host + " (" + s.role + ", version " + s.version +
                                (s.started_at.empty() ? "" : ", up " + age_of(s.started_at, now)) + ')')},
  };
  std::string text;
  for (const auto& [key, value] : lines)
    text += pad(key, 14) + value + '\n';
  return text;
}

} // namespace prunella::tools
