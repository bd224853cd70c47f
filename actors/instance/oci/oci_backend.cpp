#include "actors/instance/oci/oci_backend_state.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <system_error>
#include <utility>
#include <variant>

#include "actors/instance/file_head.hpp"
#include "actors/instance/image_start.hpp"
#include "actors/instance/oci/cgroup.hpp"
#include "actors/instance/oci/conmon.hpp"
#include "actors/instance/oci/container_users.hpp"
#include "actors/instance/oci/leftovers.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "storage/images/idmapped_mount.hpp"
#include "storage/mounts.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

constexpr std::chrono::milliseconds command_patience{30'000}; ///< for any command of the runtime but the making of a container
constexpr std::chrono::milliseconds end_patience{1'000};      ///< for what was killed to be gone

/// Whether conmon wrote its pid down and has ended since: then nothing is being made for this start any more.
bool conmon_has_ended(const std::string& folder, const std::string& id) {
  const auto pid = pid_in(conmon_pid_path(folder));
  return pid > 0 && !is_of_start(pid, id);
}

} // namespace

oci_backend::oci_backend(oci_backend_options options)
    : options_(std::move(options)), bundle_(options_of_machine(options_.data_directory, options_.host_paths)),
      user_namespace_obstacle_(::geteuid() == 0 ? storage::idmapping_obstacle(options_.data_directory) : std::string{}),
      room_(options_.data_directory) {}

written_log oci_backend::log_of(const storage::container_record& record) const {
  const auto words = file_head("/proc/" + std::to_string(record.monitor_pid) + "/cmdline", 64 * 1024);
  return {record.log_path, run_folder(record.name) + "/" + record.runtime_id + "/ctl", conmon_log_cap_of(words)};
}

// -- the runtime ---------------------------------------------------------------------------------------------------------

storage::result<storage::child_end> oci_backend::runtime(const std::vector<std::string>& words) const {
  storage::child_order order;
  order.command = runtime_command(words);
  order.environment = runtime_environment();
  order.max_output = 64 * 1024;
  order.go_on = [](std::chrono::milliseconds passed) { return passed < command_patience; };
  return storage::run_child(order);
}

std::vector<std::string> oci_backend::runtime_command(const std::vector<std::string>& words) const {
  std::vector<std::string> command{options_.runtime, "--root", runtime_root()};
  command.insert(command.end(), words.begin(), words.end());
  return command;
}

std::vector<std::string> oci_backend::runtime_environment() const {
  return {"PATH=" + std::string{default_path}, "XDG_RUNTIME_DIR=" + runtime_root()};
}

// -- ending --------------------------------------------------------------------------------------------------------------

void oci_backend::signal(const launched_container& container, int number) { signal_process(container.main, number); }

/// The main process is the first of a pid namespace: the kernel ends all others with it.
void oci_backend::kill(const launched_container& container) { signal_process(container.main, SIGKILL); }

std::optional<container_end> oci_backend::collect(const launched_container& container, bool last_time) {
  const auto& record = container.record;
  if (container.main.pidfd && is_alive(container.main)) { // conmon was killed: nobody reads what it prints any more
    kill(container);
    if (!last_time)
      return std::nullopt;
  }
  container_end end;
  // The kernel tells exactly, if it is new enough; the file cannot tell `exit 137` from a kill.
  if (const auto known = container.main.pidfd ? collect_end(container.main) : std::nullopt; known && known->known)
    end.process = *known;
  else
    end.process = parse_exit_file(file_head(exit_folder() + "/" + record.runtime_id)).value_or(process_end{});
  const auto use = read_cgroup_use(cgroup_of_container(record.runtime_id));
  end.process.user_time = use.user_time;
  end.process.system_time = use.system_time;
  end.process.max_rss_bytes = use.max_memory_bytes;
  const auto kills = read_memory_kills(cgroup_of_container(record.runtime_id));
  end.out_of_memory = kills.kills > 0 && (end.process.exit_code != 0 || end.process.signal != 0);
  end.memory_limit_bytes = end.out_of_memory ? kills.limit_bytes : 0;
  const auto refused = read_process_refusals(cgroup_of_container(record.runtime_id));
  if (end.process.exit_code != 0 && refused.refusals > 0 && refused.limit > 0) { // its own words say `Resource temporarily unavailable`
    const auto words = last_words(record);
    end.reason = words + (words.empty() ? "" : " ") + "(it had reached its limit of processes and threads, `pids: " + std::to_string(refused.limit) + "`)";
  }
  return end;
}

void oci_backend::clear(const storage::container_record& record, bool stopped) {
  remove(record.name, record.runtime_id);
  options_.networks->leave(instance_of(record.name), record.runtime_id, stopped);
}

/// Whatever of it there is. The folder goes last, and only if all else is gone: by it the next agent finds what is left.
void oci_backend::remove(const std::string& name, const std::string& id) const {
  if (end_start(name, id))
    remove_folder(name, id);
}

/// False: something of it is left.
bool oci_backend::end_start(const std::string& name, const std::string& id) const {
  const auto folder = run_folder(name) + "/" + id;
  // First who might still make the container, which the runtime would not find yet.
  const bool is_made = conmon_has_ended(folder, id) || end_processes_of_start(id, end_patience);
  static_cast<void>(runtime({"delete", "--force", id}));
  std::error_code ignored;
  const bool is_deleted = !fs::exists(runtime_root() + "/" + id, ignored);
  return remove_cgroup(cgroup_of_container(id), end_patience) && is_made && is_deleted;
}

void oci_backend::remove_folder(const std::string& name, const std::string& id) const {
  const auto folder = run_folder(name) + "/" + id;
  release_users(folder);
  static_cast<void>(storage::remove_folder(folder));
  std::error_code ignored;
  fs::remove(exit_folder() + "/" + id, ignored);
}

// -- looking -------------------------------------------------------------------------------------------------------------

std::vector<launched_container> oci_backend::recover(const std::vector<storage::container_record>& records,
                                                     const std::string& boot_id) {
  std::vector<launched_container> found;
  for (const auto& record : records) {
    if (record.boot_id != boot_id || boot_id.empty())
      continue;
    launched_container container;
    container.record = record;
    container.logs = {log_of(record)};
    auto main = open_process(static_cast<pid_t>(record.pid), record.start_time_ticks);
    auto conmon = open_process(static_cast<pid_t>(record.monitor_pid), record.monitor_start_ticks);
    if (main)
      container.main = std::move(*main);
    if (conmon)
      container.watched = std::move(*conmon);
    if (!conmon)
      container.end = collect(container, true);
    container.network_user = record.runtime_id;
    end_commands(record);
    found.push_back(std::move(container));
  }
  note_left_over(found);
  return found;
}

/// What earlier agents left: starts that nobody recorded, and ends that they did not live to clear away.
void oci_backend::note_left_over(const std::vector<launched_container>& kept) {
  const auto is_kept = [&](const std::string& id) {
    return std::any_of(kept.begin(), kept.end(), [&](const auto& x) { return x.record.runtime_id == id; });
  };
  std::error_code none; // of containers yet
  for (const auto& container : fs::directory_iterator(container_folder(options_.data_directory, ""), none))
    for (const auto& start : fs::directory_iterator(container.path() / "run", none))
      if (auto id = start.path().filename().string(); !is_kept(id))
        left_.add({container.path().filename().string(), std::move(id)});
}

/// First all that may still run, then the folders, of which one may hold any number of files.
void oci_backend::end_left_over() {
  std::vector<start_of_container> ended;
  while (auto taken = left_.take())
    if (end_taken(*taken))
      ended.push_back(*std::move(taken));
  for (const auto& start : ended)
    remove_folder(start.name, start.id);
  sweep_users();
}

void oci_backend::end_left_over_of(const std::string& name) {
  while (const auto taken = left_.take(name))
    if (end_taken(*taken))
      remove_folder(taken->name, taken->id);
  left_.await(name);
}

bool oci_backend::end_taken(const start_of_container& taken) {
  bool is_ended = false;
  try {
    is_ended = end_start(taken.name, taken.id);
  } catch (const std::exception&) { // its folder stays, and the next agent tries again
  }
  left_.ended(taken);
  return is_ended;
}

std::vector<container_stats> oci_backend::stats(const std::vector<const launched_container*>& containers) {
  std::vector<container_stats> list;
  for (const auto* container : containers)
    list.push_back(stats_of_group(cgroup_of_container(container->record.runtime_id)));
  return list;
}

std::string oci_backend::last_words(const storage::container_record& record) {
  return last_error_line(record.log_path, record.started_at_ms);
}

driver_result<oci_programs> find_oci_programs(const std::string& runtime) {
  const auto find = [](const std::vector<std::string>& names) {
    for (const auto& name : names) {
      auto found = resolve_command(name, default_path, "/");
      if (auto* path = std::get_if<std::string>(&found))
        return std::move(*path);
    }
    return std::string{};
  };
  const auto missing = [](const std::string& what) {
    return driver_failure{driver_errc::no_driver, "containers of images need " + what};
  };
  oci_programs programs;
  programs.runtime = find(runtime.empty() ? std::vector<std::string>{"runc", "crun"} : std::vector<std::string>{runtime});
  programs.conmon = find({"conmon"});
  if (programs.runtime.empty() && !runtime.empty())
    return missing("the runtime `" + runtime + "` of the site's document, which is no program on this host");
  if (programs.runtime.empty())
    return missing("runc or crun, and neither is on this host: install Debian's package runc");
  if (programs.conmon.empty())
    return missing("conmon, which is not on this host: install Debian's package conmon");
  return programs;
}

std::unique_ptr<driver_backend> make_oci_backend(oci_backend_options options) {
  return std::make_unique<oci_backend>(std::move(options));
}

} // namespace prunella::actors
