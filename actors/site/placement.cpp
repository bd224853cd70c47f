#include "actors/site/placement.hpp"

#include <algorithm>
#include <numeric>

#include "actors/site/application_images.hpp"
#include "config/host_paths.hpp"
#include "config/label_expression.hpp"
#include "config/quantity.hpp"

namespace prunella::actors {

namespace {

constexpr unsigned needs_processes = 1;
constexpr unsigned needs_images = 2;
constexpr unsigned needs_bridge = 4;
constexpr unsigned needs_user_namespaces = 8;
constexpr unsigned needs_disk_limits = 16;
constexpr unsigned needs_own_networks = 32;
constexpr unsigned needs_oci = 64;
constexpr unsigned needs_engine = 128;

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

template <class T>
bool contains(const std::vector<T>& list, const T& x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}

/// Reserved share of the scarcer of cpu and memory in thousandths, 0 … 1000, if `wants` went there too and fits.
std::uint32_t reserved_share(const config::resources& capacity, const config::resources& free,
                             const config::resources& wants) {
  const auto share = [](std::int64_t total, std::int64_t left) { return total <= 0 ? 0 : (total - left) * 1000 / total; };
  return static_cast<std::uint32_t>(
    std::max(share(capacity.cpu_millis, free.cpu_millis - wants.cpu_millis),
             share(capacity.memory_bytes / 1024, (free.memory_bytes - wants.memory_bytes) / 1024)));
}

/// The containers of a service, init containers too.
template <class Visit>
void for_each_container(const config::service_spec& service, Visit visit) {
  for (const auto* containers : {&service.containers, &service.init_containers})
    for (const auto& container : *containers)
      visit(container);
}

std::set<std::string> host_paths_of(const config::service_spec& service) {
  std::set<std::string> paths;
  for_each_container(service, [&](const auto& container) {
    for (const auto& volume : container.volumes)
      if (volume.kind == config::volume_kind::host_path)
        paths.insert(volume.path);
  });
  return paths;
}

std::string joined_text(const std::set<std::string>& words) {
  std::string text;
  for (const auto& word : words)
    text += (text.empty() ? "" : " and ") + word;
  return text;
}

/// Where waiting does not help; empty where it may.
std::string in_vain(const rejection_counts& counts, const config::resources& wants, const site_state& state) {
  config::resources most;
  for (const auto& [id, host] : state.hosts) {
    most.cpu_millis = std::max(most.cpu_millis, host.spec.capacity.cpu_millis);
    most.memory_bytes = std::max(most.memory_bytes, host.spec.capacity.memory_bytes);
  }
  if (counts[static_cast<std::size_t>(rejection::memory)] != 0 && most.memory_bytes < wants.memory_bytes)
    return "; none has more than " + config::memory_text(most.memory_bytes) + " in all";
  if (counts[static_cast<std::size_t>(rejection::cpu)] != 0 && most.cpu_millis < wants.cpu_millis)
    return "; none has more than " + config::cpu_text(most.cpu_millis) + " in all";
  return {};
}

std::string driver_text(const config::service_spec& service) {
  std::set<std::string> wanted;
  for_each_container(service, [&](const auto& x) {
    wanted.insert(x.driver != config::driver_choice::automatic ? "the driver " + std::string{config::to_text(x.driver)}
                  : x.image.empty()                             ? "a driver for processes"
                                                                : "a driver for images");
  });
  std::string text;
  for (const auto& x : wanted)
    text += (text.empty() ? "without " : " and ") + x;
  return text;
}

} // namespace

std::string to_text(rejection why, const config::service_spec& service) {
  switch (why) {
  case rejection::down: return "down";
  case rejection::drained: return "drained";
  case rejection::disk_room: return "with a full disk";
  case rejection::labels: return "not matching the labels `" + service.placement.match_host_labels + '`';
  case rejection::driver: return driver_text(service);
  case rejection::avoided: return "avoided because it gave up there";
  case rejection::bridge: return "without what `network: bridge` needs";
  case rejection::user_namespace: return "without user namespaces";
  case rejection::disk_limit: return "whose container engine cannot limit disk (it takes the driver oci, or no `disk`)";
  case rejection::own_network:
    return "whose Docker takes no network from outside (it takes the driver oci or Podman, or `network: host`)";
  case rejection::host_path: return "whose `host-paths:` do not allow " + joined_text(host_paths_of(service));
  case rejection::anti_affinity: return "holding a service that it must not share a host with";
  case rejection::port: return "with a port it needs already reserved";
  case rejection::cpu: return "with less than " + config::cpu_text(resources_of(service).cpu_millis) + " cpu left";
  case rejection::memory: return "with less than " + config::memory_text(resources_of(service).memory_bytes) + " memory left";
  }
  return "rejected";
}

config::resources resources_of(const config::service_spec& service) {
  config::resources wants;
  for (const auto& container : service.containers) {
    wants.cpu_millis += container.resources.cpu_millis;
    wants.memory_bytes += container.resources.memory_bytes;
  }
  // One init container at a time, and none of the others meanwhile.
  for (const auto& init : service.init_containers) {
    wants.cpu_millis = std::max(wants.cpu_millis, init.resources.cpu_millis);
    wants.memory_bytes = std::max(wants.memory_bytes, init.resources.memory_bytes);
  }
  return wants;
}

std::string explain(const rejection_counts& counts, const config::service_spec& service, const site_state& state) {
  std::string list;
  for (std::size_t i = 0; i < rejection_count; ++i)
    if (counts[i] != 0)
      list += (list.empty() ? ": " : ", ") + std::to_string(counts[i]) + ' ' + to_text(static_cast<rejection>(i), service);
  return "0 of " + std::to_string(std::accumulate(counts.begin(), counts.end(), 0U)) + " hosts fit" + list
         + in_vain(counts, resources_of(service), state);
}

// -- what is on the board ------------------------------------------------------------------------------------------------

bool is_unsuitable(rejection why) {
  switch (why) {
  case rejection::drained:
  case rejection::labels:
  case rejection::driver:
  case rejection::bridge:
  case rejection::user_namespace:
  case rejection::disk_limit:
  case rejection::own_network:
  case rejection::host_path: return true;
  case rejection::down:
  case rejection::avoided:
  case rejection::disk_room:
  case rejection::anti_affinity:
  case rejection::port:
  case rejection::cpu:
  case rejection::memory: return false;
  }
  return false;
}

placement_board::placement_board(const site_state& state, const image_places& images) : images_(images) {
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
    slots_.push_back({&host, host.spec.capacity, host.spec.capacity, it->second, 0, host.up, host.drained, contains(host.lacks, host_lack::disk_room),
                      offered_by(host), {}});
  }
}

