#include "actors/instance/oci/cgroup.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <optional>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "actors/instance/file_head.hpp"
#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

namespace {

namespace fs = std::filesystem;

const std::string parent_group = "/prunella";

std::optional<std::int64_t> number_at(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} ? std::optional(value) : std::nullopt;
}

std::int64_t number_in(const std::string& path) {
  return number_at(file_head(path)).value_or(0); // `max`: no number
}

/// The number behind `key` in a file of lines `key number`.
std::int64_t field_in(const std::string& text, const std::string& key) {
  for (std::string_view rest = text; !rest.empty();) {
    const auto line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
    if (line.substr(0, key.size()) == key && line.size() > key.size() && line[key.size()] == ' ')
      return number_at(line.substr(key.size() + 1)).value_or(0);
  }
  return 0;
}

/// Version 1 says "no limit" with a number next to the largest there is.
std::int64_t limit(std::int64_t bytes) {
  return bytes >= std::int64_t{1} << 60 ? 0 : bytes;
}

bool is_unified(const std::string& mount) {
  return fs::exists(mount + "/cgroup.controllers");
}

/// Empty, or why it could not be written.
std::string write_to(const std::string& file, const std::string& text) {
  const unique_fd fd{::open(file.c_str(), O_WRONLY | O_CLOEXEC)};
  if (fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()))
    return {};
  return std::strerror(errno);
}

bool has_word(const std::string& text, const std::string& word) {
  std::istringstream words{text};
  return std::find(std::istream_iterator<std::string>{words}, {}, word) != std::istream_iterator<std::string>{};
}

cgroup_use unified_use(const std::string& folder) {
  cgroup_use use;
  const auto cpu = file_head(folder + "/cpu.stat");
  use.user_time = std::chrono::microseconds{field_in(cpu, "user_usec")};
  use.system_time = std::chrono::microseconds{field_in(cpu, "system_usec")};
  use.processes = static_cast<std::uint32_t>(number_in(folder + "/pids.current"));
  use.memory_bytes = number_in(folder + "/memory.current") - field_in(file_head(folder + "/memory.stat"), "inactive_file");
  use.max_memory_bytes = number_in(folder + "/memory.peak");
  return use;
}

} // namespace

std::string cgroup_of_container(const std::string& id, const std::string& mount) {
  return (is_unified(mount) ? parent_group + '/' : parent_group + '-') + id;
}

cgroup_controllers prepare_cgroups(const std::string& mount) {
  if (!is_unified(mount))
    return {fs::exists(mount + "/cpu"), fs::exists(mount + "/memory"), fs::exists(mount + "/pids")};
  const auto parent = mount + parent_group;
  ::mkdir(parent.c_str(), 0755);
  const auto there = file_head(mount + "/cgroup.controllers");
  for (const std::string controller : {"cpu", "memory", "pids"}) // each alone: one that is not there would refuse all
    for (const auto& group : {mount, parent})
      static_cast<void>(write_to(group + "/cgroup.subtree_control", '+' + controller)); // not as root: no containers either
  return {has_word(there, "cpu"), has_word(there, "memory"), has_word(there, "pids")};
}

std::string cgroup_obstacle(const cgroup_controllers& controllers) {
  std::string list;
  const auto add = [&list](bool is_there, std::string_view name) {
    if (!is_there)
      list.append(list.empty() ? "" : ", ").append(name);
  };
  add(controllers.memory, "memory");
  add(controllers.cpu, "processor");
  add(controllers.pids, "processes");
  if (list.empty())
    return {};
  return "limits of " + list + " are not in force in containers of images, and their use is not told: this kernel has no control groups for that; "
         + (controllers.memory ? "remove `cgroup_disable` from its command line" : "add `cgroup_enable=memory` to its command line")
         + " and start the machine again";
}

cgroup_use read_cgroup_use(const std::string& path, const std::string& mount) {
  if (is_unified(mount))
    return unified_use(mount + path);
  cgroup_use use;
  // In clock ticks, as in /proc/PID/stat.
  const auto cpu = file_head(mount + "/cpuacct" + path + "/cpuacct.stat");
  const std::int64_t tick_us = 1'000'000 / ::sysconf(_SC_CLK_TCK);
  use.user_time = std::chrono::microseconds{field_in(cpu, "user") * tick_us};
  use.system_time = std::chrono::microseconds{field_in(cpu, "system") * tick_us};
  use.processes = static_cast<std::uint32_t>(number_in(mount + "/pids" + path + "/pids.current"));
  const auto memory = mount + "/memory" + path;
  use.memory_bytes = number_in(memory + "/memory.usage_in_bytes") - field_in(file_head(memory + "/memory.stat"), "total_inactive_file");
  use.max_memory_bytes = number_in(memory + "/memory.max_usage_in_bytes");
  return use;
}

cgroup_memory_kills read_memory_kills(const std::string& path, const std::string& mount) {
  if (is_unified(mount))
    return {static_cast<std::uint64_t>(field_in(file_head(mount + path + "/memory.events"), "oom_kill")),
            number_in(mount + path + "/memory.max")};
  const auto folder = mount + "/memory" + path;
  return {static_cast<std::uint64_t>(field_in(file_head(folder + "/memory.oom_control"), "oom_kill")),
          limit(number_in(folder + "/memory.limit_in_bytes"))};
}

cgroup_process_refusals read_process_refusals(const std::string& path, const std::string& mount) {
  const auto folder = mount + (is_unified(mount) ? "" : "/pids") + path;
  return {static_cast<std::uint64_t>(field_in(file_head(folder + "/pids.events"), "max")), number_in(folder + "/pids.max")};
}

std::string limit_processor(const std::string& path, std::int64_t millis, const std::string& mount) {
  constexpr std::int64_t period_us = 100'000;
  constexpr std::int64_t least_us = 1'000;
  // One core is 1024 shares in version 1, and a weight of 100 in version 2, by default.
  const auto shares = std::clamp<std::int64_t>(millis * 1024 / 1000, 2, 262'144);
  const auto weight = std::clamp<std::int64_t>(millis / 10, 1, 10'000);
  const auto quota = std::to_string(std::max(least_us, millis * period_us / 1000));
  const auto period = std::to_string(period_us);
  using files_and_texts = std::vector<std::pair<std::string, std::string>>;
  const auto files =
    is_unified(mount) ? files_and_texts{{path + "/cpu.weight", std::to_string(weight)}, {path + "/cpu.max", quota + ' ' + period}}
                      : files_and_texts{{"/cpu" + path + "/cpu.shares", std::to_string(shares)},
                                        {"/cpu" + path + "/cpu.cfs_period_us", period},
                                        {"/cpu" + path + "/cpu.cfs_quota_us", quota}};
  for (const auto& [file, text] : files)
    if (const auto problem = write_to(mount + file, text); !problem.empty())
      return "the limit of the processor cannot be written to `" + mount + file + "`: " + problem;
  return {};
}

bool cgroup_counts_swap(const std::string& mount) {
  // A root group of version 2 has no limits: any group below it tells.
  if (!is_unified(mount))
    return fs::exists(mount + "/memory/memory.memsw.limit_in_bytes");
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(mount, error))
    if (fs::exists(entry.path() / "memory.swap.max", error))
      return true;
  return false;
}

} // namespace prunella::actors
