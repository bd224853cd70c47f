#include "actors/site/placement.hpp"

#include <algorithm>
#include <numeric>

#include "config/label_expression.hpp"

namespace prunella::actors {

namespace {

struct labels_hash {
  std::size_t operator()(const config::labels* x) const {
    std::size_t hash = x->size();
    for (const auto& [key, value] : *x)
      hash = hash * 1'000'003 ^ std::hash<std::string>{}(key) ^ (std::hash<std::string>{}(value) << 1);
    return hash;
  }
};

struct labels_equal {
  bool operator()(const config::labels* a, const config::labels* b) const { return *a == *b; }
};

bool contains(const std::vector<std::string>& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
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
  std::string list;
  for (std::size_t i = 0; i < rejection_count; ++i)
    if (counts[i] != 0)
      list += (list.empty() ? ": " : ", ") + std::to_string(counts[i]) + ' ' + to_text(static_cast<rejection>(i), service);
  return "0 of " + std::to_string(std::accumulate(counts.begin(), counts.end(), 0U)) + " hosts fit" + list;
}

// -- what is on the board ------------------------------------------------------------------------------------------------

placement_board::placement_board(const site_state& state) {
  std::unordered_map<const config::labels*, std::uint32_t, labels_hash, labels_equal> classes;
  slots_.reserve(state.hosts.size());
  slot_of_.reserve(state.hosts.size());
  for (const auto& [id, host] : state.hosts) {
    const auto index = static_cast<std::uint32_t>(slots_.size());
    const auto [it, is_new] = classes.try_emplace(&host.spec.labels, static_cast<std::uint32_t>(classes_.size()));
    if (is_new)
      classes_.push_back({&host.spec.labels, {}});
    if (host.up)
      classes_[it->second].up.push_back(index);
    else
      ++hosts_down_;
    slot_of_.emplace(id, index);
    slots_.push_back({&host, host.spec.capacity, it->second, 0, {}});
  }
}

placement_board::service_id placement_board::add(const config::application_spec& application) {
  const auto first = static_cast<service_id>(services_.size());
  for (const auto& service : application.services) {
    auto& x = services_.emplace_back();
    for (const auto& container : service.containers) {
      x.resources.cpu_millis += container.resources.cpu_millis;
      x.resources.memory_bytes += container.resources.memory_bytes;
      for (const auto& port : container.ports)
        x.ports.push_back(port_key{port.port} * 2 + (port.protocol == config::port_protocol::udp ? 1 : 0));
    }
    // The rule holds in both directions, whichever of the two names the other.
    for (std::uint32_t i = 0; i < application.services.size(); ++i) {
      const auto& other = application.services[i];
      if (contains(service.placement.anti_affinity, other.name) || contains(other.placement.anti_affinity, service.name))
        x.foes.push_back(first + i);
    }
    x.match = &match_of(service.placement.match_host_labels);
    x.domains = &spread_by(service.placement.spread_by);
    x.in_domain.resize(x.domains->domains);
  }
  return first;
}

const placement_board::label_match& placement_board::match_of(const std::string& expression) {
  const auto [it, is_new] = matches_.try_emplace(expression);
  if (!is_new)
    return it->second;
  // An expression that does not parse was refused when the application was applied; if one is here, it matches nothing.
  const auto parsed = config::parse_label_expression(expression);
  for (const auto& x : classes_)
    it->second.push_back(parsed.error.empty() && parsed.expression.matches(*x.labels));
  return it->second;
}

/// Without a label every host is a domain of its own; one domain for all says the same, as replicas per host are compared
/// next.
const placement_board::spread& placement_board::spread_by(const std::string& label) {
  const auto [it, is_new] = spreads_.try_emplace(label);
  auto& x = it->second;
  if (!is_new)
    return x;
  std::map<std::string_view, std::uint32_t> domains;
  for (const auto& c : classes_) {
    const auto value = label.empty() ? c.labels->end() : c.labels->find(label);
    const std::string_view text = value == c.labels->end() ? std::string_view{} : value->second;
    x.domain_of_class.push_back(domains.try_emplace(text, static_cast<std::uint32_t>(domains.size())).first->second);
  }
  x.domains = static_cast<std::uint32_t>(domains.size());
  return x;
}

void placement_board::occupy(service_id service, const std::string& host) {
  const auto found = slot_of_.find(host);
  if (found == slot_of_.end())
    return;
  auto& at = slots_[found->second];
  auto& x = services_[service];
  at.free.cpu_millis -= x.resources.cpu_millis;
  at.free.memory_bytes -= x.resources.memory_bytes;
  for (const auto port : x.ports)
    at.ports.insert(std::lower_bound(at.ports.begin(), at.ports.end(), port), port);
  ++at.instances;
  if (x.on.empty())
    x.on.resize(slots_.size());
  ++x.on[found->second];
  ++x.in_domain[x.domains->domain_of_class[at.label_class]];
  ++occupied_;
}

// -- filters -------------------------------------------------------------------------------------------------------------

std::optional<rejection> placement_board::check(service_id service, const std::string& host) const {
  const auto found = slot_of_.find(host);
  if (found == slot_of_.end() || !slots_[found->second].host->up)
    return rejection::down;
  const auto& x = services_[service];
  if (!(*x.match)[slots_[found->second].label_class])
    return rejection::labels;
  return crowded(x, found->second);
}

/// Of a host that is up and matches: what those who are there leave too little of.
std::optional<rejection> placement_board::crowded(const placed_service& x, std::uint32_t index) const {
  const auto& at = slots_[index];
  for (const auto foe : x.foes)
    if (const auto& on = services_[foe].on; !on.empty() && on[index] != 0)
      return rejection::anti_affinity;
  for (const auto port : x.ports)
    if (std::binary_search(at.ports.begin(), at.ports.end(), port))
      return rejection::port;
  if (at.free.cpu_millis < x.resources.cpu_millis)
    return rejection::cpu;
  if (at.free.memory_bytes < x.resources.memory_bytes)
    return rejection::memory;
  return std::nullopt;
}

/// Counted anew only when the board has changed: of many replicas that find no host, the first pays.
const rejection_counts& placement_board::rejections(placed_service& x) const {
  if (x.rejected_at == occupied_)
    return x.rejected;
  x.rejected_at = occupied_;
  x.rejected = {};
  x.rejected[static_cast<std::size_t>(rejection::down)] = hosts_down_;
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    if (!(*x.match)[c]) {
      x.rejected[static_cast<std::size_t>(rejection::labels)] += static_cast<std::uint32_t>(classes_[c].up.size());
      continue;
    }
    for (const auto index : classes_[c].up)
      if (const auto why = crowded(x, index))
        ++x.rejected[static_cast<std::size_t>(*why)];
  }
  return x.rejected;
}

// -- choice --------------------------------------------------------------------------------------------------------------

host_rank placement_board::rank(const placed_service& x, std::uint32_t index) const {
  const auto& at = slots_[index];
  return {x.on.empty() ? 0 : x.on[index], reserved_share(at.host->spec.capacity, at.free, x.resources), at.instances, index};
}

void placement_board::make_order(placed_service& x) const {
  std::vector<std::vector<host_rank>> domains(x.domains->domains);
  for (std::size_t c = 0; c < classes_.size(); ++c)
    if ((*x.match)[c])
      for (const auto index : classes_[c].up)
        if (!crowded(x, index))
          domains[x.domains->domain_of_class[c]].push_back(rank(x, index));
  x.order.emplace(std::move(domains));
}

placement_result placement_board::choose(service_id service, const std::vector<avoided_host>& avoided, time_ms now) {
  auto& x = services_[service];
  if (std::any_of(avoided.begin(), avoided.end(), [&](const auto& a) { return now < a.until; }))
    return choose_beside(x, avoided, now);
  if (!x.order)
    make_order(x);
  const auto best = x.order->best(x.in_domain, [&](std::uint32_t index) -> std::optional<host_rank> {
    if (crowded(x, index))
      return std::nullopt;
    return rank(x, index);
  });
  if (best)
    return {slots_[*best].host->spec.id, {}};
  return {{}, rejections(x)};
}

/// The few instances that gave up somewhere lately have a choice of their own: a look at every host.
placement_result placement_board::choose_beside(placed_service& x, const std::vector<avoided_host>& avoided,
                                                time_ms now) const {
  const auto is_avoided = [&](const std::string& host) {
    return std::any_of(avoided.begin(), avoided.end(), [&](const auto& a) { return now < a.until && a.host == host; });
  };
  std::optional<std::pair<std::uint32_t, host_rank>> best; // replicas in the domain, then as always
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    if (!(*x.match)[c])
      continue;
    const auto in_domain = x.in_domain[x.domains->domain_of_class[c]];
    for (const auto index : classes_[c].up) {
      if (is_avoided(slots_[index].host->spec.id) || crowded(x, index))
        continue;
      const std::pair<std::uint32_t, host_rank> here{in_domain, rank(x, index)};
      if (!best || here < *best)
        best = here;
    }
  }
  if (best)
    return {slots_[best->second.slot].host->spec.id, {}};
  auto counts = rejections(x);
  for (const auto& a : avoided) {
    const auto found = slot_of_.find(a.host);
    if (now >= a.until || found == slot_of_.end() || !slots_[found->second].host->up
        || !(*x.match)[slots_[found->second].label_class])
      continue;
    if (const auto why = crowded(x, found->second))
      --counts[static_cast<std::size_t>(*why)];
    ++counts[static_cast<std::size_t>(rejection::avoided)];
  }
  return {{}, counts};
}

} // namespace prunella::actors
