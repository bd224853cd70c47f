#include "actors/instance/oci/oci_backend.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <random>
#include <set>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/command_runner.hpp"
#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/file_head.hpp"
#include "actors/instance/image_start.hpp"
#include "actors/instance/oci/bundle.hpp"
#include "actors/instance/oci/cgroup.hpp"
#include "actors/instance/oci/conmon.hpp"
#include "actors/instance/oci/container_users.hpp"
#include "actors/instance/oci/leftovers.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/start_room.hpp"
#include "config/json.hpp"
#include "config/signal.hpp"
#include "storage/images/child_process.hpp"
#include "storage/mounts.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

using std::chrono::milliseconds;

constexpr milliseconds create_patience{60'000}; ///< for conmon and the runtime to make a container
constexpr milliseconds command_patience{30'000}; ///< for any other command of the runtime
constexpr milliseconds end_patience{1'000};      ///< for what was killed to be gone
constexpr std::string_view exec_pid_prefix = "exec.pid."; ///< of files in the folder of a start
constexpr std::size_t shown_name = 160;          ///< of the container, in its id: a file name has at most 255 bytes

pid_t pid_in(const std::string& path) {
  const auto text = file_head(path);
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  return pid;
}

/// The process that has `pid` now.
std::optional<process_handle> find_process(pid_t pid) {
  const auto stat = pid > 0 ? read_proc_stat(pid) : std::nullopt;
  return stat ? open_process(pid, stat->start_ticks) : std::nullopt;
}

struct start_of_container {
  std::string name; ///< of the container
  std::string id;
};

class oci_backend final : public driver_backend {
public:
  explicit oci_backend(oci_backend_options options)
    : options_(std::move(options)), bundle_(options_of_machine(options_.data_directory, options_.host_paths)),
      user_namespace_obstacle_(::geteuid() == 0 ? storage::idmapping_obstacle(options_.data_directory) : std::string{}),
      room_(options_.data_directory) {}

  config::driver_kind kind() const override { return config::driver_kind::oci; }
  bool is_slow() const override { return true; }

  std::vector<launched_container> recover(const std::vector<storage::container_record>& records,
                                          const std::string& boot_id) override;
  void end_left_over() override;
  std::optional<driver_failure> check(const container_order& order, const provided_image* image) override;
  driver_result<launched_container> launch(const container_order& order, const provided_image* image) override;
  driver_result<command_plan> plan(const launched_container& container, const container_order& order,
                                   const plan_command& request) override;
  void signal(const launched_container& container, int number) override;
  void kill(const launched_container& container) override;
  std::optional<container_end> collect(const launched_container& container, bool last_time) override;
  void clear(const storage::container_record& record, bool stopped) override;
  std::vector<container_stats> stats(const std::vector<const launched_container*>& containers) override;
  std::string last_words(const storage::container_record& record) override;

private:
  std::string runtime_root() const { return options_.data_directory + "/oci/runtime"; }
  std::string exit_folder() const { return options_.data_directory + "/oci/exits"; }
  std::string log_path(const std::string& name) const { return container_log_path(options_.data_directory, name); }
  written_log log_of(const storage::container_record& record) const {
    const auto words = file_head("/proc/" + std::to_string(record.monitor_pid) + "/cmdline", 64 * 1024);
    return {record.log_path, run_folder(record.name) + "/" + record.runtime_id + "/ctl", conmon_log_cap_of(words)};
  }
  std::string run_folder(const std::string& name) const {
    return container_folder(options_.data_directory, name) + "/run";
  }

  std::optional<driver_failure> make_folders(const std::string& folder) const;
  std::optional<driver_failure> limit(const container_order& order, const std::string& id) const;
  std::optional<driver_failure> start(const std::string& id) const;
  driver_result<launched_container> run(const container_order& order, const provided_image& image, const std::string& id,
                                        const std::string& folder);
  storage::result<storage::child_end> runtime(const std::vector<std::string>& words) const;
  std::vector<std::string> runtime_command(const std::vector<std::string>& words) const;
  std::vector<std::string> runtime_environment() const;
  void remove(const std::string& name, const std::string& id) const;
  bool end_start(const std::string& name, const std::string& id) const;
  void remove_folder(const std::string& name, const std::string& id) const;
  void note_left_over(const std::vector<launched_container>& kept);
  std::optional<start_of_container> take_left_over(const std::string& name);
  bool end_taken(const start_of_container& taken);
  void end_left_over_of(const std::string& name);
  void end_commands(const storage::container_record& record) const;
  std::string draw_id(const std::string& name);
  static void give_output(pid_t main, const std::string& folder);

  const oci_backend_options options_;
  const bundle_options bundle_;
  const std::string user_namespace_obstacle_; ///< why containers can have none here; empty: they can
  std::uint64_t last_exec_ = 0;
  std::mutex id_mutex_;
  std::mt19937_64 random_{std::random_device{}()};
  start_room room_;
  std::mutex left_mutex_;
  std::condition_variable left_changed_;
  std::vector<start_of_container> left_; ///< of earlier agents, in the order in which it was found
  std::multiset<std::string> ending_;    ///< names of containers of which something that was taken from there is being ended
};

// -- starting ------------------------------------------------------------------------------------------------------------

/// Different from every other of this machine, also of other agents.
std::string oci_backend::draw_id(const std::string& name) {
  std::uint64_t number = 0;
  {
    const std::lock_guard lock{id_mutex_};
    number = random_();
  }
  std::string id = name.substr(0, shown_name) + ".";
  for (int shift = 60; shift >= 0; shift -= 4)
    id += "0123456789abcdef"[(number >> shift) & 15];
  return id;
}

std::optional<driver_failure> oci_backend::check(const container_order& order, const provided_image*) {
  if (auto failure = check_image_order(order, options_.host_paths))
    return failure;
  if (order.spec.user_namespace && !user_namespace_obstacle_.empty())
    return driver_failure{driver_errc::no_driver, "this host cannot give " + order.name + " a user namespace: " + user_namespace_obstacle_
                                                    + "; leave out `user-namespace`, or run it on another host"};
  return std::nullopt;
}

std::optional<driver_failure> oci_backend::make_folders(const std::string& folder) const {
  for (const auto& path : {folder, runtime_root(), exit_folder()})
    if (auto failure = make_start_folder(path))
      return failure;
  return std::nullopt;
}

driver_result<launched_container> oci_backend::launch(const container_order& order, const provided_image* image) {
  if (auto failure = check(order, image))
    return *std::move(failure);
  if (image == nullptr)
    return driver_failure{driver_errc::invalid_request, order.name + " names no image"};
  end_left_over_of(order.name);
  if (auto failure = room_.look(order.name))
    return *std::move(failure);
  const auto id = draw_id(order.name);
  const auto folder = run_folder(order.name) + "/" + id;
  auto started = make_folders(folder);
  if (started)
    return *std::move(started);
  const auto undo = [&] {
    remove(order.name, id);
    options_.networks->leave(order.instance, id, false);
  };
  try {
    auto launched = run(order, *image, id, folder);
    if (!std::holds_alternative<driver_failure>(launched))
      return launched;
    auto full = room_.look(order.name); // before its own part of it is free again
    undo();
    return full ? driver_result<launched_container>{*std::move(full)} : std::move(launched);
  } catch (const std::exception&) { // no memory, no thread: the driver says so
    undo();
    throw;
  }
}

driver_result<launched_container> oci_backend::run(const container_order& order, const provided_image& image,
                                                   const std::string& id, const std::string& folder) {
  auto network = join_network(*options_.networks, order, id);
  if (auto* failure = std::get_if<driver_failure>(&network))
    return std::move(*failure);
  const auto& joined = std::get<bundle_network>(network);
  if (auto failure = make_bundle(order, image, folder, cgroup_of_container(id), joined, bundle_))
    return *std::move(failure);
  conmon_request request;
  request.conmon = options_.conmon;
  request.runtime = options_.runtime;
  request.runtime_root = runtime_root();
  request.id = id;
  request.bundle = folder;
  request.exit_folder = exit_folder();
  request.log_path = log_path(order.name);
  request.has_input = order.has_input;
  request.log_cap_bytes = conmon_log_cap(order.spec.logs);
  auto created = launch_conmon(request, create_patience);
  if (auto* failure = std::get_if<driver_failure>(&created))
    return std::move(*failure);
  static_cast<void>(storage::unmount_all(folder + "/volumes")); // the container has mounts of its own now
  auto main = find_process(std::get<conmon_report>(created).pid);
  auto conmon = find_process(pid_in(conmon_pid_path(folder)));
  if (!main || !conmon)
    return driver_failure{driver_errc::runtime_failed, order.name + " or its conmon ended before it was started"};
  if (order.spec.user_namespace)
    give_output(main->pid, folder);
  launched_container launched;
  launched.record.started_at_ms = wall_clock_ms(); // from here on it may print
  if (auto failure = start(id))
    return *std::move(failure);
  if (auto failure = limit(order, id))
    return *std::move(failure);
  launched.record.name = order.name;
  launched.record.runtime_id = id;
  launched.record.pid = main->pid;
  launched.record.start_time_ticks = main->start_ticks;
  launched.record.monitor_pid = conmon->pid;
  launched.record.monitor_start_ticks = conmon->start_ticks;
  launched.record.log_path = request.log_path;
  launched.main = std::move(*main);
  launched.watched = std::move(*conmon);
  launched.logs = {log_of(launched.record)};
  launched.address = joined.address;
  launched.record.stop_signal = config::stop_signal(order.spec.stop_signal, image.config.stop_signal);
  return launched;
}

/// What conmon reads from belongs to the host's root, whom such a container has not: opened by name (`/dev/stdout`) it would be
/// refused.
void oci_backend::give_output(pid_t main, const std::string& folder) {
  const auto range = range_of(folder);
  for (const auto* output : {"/fd/1", "/fd/2"})
    if (range && ::chown(("/proc/" + std::to_string(main) + output).c_str(), range->base, range->base) != 0)
      return; // it still prints to what it inherits
}

/// Not before the start: what the runtime does between its `start` and the container's first instruction takes seconds of
/// a hundredth of a core. So the container has the first moments of its life without a limit, about 20 ms.
std::optional<driver_failure> oci_backend::limit(const container_order& order, const std::string& id) const {
  const auto millis = bundle_.controllers.cpu ? order.spec.resources.cpu_millis : 0;
  auto problem = millis > 0 ? limit_processor(cgroup_of_container(id), millis) : std::string{};
  if (problem.empty())
    return std::nullopt;
  return driver_failure{driver_errc::runtime_failed, order.name + " was ended again: " + problem};
}

std::optional<driver_failure> oci_backend::start(const std::string& id) const {
  const auto end = runtime({"start", id});
  if (!end.ok())
    return driver_failure{driver_errc::runtime_failed, end.error().message};
  if (end->succeeded())
    return std::nullopt;
  return explain_runtime(end->errors);
}

storage::result<storage::child_end> oci_backend::runtime(const std::vector<std::string>& words) const {
  storage::child_order order;
  order.command = runtime_command(words);
  order.environment = runtime_environment();
  order.max_output = 64 * 1024;
  order.go_on = [](milliseconds passed) { return passed < command_patience; };
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

// -- commands in a container ---------------------------------------------------------------------------------------------

/// The process of the bundle with another command: runc would take the rest from there if it is told nothing else, crun would
/// run it as root, without `noNewPrivileges`.
std::optional<driver_failure> write_process(const std::string& folder, const std::string& path, const container_order& order,
                                            const plan_command& request) {
  const auto bundle = config::parse_json(file_head(folder + "/config.json", 4 << 20));
  const auto* document = bundle.value.if_object();
  const auto* process = document == nullptr ? nullptr : document->if_contains("process");
  if (process == nullptr || !process->is_object())
    return driver_failure{driver_errc::runtime_failed, "the bundle " + folder + " cannot be read any more; restart the container"};
  auto made = process->get_object();
  made["args"] = boost::json::array(request.command.begin(), request.command.end());
  made["terminal"] = !request.terminal.empty();
  if (!request.terminal.empty() && order.env.count("TERM") == 0) { // the image's says nothing of this terminal
    boost::json::array environment;
    if (const auto* known = made.if_contains("env"); known != nullptr && known->is_array())
      for (const auto& variable : known->get_array())
        if (!variable.is_string() || variable.get_string().find("TERM=") != 0)
          environment.push_back(variable);
    environment.emplace_back("TERM=" + request.terminal);
    made["env"] = std::move(environment);
  }
  std::ofstream file{path, std::ios::binary};
  file << config::json_text(made);
  file.close();
  if (file)
    return std::nullopt;
  ::unlink(path.c_str());
  return driver_failure{driver_errc::data_directory_unusable, "the file `" + path + "` cannot be made; free space or look after the disk"};
}

driver_result<command_plan> oci_backend::plan(const launched_container& container, const container_order& order,
                                              const plan_command& request) {
  const auto& record = container.record;
  const auto folder = run_folder(record.name) + "/" + record.runtime_id;
  command_plan plan;
  plan.container = record.name;
  plan.generation = record.generation;
  plan.pid_file = folder + "/" + std::string{exec_pid_prefix} + std::to_string(++last_exec_);
  plan.cgroup = cgroup_of_container(record.runtime_id);
  const auto process = process_file_of(plan.pid_file);
  if (auto failure = write_process(folder, process, order, request))
    return *std::move(failure);
  plan.command = runtime_command({"exec", "--pid-file", plan.pid_file, "--process", process, record.runtime_id});
  plan.environment = runtime_environment();
  plan.working_directory = folder;
  return plan;
}

/// Those that the last agent did not live to see the end of.
void oci_backend::end_commands(const storage::container_record& record) const {
  std::error_code none;
  const fs::path folder = run_folder(record.name) + "/" + record.runtime_id;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (entry.path().filename().string().rfind(exec_pid_prefix, 0) == 0)
      files.push_back(entry.path());
  for (const auto& file : files) {
    kill_command_inside(file.string(), cgroup_of_container(record.runtime_id));
    fs::remove(file, none);
  }
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

/// Whether conmon wrote its pid down and has ended since: then nothing is being made for this start any more.
bool conmon_has_ended(const std::string& folder, const std::string& id) {
  const auto pid = pid_in(conmon_pid_path(folder));
  return pid > 0 && !is_of_start(pid, id);
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
        left_.push_back({container.path().filename().string(), std::move(id)});
}

/// The next one, of the container `name` if that is not empty; `end_taken` has to follow.
std::optional<start_of_container> oci_backend::take_left_over(const std::string& name) {
  const std::lock_guard lock{left_mutex_};
  const auto found = std::find_if(left_.begin(), left_.end(), [&](const auto& x) { return name.empty() || x.name == name; });
  if (found == left_.end())
    return std::nullopt;
  auto taken = std::move(*found);
  left_.erase(found);
  ending_.insert(taken.name);
  return taken;
}

bool oci_backend::end_taken(const start_of_container& taken) {
  const bool is_ended = end_start(taken.name, taken.id);
  {
    const std::lock_guard lock{left_mutex_};
    ending_.erase(ending_.find(taken.name));
  }
  left_changed_.notify_all();
  return is_ended;
}

/// First all that may still run, then the folders, of which one may hold any number of files.
void oci_backend::end_left_over() {
  std::vector<start_of_container> ended;
  while (auto taken = take_left_over({}))
    if (end_taken(*taken))
      ended.push_back(*std::move(taken));
  for (const auto& start : ended)
    remove_folder(start.name, start.id);
  sweep_users();
}

void oci_backend::end_left_over_of(const std::string& name) {
  while (const auto taken = take_left_over(name))
    if (end_taken(*taken))
      remove_folder(taken->name, taken->id);
  std::unique_lock lock{left_mutex_};
  left_changed_.wait(lock, [&] { return ending_.count(name) == 0; }); // bounded by what the end of a start is
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

} // namespace

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
