#include "actors/instance/engine/engine_backend_state.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <iterator>
#include <thread>

#include "actors/instance/command_runner.hpp"
#include "actors/instance/engine/engine_process.hpp"
#include "actors/instance/file_head.hpp"
#include "actors/instance/image_start.hpp"
#include "actors/instance/oci/cgroup.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds look_pause{10};      ///< between two looks at whether the engine has noticed an end
constexpr milliseconds look_patience{2'000}; ///< for it
constexpr std::uint32_t collect_looks = 250; ///< 2.5 s: what the engine has not told by then the kernel may
constexpr auto command_pid_extension = ".pid"; ///< of files beside the folders of starts
constexpr std::chrono::minutes image_rest{10}; ///< an image that no container used for so long goes from the engine

/// Which of our containers it is, whatever the engine calls it.
std::string name_of(const engine_listed& listed) {
  return record_of(listed.labels).value_or(storage::container_record{}).name;
}

} // namespace

engine_backend::engine_backend(engine_backend_options options)
  : options_(std::move(options)), bundle_(options_of_machine(options_.data_directory, options_.host_paths)),
    client_(options_.socket, options_.patience), run_(draw()),
    logs_([this](const std::string& id, const std::string& since) { return client_.logs(id, since); }),
    looks_(1, [this](std::uint64_t key) { looks_.finish(key); }) {}

std::uint32_t engine_backend::collect_attempts() const { return collect_looks; }

// -- commands in containers ----------------------------------------------------------------------------------------------

driver_result<command_plan> engine_backend::plan(const launched_container& container, const container_order&,
                                                 const plan_command& request) {
  if (options_.command_helper.empty())
    return driver_failure{driver_errc::no_driver, "this agent has no helper for commands in containers of an engine"};
  const auto& record = container.record;
  command_plan plan;
  plan.container = record.name;
  plan.generation = record.generation;
  plan.working_directory = starts_folder(record.name);
  plan.pid_file = plan.working_directory + "/command-" + run_ + "-" + std::to_string(++last_command_) + command_pid_extension;
  plan.cgroup = cgroup_of(record);
  if (plan.cgroup.empty()) // without it a number of a process might be anybody's
    return driver_failure{driver_errc::not_running, record.name + " does not run on this host"};
  plan.command = options_.command_helper;
  for (const auto& word : {std::string{"--socket"}, client_.socket(), std::string{"--container"}, record.runtime_id,
                           std::string{"--pid-file"}, plan.pid_file})
    plan.command.push_back(word);
  if (!request.terminal.empty()) // the engine says TERM=xterm itself
    plan.command.emplace_back("--tty");
  plan.command.emplace_back("--");
  plan.command.insert(plan.command.end(), request.command.begin(), request.command.end());
  plan.environment = {"PATH=" + std::string{default_path}};
  return plan;
}

/// Those that the last agent did not live to see the end of.
void engine_backend::end_commands(const storage::container_record& record) const {
  const auto group = cgroup_of_process(record.pid);
  std::error_code none;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(starts_folder(record.name), none))
    if (entry.path().extension() == command_pid_extension)
      files.push_back(entry.path());
  for (const auto& file : files) {
    if (!group.empty()) // else they ended with it
      kill_command_inside(file.string(), group);
    fs::remove(file, none);
  }
}

// -- ending --------------------------------------------------------------------------------------------------------------

void engine_backend::signal(const launched_container& container, int number) { signal_process(container.main, number); }

/// The main process is the first of a pid namespace: the kernel ends all others with it.
void engine_backend::kill(const launched_container& container) { signal_process(container.main, SIGKILL); }

/// Known while it runs, needed when it has ended.
std::string engine_backend::cgroup_of(const storage::container_record& record) {
  const std::lock_guard lock{mutex_};
  auto& group = groups_[record.runtime_id];
  if (group.empty() && record.pid > 0)
    group = cgroup_of_process(record.pid);
  return group.size() > 1 ? group : std::string{};
}

/// The kernel tells exactly how the process ended, if it is new enough: the engine cannot tell `exit 137` from a kill. What
/// there was no memory for the engine should know; Podman's conmon does not find out with every version of cgroups.
container_end engine_backend::end_as(const launched_container& container, const look& seen) const {
  container_end end;
  const auto known = container.main.pidfd ? collect_end(container.main) : std::nullopt;
  const auto& found = seen.found;
  if (known && known->known)
    end.process = *known;
  else if (found && found->was_started && !found->is_running)
    end.process = end_of(*found);
  end.process.user_time = seen.use.user_time;
  end.process.system_time = seen.use.system_time;
  end.process.max_rss_bytes = seen.use.max_memory_bytes;
  const bool failed = end.process.exit_code != 0 || end.process.signal != 0;
  end.out_of_memory = failed && (seen.kills.kills > 0 || (found && found->out_of_memory));
  if (seen.engine_went)
    end.reason = "its container engine was stopped or restarted, and ends its containers with itself; Docker does not with "
                 "`\"live-restore\": true` in its daemon.json";
  end.memory_limit_bytes = !end.out_of_memory ? 0 : seen.kills.limit_bytes > 0 ? seen.kills.limit_bytes : found ? found->memory_limit_bytes : 0;
  return end;
}

