#include "config/validate.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "config/address.hpp"
#include "config/checker.hpp"
#include "config/did_you_mean.hpp"
#include "config/label_expression.hpp"
#include "config/networks.hpp"
#include "config/quantity.hpp"
#include "config/variables.hpp"

namespace prunella::config {

namespace {

using std::chrono::milliseconds;

constexpr std::size_t max_socket_path = 107; // sun_path with its NUL, unix(7)

void check_drivers(checker& c, const std::string& path, const std::vector<driver_spec>& drivers) {
  c.count(path, drivers.size(), 0, enum_texts<driver_kind>::value.size());
  std::map<std::string, std::string> kinds;
  for (std::size_t i = 0; i < drivers.size() && !c.is_full(); ++i) {
    const auto& driver = drivers[i];
    const std::string at = item(path, i);
    c.unique(at, std::string(to_text(driver.kind)), kinds);
    if (!driver.runtime.empty()
        && c.check(driver.kind == driver_kind::oci, at + ".runtime", "is set, but only oci has a runtime", "remove it"))
      check_absolute(c, at + ".runtime", driver.runtime);
    if (driver.socket.empty()
        || !c.check(driver.kind == driver_kind::engine, at + ".socket", "is set, but only engine has a socket", "remove it"))
      continue;
    check_absolute(c, at + ".socket", driver.socket);
    c.check(driver.socket.size() <= max_socket_path, at + ".socket", "has " + std::to_string(driver.socket.size()) + " bytes",
            "give a path of at most " + std::to_string(max_socket_path) + ", as long as that of a unix socket may be");
  }
}

void check_host(checker& c, const std::string& path, const host_spec& host) {
  if (host.address.empty())
    c.add(path + ".address", "is missing", "write " + std::string(address_form));
  else
    c.check(parse_address(host.address).has_value(), path + ".address", "is " + quoted(host.address),
            "write " + std::string(address_form));
  c.labels(path + ".labels", host.labels);
  c.amounts(path + ".capacity", host.capacity, 1);
  c.check(host.door.empty() || parse_address(host.door).has_value(), path + ".door", "is " + quoted(host.door),
          "write " + std::string(address_form) + ", or leave it out for a free port at the host's address");
  check_drivers(c, path + ".drivers", host.drivers);
  c.count(path + ".host-paths", host.host_paths.size(), 0, limits::host_paths);
  for (std::size_t i = 0; i < std::min(host.host_paths.size(), limits::host_paths); ++i)
    check_absolute(c, item(path + ".host-paths", i), host.host_paths[i]);
}

/// What a device may be called (Linux: IFNAMSIZ with its NUL).
bool is_device_name(std::string_view name) {
  return name.size() <= 15 && name != "." && name != ".." &&
         all(name, [](char ch) { return ch > ' ' && ch <= '~' && ch != '/' && ch != ':'; });
}

void check_networks(checker& c, const site_spec& site) {
  const auto range = parse_network(site.networks.range);
  c.check(range.has_value() && range->length >= shortest_range && range->length <= longest_range, "networks.range",
          "is " + quoted(site.networks.range),
          "write an IPv4 network of length " + std::to_string(shortest_range) + " to " + std::to_string(longest_range)
              + " that nothing else uses, such as 10.84.0.0/16");
  std::size_t devices = 0;
  for (std::size_t i = 0; i < std::min(site.hosts.size(), limits::hosts); ++i) {
    const auto& device = site.hosts[i].interface;
    devices += device.empty() ? 0 : 1;
    c.check(is_device_name(device), item("hosts", i) + ".interface", "is " + quoted(device),
            "write the name of a network device, such as eth0");
    c.check(device.empty() || !site.address.empty(), item("hosts", i) + ".interface", "is set, but the site has no address",
            "add address: ADDRESS/LENGTH to the site, or remove it");
  }
  if (site.address.empty())
    return;
  c.check(parse_interface_address(site.address).has_value(), "address", "is " + quoted(site.address),
          "write " + std::string(interface_address_form));
  c.check(devices > 0, "address", "is set, but no host has an interface to hold it on",
          "add interface: DEVICE to the hosts that may hold it");
}

void check_controllers(checker& c, const std::vector<host_spec>& hosts) {
  const auto chosen = [&](controller_choice choice) {
    return static_cast<std::size_t>(
        std::count_if(hosts.begin(), hosts.end(), [&](const host_spec& h) { return h.controller == choice; }));
  };
  c.check(hosts.empty() || chosen(controller_choice::no) < hosts.size(), "hosts", "no host may be a controller",
          "remove controller: no from at least one");
  c.check(chosen(controller_choice::yes) <= limits::controllers, "hosts",
          std::to_string(chosen(controller_choice::yes)) + " hosts have controller: yes",
          "use at most " + std::to_string(limits::controllers) + "; more voters make a site slower, not safer");
}

/// Calls `use(port, path, network)` for each port of the application that is looked at at all.
template <class Use>
void for_each_port(const application_spec& application, Use use) {
  for (std::size_t s = 0; s < std::min(application.services.size(), limits::services); ++s) {
    const auto& containers = application.services[s].containers;
    for (std::size_t i = 0; i < std::min(containers.size(), limits::containers); ++i)
      for (std::size_t k = 0; k < std::min(containers[i].ports.size(), limits::ports); ++k)
        use(containers[i].ports[k], item(item(item("services", s) + ".containers", i) + ".ports", k),
            application.services[s].network);
  }
}

/// Every host of the site answers on a published port, so nothing else may have it on any of them.
void check_published(checker& c, const application_spec& application) {
  used_ports published;
  std::size_t count = 0;
  for_each_port(application, [&](const port_spec& port, const std::string& at, instance_network) {
    c.check(port.publish != 0 || port.publish_on == publish_scope::all, at + ".publish-on",
            "is set for a port that is not published", "add publish: PORT, or remove it");
    if (port.publish == 0)
      return;
    ++count;
    const auto [first, is_new] = published.emplace(std::pair{port.publish, port.protocol}, at);
    c.check(is_new, at + ".publish", port_text(port.publish, port.protocol) + " is published by " + first->second + " too",
            "one port leads to one service: give each its own");
  });
  for_each_port(application, [&](const port_spec& port, const std::string& at, instance_network network) {
    if (network == instance_network::bridge)
      return; // its ports are its own
    const auto same = published.find({port.port, port.protocol});
    c.check(same == published.end(), at + ".port",
            port_text(port.port, port.protocol) + " is published"
                + (same == published.end() || same->second == at ? std::string{} : " by " + same->second)
                + ", so every host of the site answers on it itself",
            "let the container listen on another port");
  });
  c.check(count <= limits::published, "services", "publish " + std::to_string(count) + " ports",
          "use at most " + std::to_string(limits::published));
}

void check_restart(checker& c, const std::string& path, const restart_spec& restart) {
  c.range(path + ".intensity", restart.intensity, 0U, limits::intensity);
  c.duration(path + ".period", restart.period, milliseconds{1}, limits::window);
  c.duration(path + ".backoff.initial", restart.backoff_initial, milliseconds{0}, limits::pause);
  c.duration(path + ".backoff.max", restart.backoff_max, milliseconds{0}, limits::pause);
  c.check(restart.backoff_initial <= restart.backoff_max, path + ".backoff.max",
          "is " + duration_text(restart.backoff_max) + ", less than initial",
          "use at least " + duration_text(restart.backoff_initial));
}

void check_placement(checker& c, const std::string& path, const placement_spec& placement,
                     const std::vector<std::string>& services) {
  const auto parsed = parse_label_expression(placement.match_host_labels);
  c.check(parsed.error.empty(), path + ".match-host-labels",
          "column " + std::to_string(parsed.column) + " of the expression: " + parsed.error,
          "write for example: zone = front and not (disk = slow)");
  c.check(placement.spread_by.empty() || is_label_key(placement.spread_by), path + ".spread-by",
          "is " + quoted(placement.spread_by), "write the key of a host label");
  c.count(path + ".anti-affinity", placement.anti_affinity.size(), 0, limits::services);
  std::map<std::string, std::string> seen;
  for (std::size_t i = 0; i < std::min(placement.anti_affinity.size(), limits::services); ++i) {
    const auto& other = placement.anti_affinity[i];
    const std::string at = item(path + ".anti-affinity", i);
    c.unique(at, other, seen);
    if (std::find(services.begin(), services.end(), other) != services.end())
      continue;
    const std::string meant = c.is_full() ? std::string{} : did_you_mean(other, services);
    c.add(at, quoted(other) + " is no service of this application",
          meant.empty() ? "name a service of this application" : "did you mean " + meant + "?");
  }
}

void check_cut_off(checker& c, const std::string& path, const when_cut_off_spec& cut_off) {
  if (cut_off.mode == cut_off_mode::stop_after)
    c.duration(path + ".stop-after", cut_off.after, milliseconds{1}, limits::cut_off);
  else
    c.check(cut_off.after == milliseconds{0}, path + ".after", "is " + duration_text(cut_off.after),
            "only stop-after takes a duration; remove it");
}

void check_service(checker& c, const std::string& path, const service_spec& service,
                   const std::vector<std::string>& services) {
  c.range(path + ".replicas", service.replicas, 0U, limits::replicas);
  check_placement(c, path + ".placement", service.placement, services);
  check_restart(c, path + ".restart", service.restart);
  c.range(path + ".update.parallel", service.update.parallel, 1U, limits::replicas);
  c.duration(path + ".drain", service.drain, milliseconds{0}, limits::pause);
  c.duration(path + ".update.healthy-time", service.update.healthy_time, milliseconds{0}, limits::pause);
  c.duration(path + ".update.deadline", service.update.deadline, milliseconds{1'000}, limits::window);
  check_cut_off(c, path + ".when-cut-off", service.when_cut_off);
  c.count(path + ".containers", service.containers.size(), 1, limits::containers);
  c.count(path + ".init-containers", service.init_containers.size(), 0, limits::containers);
  service_rules rules{{}, known_variables(service), service.network};
  std::map<std::string, std::string> names;
  const auto check_all = [&](const std::vector<container_spec>& containers, const std::string& at) {
    for (std::size_t i = 0; i < std::min(containers.size(), limits::containers); ++i) {
      c.unique_name(item(at, i) + ".name", containers[i].name, names);
      check_container(c, item(at, i), containers[i], rules);
    }
  };
  check_all(service.containers, path + ".containers");
  check_all(service.init_containers, path + ".init-containers");
  for (std::size_t i = 0; i < std::min(service.init_containers.size(), limits::containers); ++i) {
    const auto at = item(path + ".init-containers", i);
    c.check(service.init_containers[i].ports.empty(), at + ".ports", "is set, but nothing is sent to an init container",
            "remove it");
    c.check(service.init_containers[i].probes == probes_spec{}, at + ".probes",
            "is set, but an init container runs to its end before the others start", "probe one of these");
  }
}

} // namespace

bool is_name(std::string_view text) {
  return !text.empty() && text.size() <= 63 && is_lower_alnum(text.front()) && is_lower_alnum(text.back()) &&
         all(text, [](char c) { return is_lower_alnum(c) || c == '-'; });
}

bool is_version(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         all(text, [](char c) { return is_alnum(c) || c == '.' || c == '+' || c == '-'; });
}

bool is_label_value(std::string_view text) {
  return text.empty() || (text.size() <= 63 && is_alnum(text.front()) && is_alnum(text.back()) &&
                          all(text, [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; }));
}

bool is_label_key(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return !text.empty() && is_label_value(text);
  const auto prefix = text.substr(0, slash);
  const auto name = text.substr(slash + 1);
  const bool good_prefix = !prefix.empty() && prefix.size() <= 253 && is_lower_alnum(prefix.front()) &&
                           is_lower_alnum(prefix.back()) &&
                           all(prefix, [](char c) { return is_lower_alnum(c) || c == '.' || c == '-'; });
  return good_prefix && !name.empty() && is_label_value(name);
}

std::vector<problem> validate(const site_spec& site) {
  checker c;
  c.name("name", site.name);
  c.labels("labels", site.labels);
  c.count("hosts", site.hosts.size(), 1, limits::hosts);
  std::map<std::string, std::string> ids;
  std::map<std::string, std::string> addresses;
  for (std::size_t i = 0; i < std::min(site.hosts.size(), limits::hosts); ++i) {
    const std::string at = item("hosts", i);
    c.unique_name(at + ".id", site.hosts[i].id, ids);
    check_host(c, at, site.hosts[i]);
    c.unique(at + ".address", site.hosts[i].address, addresses);
  }
  check_controllers(c, site.hosts);
  check_networks(c, site);
  c.range("images.copies", site.images.copies, 1U, static_cast<std::uint32_t>(limits::hosts));
  for (const auto& [key, bandwidth] : {std::pair{"images.bandwidth", site.images.bandwidth_bytes},
                                       std::pair{"images.uplink-bandwidth", site.images.uplink_bytes}})
    c.check(bandwidth == 0 || (bandwidth >= limits::least_bandwidth && bandwidth <= limits::memory_bytes), key,
            "is " + memory_text(std::max<std::int64_t>(bandwidth, 0)) + " a second",
            "use at least " + memory_text(limits::least_bandwidth) + ", or 0 for no bound");
  return c.take();
}

std::vector<problem> validate(const application_spec& application) {
  checker c;
  c.name("tenant", application.tenant);
  c.name("name", application.name);
  c.check(is_version(application.version), "version",
          application.version.empty() ? "is missing" : "is " + quoted(application.version),
          "use 1 to 64 letters, digits and . + -");
  c.labels("labels", application.labels);
  c.range("intensity", application.intensity, 0U, limits::intensity);
  c.duration("period", application.period, milliseconds{1}, limits::window);
  c.count("services", application.services.size(), 1, limits::services);
  std::vector<std::string> services;
  for (std::size_t i = 0; i < std::min(application.services.size(), limits::services); ++i)
    services.push_back(application.services[i].name);
  std::map<std::string, std::string> names;
  for (std::size_t i = 0; i < std::min(application.services.size(), limits::services); ++i) {
    const std::string at = item("services", i);
    c.unique_name(at + ".name", application.services[i].name, names);
    check_service(c, at, application.services[i], services);
  }
  check_published(c, application);
  return c.take();
}

} // namespace prunella::config