placement_board::service_id placement_board::add(const config::application_spec& application, const image_digests& images) {
  const auto first = static_cast<service_id>(services_.size());
  for (const auto& service : application.services) {
    demand wants;
    wants.resources = resources_of(service);
    for (const auto& container : service.containers) {
      if (service.network != config::instance_network::host)
        continue; // its ports are not the host's
      for (const auto& port : container.ports)
        wants.ports.push_back(port_key{port.port} * 2 + (port.protocol == config::port_protocol::udp ? 1 : 0));
    }
    wants.needs = needs_of(service);
    // The rule holds in both directions, whichever of the two names the other.
    for (std::uint32_t i = 0; i < application.services.size(); ++i) {
      const auto& other = application.services[i];
      if (contains(service.placement.anti_affinity, other.name) || contains(other.placement.anti_affinity, service.name))
        wants.foes.push_back(first + i);
    }
    wants.match = &match_of(service.placement.match_host_labels);
    wants.domains = &spread_by(service.placement.spread_by);
    wants.forbids = forbids(service);
    wants.lacking = lacking(service, digests_of(images, service.name));
    auto& x = services_.emplace_back();
    x.wants = &demand_of(std::move(wants));
    if (!x.wants->foes.empty()) // each is a foe of its foes
      x.on.resize(slots_.size());
    x.in_domain.resize(x.wants->domains->domains);
  }
  return first;
}

placement_board::demand& placement_board::demand_of(demand wanted) {
  const bool is_own = !wanted.ports.empty() || !wanted.foes.empty();
  demand* own = nullptr;
  auto& known = is_own ? own
                       : shared_demands_[{wanted.match, wanted.domains, wanted.lacking, wanted.forbids, wanted.resources.cpu_millis,
                                         wanted.resources.memory_bytes, wanted.needs}];
  if (known == nullptr)
    known = &demands_.emplace_back(std::move(wanted));
  return *known;
}

placement_board::ability_set placement_board::needs_of(const config::service_spec& service) {
  unsigned needs = 0;
  if (service.network == config::instance_network::bridge)
    needs = needs_bridge;
  if (service.network != config::instance_network::host)
    needs |= needs_own_networks;
  for_each_container(service, [&](const auto& x) {
    needs |= x.image.empty() ? needs_processes : needs_images;
    needs |= x.user_namespace ? needs_user_namespaces : 0;
    needs |= x.driver == config::driver_choice::oci ? needs_oci : x.driver == config::driver_choice::engine ? needs_engine : 0;
    needs |= !x.image.empty() && x.disk_bytes > 0 ? needs_disk_limits : 0;
  });
  return static_cast<ability_set>(needs);
}

unsigned placement_board::need_of(host_lack lack) {
  switch (lack) {
  case host_lack::bridge: return needs_bridge;
  case host_lack::user_namespaces: return needs_user_namespaces;
  case host_lack::disk_limits: return needs_disk_limits;
  case host_lack::own_networks: return needs_own_networks;
  case host_lack::disk_room: return 0; // no ability of its containers
  }
  return 0;
}