void engine_backend::begin_look(const std::string& id) {
  looks_.run([this, id]() -> job_threads::completion {
    const auto until = steady_clock::now() + look_patience;
    look seen;
    for (; steady_clock::now() < until; std::this_thread::sleep_for(look_pause)) {
      auto looked = client_.inspect(id);
      if (auto* found = std::get_if<std::optional<engine_container>>(&looked)) {
        seen.found = std::move(*found);
        if (!seen.found || !seen.found->is_running)
          break;
      }
    }
    const std::lock_guard lock{mutex_};
    if (const auto asked = ends_.find(id); asked != ends_.end()) {
      asked->second.found = std::move(seen.found);
      asked->second.is_done = true;
    }
    return [] {};
  });
}

std::optional<container_end> engine_backend::collect(const launched_container& container, bool last_time) {
  const auto& id = container.record.runtime_id;
  const auto group = cgroup_of(container.record);
  look seen;
  {
    const std::lock_guard lock{mutex_};
    const auto [asked, is_new] = ends_.try_emplace(id);
    if (is_new) {
      if (!group.empty()) {
        asked->second.use = read_cgroup_use(group);
        asked->second.kills = read_memory_kills(group);
      }
      begin_look(id);
    }
    if (!last_time && (!asked->second.is_done || !logs_.is_over(id)))
      return std::nullopt;
    seen = std::move(asked->second);
    ends_.erase(asked);
  }
  seen.engine_went = logs_.was_cut(id);
  logs_.forget(id);
  return end_as(container, seen);
}

void engine_backend::clear(const storage::container_record& record, bool stopped) {
  logs_.forget(record.runtime_id);
  {
    const std::lock_guard lock{mutex_};
    groups_.erase(record.runtime_id);
  }
  const auto folders = folders_of(starts_folder(record.name), record.runtime_id, engine_id_file);
  remove(record.name, record.runtime_id);
  for (const auto& folder : folders)
    options_.networks->leave(instance_of(record.name), folder, stopped);
  remove_left_over();
  rest_images();
}

/// Whatever of it there is. If the engine is away, later.
void engine_backend::remove(const std::string& name, const std::string& id) {
  if (client_.remove(id)) { // why not is of no use to anybody: it is tried again
    const std::lock_guard lock{mutex_};
    unremoved_.emplace(name, id);
    return;
  }
  {
    const std::lock_guard lock{mutex_};
    known_.erase(id);
  }
  remove_folders_of(name, id);
}

void engine_backend::remove_folders_of(const std::string& name, const std::string& id) const {
  std::error_code ignored;
  for (const auto& folder : folders_of(starts_folder(name), id, engine_id_file))
    fs::remove_all(folder, ignored);
}

/// What could not be removed when its time came.
void engine_backend::remove_left_over() {
  std::set<std::pair<std::string, std::string>> left;
  {
    const std::lock_guard lock{mutex_};
    left.swap(unremoved_);
  }
  for (const auto& [name, id] : left)
    remove(name, id);
  sweep();
}

/// The host's image store is where images are kept; the engine has those that run, and for a while those that ran.
void engine_backend::rest_images() {
  const std::unique_lock lock{images_mutex_, std::try_to_lock};
  if (!lock.owns_lock()) // a start has one of them, or brings it: after the next end
    return;
  auto listed = client_.images();
  const auto* names = std::get_if<std::vector<std::string>>(&listed);
  if (names == nullptr)
    return;
  for (const auto& name : *names) {
    {
      const std::lock_guard used{mutex_};
      const auto [at, is_new] = images_used_.try_emplace(name, steady_clock::now());
      if (is_new || steady_clock::now() - at->second < image_rest)
        continue;
    }
    static_cast<void>(client_.remove_image(name));
  }
}

// -- looking -------------------------------------------------------------------------------------------------------------

