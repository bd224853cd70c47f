#include <algorithm>
#include <cctype>
#include <set>

#include "config/checker.hpp"
#include "config/image_reference.hpp"
#include "config/quantity.hpp"
#include "config/signal.hpp"
#include "config/time.hpp"
#include "config/variables.hpp"

namespace prunella::config {

namespace {

using std::chrono::milliseconds;

/// What starts a container (runc 1.1: 2.3 MiB, measured) counts as the container's; at 2 MiB it fails now and then, at 3 not.
constexpr std::int64_t least_image_memory = 4 * 1024 * 1024;

constexpr std::string_view path_rule = "write an absolute path without .. in it, at most 4095 bytes";

bool is_clean_path(std::string_view path) {
  if (path.empty() || path.front() != '/' || path.size() > limits::path_bytes || path.find('\0') != path.npos)
    return false;
  const std::string closed = std::string(path) + '/';
  return closed.find("/../") == closed.npos;
}

/// The first unknown variable of a text, as a rule a typing error.
void check_variables(checker& c, const std::string& at, const std::string& text,
                     const std::vector<std::string>& known) {
  for (const auto& name : used_variables(text)) {
    const auto is_it = [&](const std::string& x) { return x == name || environment_name(x) == name; };
    if (std::any_of(known.begin(), known.end(), is_it))
      continue;
    std::string list;
    for (const auto& x : known)
      list.append(list.empty() ? "" : ", ").append(x);
    return c.add(at, "refers to ${" + name + "}, which is no variable here",
                 "known are " + list + "; write $${" + name + "} to leave it to a shell");
  }
}

void check_env(checker& c, const std::string& path, const std::map<std::string, std::string>& env,
               const std::vector<std::string>& variables) {
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
    check_variables(c, at, value, variables);
  }
}

void check_arguments(checker& c, const std::string& path, const std::vector<std::string>& arguments,
                     const std::vector<std::string>& variables) {
  c.count(path, arguments.size(), 0, limits::arguments);
  for (std::size_t i = 0; i < std::min(arguments.size(), limits::arguments); ++i) {
    c.check(!has_nul(arguments[i]), item(path, i), "holds a NUL character", "remove it");
    c.check(arguments[i].size() <= limits::argument_bytes, item(path, i), "is too long", "use less than 128 KiB");
    check_variables(c, item(path, i), arguments[i], variables);
  }
}

void check_argv(checker& c, const std::string& path, const std::vector<std::string>& argv,
                const std::vector<std::string>& variables) {
  c.check(!argv.front().empty(), item(path, 0), "is empty", "write the program to run");
  check_arguments(c, path, argv, variables);
}

void check_command(checker& c, const std::string& path, const container_spec& container,
                   const std::vector<std::string>& variables) {
  if (container.command.empty() && !container.image.empty())
    return; // the image's own
  if (container.command.empty())
    return c.add(path, "is missing", "write a list of the program and its arguments: [program, argument]");
  check_argv(c, path, container.command, variables);
}

void check_driver(checker& c, const std::string& path, const container_spec& container) {
  const bool is_process = container.driver == driver_choice::process;
  c.check(container.driver == driver_choice::automatic || is_process == container.image.empty(), path,
          "is " + std::string(to_text(container.driver)) + ", which " + (is_process ? "runs no images" : "runs only images"),
          is_process ? "write oci or engine, or remove it" : "add image, or remove it");
}

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

/// Of an absolute path, without what means nothing in it: `/e//./f/` is `/e/f`, and the root is empty.
std::string short_path(std::string_view path) {
  std::string made;
  while (!path.empty()) {
    const auto slash = std::min(path.find('/'), path.size());
    const auto part = path.substr(0, slash);
    if (!part.empty() && part != ".")
      made.append("/").append(part);
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return made;
}

/// `may_be_device`: the host's own files, such as /dev/log, may show below /dev.
void check_target(checker& c, const std::string& at, const std::string& path, bool may_be_device,
                  std::map<std::string, std::string>& targets) {
  check_absolute(c, at, path);
  const auto target = short_path(path);
  if (!is_clean_path(path) || !c.check(!target.empty(), at, "is the root of the container", "name a folder or file in it"))
    return;
  for (const std::string folder : {"/proc", "/sys", "/dev"})
    if (target == folder || (target.rfind(folder + '/', 0) == 0 && !(folder == "/dev" && may_be_device)))
      c.add(at, "is " + quoted(path) + ", but the runtime makes " + folder + " for each container",
            folder == "/dev" ? "name a path outside it; only a volume at /dev/shm and host-path volumes go below it"
                             : "name a path outside it");
  c.unique(at, target, targets);
}

void check_files(checker& c, const std::string& path, const std::vector<file_spec>& files,
                 const std::vector<std::string>& variables, std::map<std::string, std::string>& targets) {
  c.count(path, files.size(), 0, limits::files);
  std::size_t total = 0;
  for (std::size_t i = 0; i < std::min(files.size(), limits::files); ++i) {
    const auto& file = files[i];
    const std::string at = item(path, i);
    check_target(c, at + ".path", file.path, false, targets);
    total += file.content.size();
    c.check(total <= limits::file_content_bytes, at + ".content", "makes the files of this container too large",
            "use at most 256 KiB for all of them, or an image or a volume");
    check_variables(c, at + ".content", file.content, variables);
    const bool octal = file.mode.size() >= 3 && file.mode.size() <= 4 && file.mode.find_first_not_of("01234567") == file.mode.npos;
    c.check(octal && (file.mode.size() == 3 || file.mode.front() == '0'), at + ".mode", "is " + quoted(file.mode),
            "write three octal digits such as 0644 or 0600");
  }
}

void check_volume(checker& c, const std::string& at, const volume_spec& volume) {
  const bool named = volume.kind == volume_kind::persistent;
  const bool of_host = volume.kind == volume_kind::host_path;
  const std::string kind(to_text(volume.kind));
  if (named)
    c.name(at + ".name", volume.name);
  else
    c.check(volume.name.empty(), at + ".name", "is " + quoted(volume.name) + ", which only a persistent volume has",
            "remove it, or write kind: persistent");
  if (of_host)
    check_absolute(c, at + ".path", volume.path);
  else
    c.check(volume.path.empty(), at + ".path", "is " + quoted(volume.path) + ", which only a host-path has",
            "remove it, or write kind: host-path");
  c.check(!volume.movable || named, at + ".movable", "says nothing of a volume of kind " + kind,
          "remove it; only a persistent volume keeps its instance on its host");
  const bool bounded = !named && !of_host;
  c.check(volume.size_bytes == 0 || bounded, at + ".size", "cannot be kept for a volume of kind " + kind,
          "remove it; only ephemeral and tmpfs volumes have a size");
  c.check(volume.size_bytes >= 0 && volume.size_bytes <= limits::memory_bytes, at + ".size",
          "is negative or too large", "write the bytes, such as 64Mi");
}

void check_volumes(checker& c, const std::string& path, const std::vector<volume_spec>& volumes,
                   std::map<std::string, std::string>& targets) {
  c.count(path, volumes.size(), 0, limits::volumes);
  for (std::size_t i = 0; i < std::min(volumes.size(), limits::volumes); ++i) {
    const bool may_be_device = volumes[i].kind == volume_kind::host_path || short_path(volumes[i].target) == "/dev/shm";
    check_target(c, item(path, i) + ".target", volumes[i].target, may_be_device, targets);
    check_volume(c, item(path, i), volumes[i]);
  }
}

bool is_user(std::string_view text) {
  return text.size() <= limits::user_bytes && text.front() != ':' && text.back() != ':' &&
         std::count(text.begin(), text.end(), ':') <= 1 &&
         all(text, [](char ch) { return is_alnum(ch) || ch == '_' || ch == '-' || ch == '.' || ch == ':'; });
}

void check_image_name(checker& c, const std::string& path, const std::string& image) {
  const auto wrong = image.size() <= limits::image_bytes ? parse_image_reference(image).error : std::string{"it is too long"};
  c.check(wrong.empty(), path, "is " + quoted(image) + ": " + wrong,
          "write " + std::string(image_reference_form) + ", such as registry.example/shop/web:1.2");
}

/// What only an image can have.
void check_plain_process(checker& c, const std::string& path, const container_spec& container) {
  constexpr std::string_view why = "needs an image: a process of the host has the host's files and the agent's user";
  const auto refuse = [&](bool is_set, const std::string& key) {
    c.check(!is_set, path + key, std::string(why), "add image, or remove it");
  };
  refuse(!container.user.empty(), ".user");
  refuse(container.read_only_root, ".read-only-root");
  refuse(container.pids != 0, ".pids");
  refuse(!container.files.empty(), ".files");
  refuse(!container.volumes.empty(), ".volumes");
  refuse(container.user_namespace, ".user-namespace");
}

void check_image(checker& c, const std::string& path, const container_spec& container,
                 const std::vector<std::string>& variables) {
  check_image_name(c, path + ".image", container.image);
  c.check(container.user.empty() || is_user(container.user), path + ".user", "is " + quoted(container.user),
          "write a user, or USER:GROUP, by name or number");
  c.range(path + ".pids", container.pids, 0U, limits::pids);
  const auto memory = container.resources.memory_bytes;
  c.check(memory <= 0 || memory >= least_image_memory, path + ".resources.memory",
          "is " + memory_text(std::max<std::int64_t>(memory, 0)) + ", in which no container of an image can be started",
          "use at least " + memory_text(least_image_memory));
  std::map<std::string, std::string> targets;
  check_files(c, path + ".files", container.files, variables, targets);
  check_volumes(c, path + ".volumes", container.volumes, targets);
  const auto of_host = [](const auto& volume) { return volume.kind == volume_kind::host_path; };
  c.check(!container.user_namespace || std::none_of(container.volumes.begin(), container.volumes.end(), of_host), path + ".user-namespace",
          "does not go with a host-path volume: the host's files belong to users that the container has not",
          "use a persistent volume, or remove one of both");
}

/// A limit that its logs alone could reach would end it again and again: they stay when it is started afresh.
void check_disk(checker& c, const std::string& path, const container_spec& container) {
  const auto bytes = container.disk_bytes;
  if (bytes == 0)
    return;
  const auto text = bytes < 0 ? std::to_string(bytes) : memory_text(bytes);
  const bool is_in_range = bytes >= limits::least_disk_bytes && bytes <= limits::memory_bytes;
  c.check(is_in_range, path, "is " + text,
          "use " + memory_text(limits::least_disk_bytes) + " to " + memory_text(limits::memory_bytes) + ", or leave it out");
  c.check(!is_in_range || bytes > container.logs.max_size_bytes, path,
          "is " + text + ", of which its logs alone may take " + memory_text(std::max<std::int64_t>(container.logs.max_size_bytes, 0)),
          "use more, or a smaller logs.max-size");
}

bool is_header_text(const std::string& text) {
  return all(text, [](char ch) { return ch == '\t' || (ch >= ' ' && ch != 127); });
}

void check_logs(checker& c, const std::string& path, const log_spec& logs) {
  c.check(logs.max_size_bytes >= limits::least_log_bytes && logs.max_size_bytes <= limits::memory_bytes, path + ".max-size",
          "is " + (logs.max_size_bytes < 0 ? std::to_string(logs.max_size_bytes) : memory_text(logs.max_size_bytes)),
          "use " + memory_text(limits::least_log_bytes) + " to " + memory_text(limits::memory_bytes));
  if (logs.max_age != milliseconds{0})
    c.duration(path + ".max-age", logs.max_age, limits::least_log_age, longest_duration);
}

void check_probe(checker& c, const std::string& path, const probe_spec& probe, const service_rules& rules,
                 bool is_readiness) {
  c.check(probe.is_set() || probe == probe_spec{}, path, "says nothing of what to ask",
          "add http: {port: PORT}, tcp: {port: PORT} or command: [PROGRAM, ARGUMENT]");
  if (!probe.is_set())
    return;
  const int ways = (probe.http.port != 0 ? 1 : 0) + (probe.tcp.port != 0 ? 1 : 0) + (probe.command.empty() ? 0 : 1);
  c.check(ways == 1, path, "has more than one of http, tcp and command", "use one of them");
  c.check(rules.network != instance_network::none || !probe.command.empty(), path,
          "asks a port, but nobody outside reaches one with network: none",
          "probe with command, or use another network");
  if (!probe.command.empty())
    check_argv(c, path + ".command", probe.command, rules.variables);
  const auto& http = probe.http;
  c.check(!http.path.empty() && http.path.front() == '/' && http.path.size() <= limits::path_bytes &&
              all(http.path, [](char ch) { return ch > ' ' && ch < 127; }),
          path + ".http.path", "is " + quoted(http.path), "write a path such as /healthz, percent-encoded");
  c.check(is_header_text(http.host), path + ".http.host", "holds a control character", "write a host name");
  c.count(path + ".http.headers", http.headers.size(), 0, limits::labels);
  for (const auto& [name, value] : http.headers) {
    c.check(!name.empty() && all(name, [](char ch) { return is_alnum(ch) || ch == '-' || ch == '_'; }),
            path + ".http.headers." + name, "is no name of a header", "use letters, digits, - and _");
    c.check(is_header_text(value), path + ".http.headers." + name, "holds a control character", "remove it");
  }
  c.check(http.expect_min >= 100 && http.expect_min <= http.expect_max && http.expect_max <= 599, path + ".http.expect",
          "is " + std::to_string(http.expect_min) + '-' + std::to_string(http.expect_max),
          "write a status or a range of them from 100 to 599, such as 200-399");
  c.duration(path + ".period", probe.period, milliseconds{100}, limits::window);
  c.duration(path + ".timeout", probe.timeout, milliseconds{1}, limits::probe_timeout);
  c.range(path + ".failures", probe.failures, 1U, limits::intensity);
  c.range(path + ".successes", probe.successes, 1U, is_readiness ? limits::intensity : 1U);
  c.duration(path + ".start-delay", probe.start_delay, milliseconds{0}, limits::pause);
  c.duration(path + ".max-latency", probe.max_latency, milliseconds{0}, probe.timeout);
}

} // namespace

void check_container(checker& c, const std::string& path, const container_spec& container, service_rules& rules) {
  check_command(c, path + ".command", container, rules.variables);
  check_arguments(c, path + ".arguments", container.arguments, rules.variables);
  check_driver(c, path + ".driver", container);
  check_env(c, path + ".env", container.env, rules.variables);
  const auto& directory = container.working_directory;
  c.check(directory.empty() ||
              (directory.front() == '/' && directory.size() <= limits::path_bytes && !has_nul(directory)),
          path + ".working-directory", "is " + quoted(directory),
          "write an absolute path, or leave it out for the container's own folder");
  c.amounts(path + ".resources", container.resources, 0);
  check_ports(c, path + ".ports", container.ports, rules.ports);
  check_logs(c, path + ".logs", container.logs);
  check_disk(c, path + ".disk", container);
  c.duration(path + ".grace", container.grace, milliseconds{0}, limits::pause);
  c.check(container.stop_signal.empty() || parse_signal(container.stop_signal).has_value(), path + ".stop-signal",
          "is " + quoted(container.stop_signal), "write " + std::string(signal_form));
  check_probe(c, path + ".probes.startup", container.probes.startup, rules, false);
  check_probe(c, path + ".probes.liveness", container.probes.liveness, rules, false);
  check_probe(c, path + ".probes.readiness", container.probes.readiness, rules, true);
  if (container.image.empty())
    check_plain_process(c, path, container);
  else
    check_image(c, path, container, rules.variables);
  c.check(!container.image.empty() || rules.network == instance_network::host, path + ".image",
          "is missing, and network: " + std::string(to_text(rules.network)) + " is only for containers of images",
          "add image, or use network: host");
}

void check_absolute(checker& c, const std::string& at, const std::string& path) {
  c.check(is_clean_path(path), at, path.empty() ? "is missing" : "is " + quoted(path), std::string(path_rule));
}

} // namespace prunella::config