/// A host that has not said anything yet runs plain processes, as every host of an earlier version does.
placement_board::ability_set placement_board::offered_by(const host_record& host) {
  unsigned offers = needs_bridge | needs_user_namespaces | needs_disk_limits | needs_own_networks | (host.drivers.empty() ? needs_processes : 0);
  for (const auto driver : host.drivers)
    offers |= driver == config::driver_kind::process ? needs_processes
              : driver == config::driver_kind::oci   ? needs_images | needs_oci
                                                     : needs_images | needs_engine;
  for (const auto lack : host.lacks)
    offers &= ~need_of(lack);
  return static_cast<ability_set>(offers);
}

const placement_board::host_flags* placement_board::forbids(const config::service_spec& service) {
  const auto paths = host_paths_of(service);
  if (paths.empty())
    return nullptr;
  const auto [it, is_new] = forbids_.try_emplace(paths);
  if (is_new)
    for (const auto& at : slots_)
      it->second.push_back(!std::all_of(paths.begin(), paths.end(), [&](const auto& path) {
        return config::is_below(path, at.host->spec.host_paths);
      }));
  return &it->second;
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

const image_places& placement_board::no_images() {
  static const image_places none;
  return none;
}

const placement_board::host_flags* placement_board::lacking(const config::service_spec& service,
                                                               const tag_digests& decided) {
  if (images_.empty())
    return nullptr;
  const auto images = images_of(service, decided);
  if (images.empty())
    return nullptr;
  const auto [it, is_new] = lacking_.try_emplace(images);
  if (is_new)
    for (const auto& at : slots_)
      it->second.push_back(std::any_of(images.begin(), images.end(), [&](const auto& reference) {
        const auto places = images_.find(reference);
        return places == images_.end() || places->second.count(at.host->spec.id) == 0;
      }));
  return &it->second;
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

std::optional<host_slot> placement_board::find(const std::string& host) const {
  const auto found = slot_of_.find(host);
  return found == slot_of_.end() ? std::nullopt : std::optional{found->second};
}

void placement_board::occupy(service_id service, host_slot index) {
  auto& at = slots_[index];
  auto& x = services_[service];
  at.free.cpu_millis -= x.wants->resources.cpu_millis;
  at.free.memory_bytes -= x.wants->resources.memory_bytes;
  for (const auto port : x.wants->ports)
    at.ports.insert(std::lower_bound(at.ports.begin(), at.ports.end(), port), port);
  ++at.instances;
  if (x.on.empty())
    x.where.push_back(index);
  else
    ++x.on[index];
  ++x.in_domain[x.wants->domains->domain_of_class[at.label_class]];
  ++occupied_;
}

// -- filters -------------------------------------------------------------------------------------------------------------

std::optional<rejection> placement_board::check(service_id service, host_slot at) const {
  const auto& wants = *services_[service].wants;
  if (!slots_[at].is_up)
    return rejection::down;
  if (slots_[at].is_drained)
    return rejection::drained;
  if (!(*wants.match)[slots_[at].label_class])
    return rejection::labels;
  return crowded(wants, at);
}

std::optional<rejection> placement_board::check_new(service_id service, host_slot at) const {
  const auto why = check(service, at);
  return why || !slots_[at].is_full ? why : std::optional{rejection::disk_room};
}

/// Of a host that is up and matches: why it takes nobody new.
std::optional<rejection> placement_board::closed(const demand& wants, host_slot index) const {
  const auto& at = slots_[index];
  return at.is_drained ? std::optional{rejection::drained} : at.is_full ? std::optional{rejection::disk_room} : crowded(wants, index);
}

/// Of a host that is up and matches: what those who are there leave too little of.
std::optional<rejection> placement_board::crowded(const demand& wants, host_slot index) const {
  const auto& at = slots_[index];
  if (const auto lacks = static_cast<unsigned>(wants.needs & ~at.offers); lacks != 0)
    return (lacks & (needs_processes | needs_images | needs_oci | needs_engine)) != 0 ? rejection::driver
           : (lacks & needs_own_networks) != 0             ? rejection::own_network
           : (lacks & needs_bridge) != 0                   ? rejection::bridge
           : (lacks & needs_user_namespaces) != 0          ? rejection::user_namespace
                                                           : rejection::disk_limit;
  if (wants.forbids != nullptr && (*wants.forbids)[index])
    return rejection::host_path;
  for (const auto foe : wants.foes)
    if (services_[foe].on[index] != 0)
      return rejection::anti_affinity;
  for (const auto port : wants.ports)
    if (std::binary_search(at.ports.begin(), at.ports.end(), port))
      return rejection::port;
  if (at.free.cpu_millis < wants.resources.cpu_millis)
    return rejection::cpu;
  if (at.free.memory_bytes < wants.resources.memory_bytes)
    return rejection::memory;
  return std::nullopt;
}

/// Counted anew only when the board has changed: of many replicas that find no host, the first pays.
const rejection_counts& placement_board::rejections(demand& wants) const {
  if (wants.rejected_at == occupied_)
    return wants.rejected;
  wants.rejected_at = occupied_;
  wants.rejected = {};
  wants.rejected[static_cast<std::size_t>(rejection::down)] = hosts_down_;
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    if (!(*wants.match)[c]) {
      wants.rejected[static_cast<std::size_t>(rejection::labels)] += static_cast<std::uint32_t>(classes_[c].up.size());
      continue;
    }
    for (const auto at : classes_[c].up)
      if (const auto why = closed(wants, at))
        ++wants.rejected[static_cast<std::size_t>(*why)];
  }
  return wants.rejected;
}

// -- choice --------------------------------------------------------------------------------------------------------------

/// Nothing if the host can no longer hold one more.
std::optional<host_rank> placement_board::rank(const demand& wants, std::uint32_t replicas, host_slot index) const {
  if (closed(wants, index))
    return std::nullopt;
  const auto& at = slots_[index];
  const bool lacks_image = wants.lacking != nullptr && (*wants.lacking)[index];
  return host_rank{replicas, lacks_image, reserved_share(at.capacity, at.free, wants.resources), at.instances, index};
}

host_order placement_board::order_of(const demand& wants) const {
  std::vector<std::vector<host_rank>> domains(wants.domains->domains);
  for (std::size_t c = 0; c < classes_.size(); ++c)
    if ((*wants.match)[c])
      for (const auto at : classes_[c].up)
        if (const auto x = rank(wants, 0, at))
          domains[wants.domains->domain_of_class[c]].push_back(*x);
  return host_order{std::move(domains)};
}

/// Ranks without regard to where a service is. For all services they may only be too good, as the order allows; what is at
/// the top is corrected here, so that not every service has to.
const host_order& placement_board::fresh_order(demand& wants) const {
  if (!wants.order)
    wants.order = order_of(wants);
  const std::vector<std::uint32_t> nowhere(wants.domains->domains);
  wants.order->best(nowhere, [&](host_slot at) { return rank(wants, 0, at); });
  return *wants.order;
}

const std::vector<std::uint32_t>& placement_board::counted(placed_service& x) const {
  if (x.on.empty())
    x.on.resize(slots_.size());
  for (const auto at : x.where)
    ++x.on[at];
  x.where.clear();
  return x.on;
}

placement_result placement_board::choose(service_id service, const std::vector<avoided_host>& avoided, time_ms now) {
  auto& x = services_[service];
  if (std::any_of(avoided.begin(), avoided.end(), [&](const auto& a) { return now < a.until; }))
    return choose_beside(x, avoided, now);
  if (!x.order)
    x.order = fresh_order(*x.wants);
  const auto& on = counted(x);
  const auto best = x.order->best(x.in_domain, [&](host_slot at) { return rank(*x.wants, on[at], at); });
  return best ? placement_result{best, {}} : placement_result{std::nullopt, rejections(*x.wants)};
}

/// The few instances that gave up somewhere lately have a choice of their own: a look at every host.
placement_result placement_board::choose_beside(placed_service& x, const std::vector<avoided_host>& avoided,
                                                time_ms now) const {
  const auto is_avoided = [&](const std::string& host) {
    return std::any_of(avoided.begin(), avoided.end(), [&](const auto& a) { return now < a.until && a.host == host; });
  };
  const auto& match = *x.wants->match;
  const auto& on = counted(x);
  std::optional<std::pair<std::uint32_t, host_rank>> best; // replicas in the domain, then as always
  for (std::size_t c = 0; c < classes_.size(); ++c) {
    if (!match[c])
      continue;
    const auto in_domain = x.in_domain[x.wants->domains->domain_of_class[c]];
    for (const auto at : classes_[c].up) {
      const auto here = is_avoided(slots_[at].host->spec.id) ? std::nullopt : rank(*x.wants, on[at], at);
      if (here && (!best || std::pair{in_domain, *here} < *best))
        best = {in_domain, *here};
    }
  }
  if (best)
    return {best->second.slot(), {}};
  auto counts = rejections(*x.wants);
  for (const auto& a : avoided) {
    const auto at = find(a.host);
    if (now >= a.until || !at || !slots_[*at].is_up || !match[slots_[*at].label_class])
      continue;
    if (const auto why = closed(*x.wants, *at))
      --counts[static_cast<std::size_t>(*why)];
    ++counts[static_cast<std::size_t>(rejection::avoided)];
  }
  return {std::nullopt, counts};
}

} // namespace prunella::actors