std::vector<launched_container> engine_backend::recover(const std::vector<storage::container_record>& records,
                                                        const std::string& boot_id) {
  std::vector<launched_container> found;
  std::set<std::string> ids;
  const auto has = [&](const std::string& name) {
    return std::any_of(found.begin(), found.end(), [&](const auto& x) { return x.record.name == name; });
  };
  for (const auto& record : records)
    if (record.boot_id == boot_id && !boot_id.empty())
      if (auto container = find_again(record)) {
        ids.insert(record.runtime_id);
        found.push_back(std::move(*container));
      }
  const auto know = [&] {
    const std::lock_guard lock{mutex_};
    for (const auto& container : found)
      known_.insert(container.record.runtime_id);
  };
  know(); // also if the engine is away
  auto listed = client_.list(options_.agent);
  const auto* all = std::get_if<std::vector<engine_listed>>(&listed);
  if (all == nullptr)
    return found;
  for (const auto& one : *all) {
    if (ids.count(one.id) > 0)
      continue;
    auto container = find_unrecorded(one, boot_id);
    if (container && !has(container->record.name))
      found.push_back(std::move(*container));
    else
      remove(name_of(one), one.id);
  }
  sweep_folders(found);
  know();
  const std::lock_guard lock{mutex_};
  is_swept_ = true;
  return found;
}

/// Folders of starts that are gone: of a crash between a folder and its container, or that could not be removed.
void engine_backend::sweep_folders(const std::vector<launched_container>& kept) const {
  std::error_code none; // of containers yet
  for (const auto& container : fs::directory_iterator(container_folder(options_.data_directory, ""), none))
    for (const auto& folder : folders_of((container.path() / "engine").string(), {}, engine_id_file)) {
      const auto id = file_head(folder + "/" + std::string{engine_id_file});
      if (std::none_of(kept.begin(), kept.end(), [&](const auto& x) { return x.record.runtime_id == id; }))
        fs::remove_all(folder, none);
    }
}

/// Removes what is at the engine, is ours, and nobody knows: if it was away when this driver began, what earlier ones left; and
/// what it made although we did not hear so.
void engine_backend::sweep() {
  {
    const std::lock_guard lock{mutex_};
    if (is_swept_)
      return;
    is_swept_ = true; // before the engine is asked: what it makes meanwhile, and does not tell us of, asks for another sweep
  }
  auto listed = client_.list(options_.agent);
  const auto* all = std::get_if<std::vector<engine_listed>>(&listed);
  std::vector<engine_listed> left;
  {
    const std::lock_guard lock{mutex_};
    is_swept_ = is_swept_ && all != nullptr && making_.empty(); // there may be more of one that is being made
    if (all == nullptr)
      return;
    std::copy_if(all->begin(), all->end(), std::back_inserter(left), [&](const auto& x) {
      return known_.count(x.id) == 0 && making_.count(name_of(x)) == 0;
    });
  }
  for (const auto& one : left)
    remove(name_of(one), one.id);
}

/// One that is recorded; how it ended is asked for later if the engine does not answer now. Nothing: there is none any more.
std::optional<launched_container> engine_backend::find_again(const storage::container_record& record) {
  launched_container container;
  container.record = record;
  if (auto main = open_process(static_cast<pid_t>(record.pid), record.start_time_ticks))
    container.main = std::move(*main);
  follow_log(container);
  note_network(container);
  end_commands(record);
  if (container.main.pidfd) {
    static_cast<void>(cgroup_of(record));
    return container;
  }
  auto looked = client_.inspect(record.runtime_id);
  if (auto* seen = std::get_if<std::optional<engine_container>>(&looked)) {
    container.end = end_as(container, {true, std::move(*seen), false, {}, {}});
    static_cast<void>(logs_.wait_until_over(record.runtime_id, look_patience));
  }
  return container;
}

/// One that runs and whose start nobody lived to record: its labels say what it is.
std::optional<launched_container> engine_backend::find_unrecorded(const engine_listed& listed, const std::string& boot_id) {
  auto record = record_of(listed.labels);
  if (!record)
    return std::nullopt;
  auto looked = client_.inspect(listed.id);
  const auto* seen = std::get_if<std::optional<engine_container>>(&looked);
  if (seen == nullptr || !*seen || !(*seen)->is_running)
    return std::nullopt;
  launched_container container;
  container.record = *std::move(record);
  container.record.boot_id = boot_id;
  container.record.runtime_id = listed.id;
  container.record.log_path = log_path(container.record.name);
  container.record.started_at_ms = (*seen)->started_at_ms;
  attach(container, **seen);
  if (!container.main.pidfd)
    return std::nullopt;
  static_cast<void>(cgroup_of(container.record));
  follow_log(container);
  note_network(container);
  return container;
}

std::vector<container_stats> engine_backend::stats(const std::vector<const launched_container*>& containers) {
  std::vector<container_stats> list;
  for (const auto* container : containers) {
    const auto group = cgroup_of(container->record);
    list.push_back(group.empty() ? container_stats{} : stats_of_group(group));
  }
  return list;
}

std::unique_ptr<driver_backend> make_engine_backend(engine_backend_options options) {
  return std::make_unique<engine_backend>(std::move(options));
}

} // namespace prunella::actors
