#include "config/validate.hpp"

#include <algorithm>
#include <cctype>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "config/address.hpp"
#include "config/did_you_mean.hpp"
#include "config/label_expression.hpp"
#include "config/limits.hpp"
#include "config/time.hpp"
#include "config/yaml/characters.hpp"

namespace prunella::config {

namespace {

using std::chrono::milliseconds;
using yaml::quoted;

constexpr std::string_view name_rule = "use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends";

bool is_alnum(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 && static_cast<unsigned char>(c) < 0x80;
}

bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool all(std::string_view text, bool (*good)(char)) {
  return std::all_of(text.begin(), text.end(), good);
}

/// Collects problems; each check adds at most one. Of a list that is too long, only the allowed number is looked at.
class checker {
public:
  void add(const std::string& path, std::string what, std::string fix) {
    problems_.push_back({{}, {}, path, std::move(what), std::move(fix)});
  }

  bool check(bool good, const std::string& path, std::string what, std::string fix) {
    if (!good)
      add(path, std::move(what), std::move(fix));
    return good;
  }

  void name(const std::string& path, const std::string& name) {
    if (name.empty())
      add(path, "is missing", std::string(name_rule));
    else
      check(is_name(name), path, "is " + quoted(name), std::string(name_rule));
  }

  /// `name` unless it is the second of its kind; `seen` maps names to paths.
  void unique_name(const std::string& path, const std::string& text, std::map<std::string, std::string>& seen) {
    name(path, text);
    unique(path, text, seen);
  }

  void unique(const std::string& path, const std::string& text, std::map<std::string, std::string>& seen) {
    if (text.empty())
      return;
    const auto [first, is_new] = seen.emplace(text, path);
    check(is_new, path, quoted(text) + " is used by " + first->second + " too", "give each its own");
  }

  void count(const std::string& path, std::size_t size, std::size_t min, std::size_t max) {
    check(size >= min && size <= max, path,
          size == 0 ? "is missing or empty" : "has " + std::to_string(size) + " entries",
          "use " + std::to_string(min) + " to " + std::to_string(max));
  }

  template <class T>
  void range(const std::string& path, T value, T min, T max) {
    check(value >= min && value <= max, path, "is " + std::to_string(value),
          "use " + std::to_string(min) + " to " + std::to_string(max));
  }

  void duration(const std::string& path, milliseconds value, milliseconds min, milliseconds max) {
    check(value >= min && value <= max, path, "is " + duration_text(value),
          "use " + duration_text(min) + " to " + duration_text(max));
  }

  void labels(const std::string& path, const config::labels& labels) {
    count(path, labels.size(), 0, limits::labels);
    for (const auto& [key, value] : labels) {
      check(is_label_key(key), path + '.' + key, "is no label key",
            "use letters, digits and . _ - (at most 63), if needed behind a prefix such as example.com/");
      check(is_label_value(value), path + '.' + key, "is " + quoted(value),
            "use at most 63 letters, digits and . _ -, with a letter or digit at both ends");
    }
  }

  /// Amounts with `min` as the least of both.
  void amounts(const std::string& path, const resources& amounts, std::int64_t min) {
    const std::string what = min > 0 ? "is missing, zero or too large" : "is negative or too large";
    check(amounts.cpu_millis >= min && amounts.cpu_millis <= limits::cpu_millis, path + ".cpu", what,
          "write the cores, such as 4 or 500m");
    check(amounts.memory_bytes >= min && amounts.memory_bytes <= limits::memory_bytes, path + ".memory", what,
          "write the bytes, such as 4Gi or 64Mi");
  }

  /// More will not be shown, so costly advice is not worth it.
  bool is_full() const { return problems_.size() >= limits::problems; }

