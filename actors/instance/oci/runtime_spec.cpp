#include "actors/instance/oci/runtime_spec.hpp"

#include <algorithm>
#include <optional>

#include <boost/json/array.hpp>
#include <boost/json/value.hpp>

#include "config/json.hpp"

namespace prunella::actors {

namespace json = boost::json;

namespace {

// Where a kernel tells about itself or can be steered, beyond what its own permissions guard.
const std::vector<std::string> masked_paths{"/proc/acpi",        "/proc/asound",  "/proc/interrupts",
                                            "/proc/kcore",       "/proc/keys",    "/proc/latency_stats",
                                            "/proc/sched_debug", "/proc/scsi",    "/proc/timer_list",
                                            "/proc/timer_stats", "/sys/firmware", "/sys/devices/virtual/powercap"};
const std::vector<std::string> read_only_paths{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                                               "/proc/sysrq-trigger"};

driver_failure refuse(const std::string& why) {
  return {driver_errc::invalid_request, why};
}

bool has_nul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

bool is_absolute(const std::string& path) {
  return !path.empty() && path.front() == '/' && !has_nul(path);
}

json::array texts(const std::vector<std::string>& list) {
  return json::array(list.begin(), list.end());
}

/// What is executed; empty: nothing.
std::vector<std::string> command_of(const runtime_spec_request& request) {
  const auto& own = request.container;
  auto command = own.command.empty() ? request.image.entrypoint : own.command;
  const auto& arguments = own.command.empty() && own.arguments.empty() ? request.image.command : own.arguments;
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

/// Later ones win; in the order of their names, so that equal orders give equal documents.
std::map<std::string, std::string> environment_of(const runtime_spec_request& request) {
  std::map<std::string, std::string> variables{{"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                                               {"HOME", request.user.home}};
  if (!request.hostname.empty())
    variables["HOSTNAME"] = request.hostname;
  for (const auto& variable : request.image.environment) {
    const auto sign = variable.find('=');
    if (sign != 0 && sign != std::string::npos)
      variables[variable.substr(0, sign)] = variable.substr(sign + 1);
  }
  for (const auto& [name, value] : request.env)
    variables[name] = value;
  return variables;
}

std::string working_directory_of(const runtime_spec_request& request) {
  if (!request.container.working_directory.empty())
    return request.container.working_directory;
  return request.image.working_directory.empty() ? "/" : request.image.working_directory;
}

std::optional<driver_failure> check(const runtime_spec_request& request) {
  const auto command = command_of(request);
  if (command.empty())
    return refuse("the image names no command, and the container has none either: set `command`");
  if (std::any_of(command.begin(), command.end(), has_nul))
    return refuse("`command` holds a NUL character, which no program can be given");
  if (!is_absolute(working_directory_of(request)))
    return refuse("the working directory `" + working_directory_of(request) +
                  "` is not absolute: it has to start with `/` in a container");
  if (!is_absolute(request.root))
    return refuse("the root file system `" + request.root + "` is not an absolute path");
  for (const auto& [name, value] : request.env)
    if (name.empty() || name.find('=') != std::string::npos || has_nul(name) || has_nul(value))
      return refuse("the variable `" + name.substr(0, 100) +
                    "` cannot be set: a name is not empty and has no `=`, and neither "
                    "name nor value a NUL");
  for (const auto& mount : request.mounts)
    if ((!mount.source.empty() && !is_absolute(mount.source)) || !is_absolute(mount.target) || mount.target == "/")
      return refuse("the mount of `" + mount.source + "` at `" + mount.target +
                    "` needs two absolute paths, and the second may not be `/`");
  if (request.network == container_network::joined && !is_absolute(request.network_path))
    return refuse("the network namespace `" + request.network_path + "` is not an absolute path");
  return std::nullopt;
}

json::object process_of(const runtime_spec_request& request) {
  json::object user{{"uid", request.user.uid}, {"gid", request.user.gid}, {"umask", 022}};
  if (!request.user.groups.empty())
    user["additionalGids"] = json::array(request.user.groups.begin(), request.user.groups.end());
  json::array environment;
  for (const auto& [name, value] : environment_of(request))
    environment.push_back(json::string(name + "=" + value));
  // Another user gets them only by a program that may have them, which no_new_privs then refuses: none, in effect.
  json::object capabilities{{"bounding", texts(default_capabilities)}};
  for (const auto* set : {"effective", "permitted"})
    capabilities[set] = request.user.uid == 0 ? texts(default_capabilities) : json::array{};
  json::object process{{"terminal", false},
                       {"user", std::move(user)},
                       {"args", texts(command_of(request))},
                       {"env", std::move(environment)},
                       {"cwd", json::string(working_directory_of(request))},
                       {"capabilities", std::move(capabilities)},
                       {"noNewPrivileges", true}};
  if (request.open_files > 0)
    process["rlimits"] = json::array{
        json::object{{"type", "RLIMIT_NOFILE"}, {"soft", request.open_files}, {"hard", request.open_files}}};
  if (request.resets_oom_score)
    process["oomScoreAdj"] = 0;
  return process;
}

json::object mount_of(std::string_view target, std::string_view type, std::string_view source,
                      const std::vector<std::string>& options) {
  return {{"destination", json::string(target.data(), target.size())},
          {"type", json::string(type.data(), type.size())},
          {"source", json::string(source.data(), source.size())},
          {"options", texts(options)}};
}

json::object memory_mount(const container_mount& mount) {
  std::vector<std::string> options{"nosuid", "nodev", "mode=1777", mount.read_only ? "ro" : "rw"};
  if (mount.size_bytes > 0)
    options.push_back("size=" + std::to_string(mount.size_bytes));
  return mount_of(mount.target, "tmpfs", "tmpfs", options);
}

json::array mounts_of(const runtime_spec_request& request) {
  json::array mounts;
  mounts.push_back(mount_of("/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(mount_of("/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}));
  mounts.push_back(mount_of("/dev/pts", "devpts", "devpts",
                            {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
  mounts.push_back(mount_of("/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}));
  mounts.push_back(mount_of("/dev/shm", "tmpfs", "shm",
                            {"nosuid", "noexec", "nodev", "mode=1777", "size=" + std::to_string(shared_memory_bytes)}));
  // The kernel shows a network's devices only to who may rule that network, and only its own is a user namespace's.
  if (request.users && request.network != container_network::own)
    mounts.push_back(mount_of("/sys", "bind", "/sys", {"rbind", "rprivate", "nosuid", "noexec", "nodev", "ro"}));
  else
    mounts.push_back(mount_of("/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}));
  mounts.push_back(mount_of("/sys/fs/cgroup", "cgroup", "cgroup", {"nosuid", "noexec", "nodev", "relatime", "ro"}));
  for (const auto& mount : request.mounts)
    mounts.push_back(mount.source.empty() ? memory_mount(mount) : mount_of(mount.target, "bind", mount.source,
                              {"rbind", "rprivate", "nosuid", "nodev", mount.read_only ? "ro" : "rw"}));
  return mounts;
}

json::object resources_of(const runtime_spec_request& request) {
  json::object resources{{"devices", json::array{json::object{{"allow", false}, {"access", "rwm"}}}}};
  const auto& asked = request.container.resources;
  if (asked.memory_bytes > 0) {
    json::object memory{{"limit", asked.memory_bytes}};
    if (request.swap_is_counted)
      memory["swap"] = asked.memory_bytes; // memory and swap together, so: no swap
    resources["memory"] = std::move(memory);
  }
  if (request.pids > 0)
    resources["pids"] = json::object{{"limit", request.pids}};
  return resources;
}

json::array namespaces_of(const runtime_spec_request& request) {
  json::array namespaces;
  for (const auto* type : {"pid", "ipc", "uts", "mount", "cgroup"})
    namespaces.push_back(json::object{{"type", type}});
  if (request.users)
    namespaces.push_back(json::object{{"type", "user"}});
  if (request.network == container_network::own)
    namespaces.push_back(json::object{{"type", "network"}});
  if (request.network == container_network::joined)
    namespaces.push_back(json::object{{"type", "network"}, {"path", json::string(request.network_path)}});
  return namespaces;
}

} // namespace

std::variant<json::object, driver_failure> runtime_spec(const runtime_spec_request& request) {
  if (auto problem = check(request))
    return *std::move(problem);
  json::object linux_part{{"namespaces", namespaces_of(request)},
                          {"resources", resources_of(request)},
                          {"maskedPaths", texts(masked_paths)},
                          {"readonlyPaths", texts(read_only_paths)},
                          {"rootfsPropagation", "private"}};
  if (!request.cgroup.empty())
    linux_part["cgroupsPath"] = json::string(request.cgroup);
  if (request.users)
    for (const auto* mappings : {"uidMappings", "gidMappings"})
      linux_part[mappings] = json::array{
          json::object{{"containerID", 0}, {"hostID", request.users->base}, {"size", request.users->size}}};
  // Low ports for any user of the container: the network is its own, so they guard nothing there. Who joins one with users of
  // its own may not set that; whoever made the network did (`network_namespace`).
  if (request.network != container_network::host && !(request.users && request.network == container_network::joined))
    linux_part["sysctl"] = json::object{{"net.ipv4.ip_unprivileged_port_start", "0"}};
  if (!request.seccomp.empty())
    linux_part["seccomp"] = request.seccomp;
  json::object document{
      {"ociVersion", "1.0.2"},
      {"process", process_of(request)},
      {"root", json::object{{"path", json::string(request.root)}, {"readonly", request.read_only_root}}},
      {"mounts", mounts_of(request)},
      {"linux", std::move(linux_part)}};
  if (!request.hostname.empty())
    document["hostname"] = json::string(request.hostname);
  return document;
}

} // namespace prunella::actors