  std::vector<problem> take() { return std::move(problems_); }

private:
  std::vector<problem> problems_;
};

std::string item(const std::string& path, std::size_t index) {
  return path + '[' + std::to_string(index) + ']';
}

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
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

void check_env(checker& c, const std::string& path, const std::map<std::string, std::string>& env) {
  c.count(path, env.size(), 0, limits::env);
  for (const auto& [name, value] : env) {
    const std::string at = path + '.' + name;
    const bool good = !name.empty() && name.size() <= 255 &&
                      std::isdigit(static_cast<unsigned char>(name.front())) == 0 &&
                      all(name, [](char ch) { return is_alnum(ch) || ch == '_'; });
    c.check(good, at, "is no name of a variable", "use letters, digits and _, not starting with a digit");
    c.check(name.rfind("PRUNELLA_", 0) != 0, at, "starts with PRUNELLA_, which the agent sets", "choose another name");
    c.check(!has_nul(value), at, "holds a NUL character", "remove it");
    c.check(name.size() + value.size() < limits::argument_bytes, at, "is too long",
            "use less than 128 KiB with its name");
  }
}

void check_command(checker& c, const std::string& path, const std::vector<std::string>& command) {
  if (command.empty())
    return c.add(path, "is missing", "write a list of the program and its arguments: [program, argument]");
  c.count(path, command.size(), 1, limits::arguments);
  c.check(!command.front().empty(), item(path, 0), "is empty", "write the program to run");
  for (std::size_t i = 0; i < std::min(command.size(), limits::arguments); ++i) {
    c.check(!has_nul(command[i]), item(path, i), "holds a NUL character", "remove it");
    c.check(command[i].size() <= limits::argument_bytes, item(path, i), "is too long", "use less than 128 KiB");
  }
}

std::string port_text(std::uint16_t port, port_protocol protocol) {
  return std::to_string(port) + '/' + std::string(to_text(protocol));
}

/// Ports are reserved on the host an instance is placed on, so all containers of a service share one set.
using used_ports = std::map<std::pair<std::uint16_t, port_protocol>, std::string>;

void check_ports(checker& c, const std::string& path, const std::vector<port_spec>& ports, used_ports& used) {
  c.count(path, ports.size(), 0, limits::ports);
  std::map<std::string, std::string> names;
  for (std::size_t i = 0; i < std::min(ports.size(), limits::ports); ++i) {
    const auto& port = ports[i];
    const std::string at = item(path, i);
    c.unique_name(at + ".name", port.name, names);
    if (!c.check(port.port > 0, at + ".port", "is missing or zero", "use 1 to 65535"))
      continue;
    const auto [first, is_new] = used.emplace(std::pair{port.port, port.protocol}, at);
    c.check(is_new, at + ".port",
            port_text(port.port, port.protocol) + " is used by " + first->second + " too",
            "containers of one instance share the host's ports: give each its own");
  }
}

/// Calls `use(port, path)` for each port of the application that is looked at at all.
template <class Use>
void for_each_port(const application_spec& application, Use use) {
  for (std::size_t s = 0; s < std::min(application.services.size(), limits::services); ++s) {
    const auto& containers = application.services[s].containers;
    for (std::size_t i = 0; i < std::min(containers.size(), limits::containers); ++i)
      for (std::size_t k = 0; k < std::min(containers[i].ports.size(), limits::ports); ++k)
        use(containers[i].ports[k],
            item(item(item("services", s) + ".containers", i) + ".ports", k));
  }
}

/// Every host of the site answers on a published port, so nothing else may have it on any of them.
void check_published(checker& c, const application_spec& application) {
  used_ports published;
  std::size_t count = 0;
  for_each_port(application, [&](const port_spec& port, const std::string& at) {
    c.check(port.publish != 0 || port.publish_on == publish_scope::all, at + ".publish-on",
            "is set for a port that is not published", "add publish: PORT, or remove it");
    if (port.publish == 0)
      return;
    ++count;
    const auto [first, is_new] = published.emplace(std::pair{port.publish, port.protocol}, at);
    c.check(is_new, at + ".publish", port_text(port.publish, port.protocol) + " is published by " + first->second + " too",
            "one port leads to one service: give each its own");
  });
  for_each_port(application, [&](const port_spec& port, const std::string& at) {
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

void check_container(checker& c, const std::string& path, const container_spec& container, used_ports& used) {
  check_command(c, path + ".command", container.command);
  check_env(c, path + ".env", container.env);
  const auto& directory = container.working_directory;
  c.check(directory.empty() ||
              (directory.front() == '/' && directory.size() <= limits::path_bytes && !has_nul(directory)),
          path + ".working-directory", "is " + quoted(directory),
          "write an absolute path, or leave it out for the container's own folder");
  c.amounts(path + ".resources", container.resources, 0);
  check_ports(c, path + ".ports", container.ports, used);
  c.duration(path + ".grace", container.grace, milliseconds{0}, limits::pause);
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
  check_cut_off(c, path + ".when-cut-off", service.when_cut_off);
  c.count(path + ".containers", service.containers.size(), 1, limits::containers);
  std::map<std::string, std::string> names;
  used_ports used;
  for (std::size_t i = 0; i < std::min(service.containers.size(), limits::containers); ++i) {
    const std::string at = item(path + ".containers", i);
    c.unique_name(at + ".name", service.containers[i].name, names);
    check_container(c, at, service.containers[i], used);
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
