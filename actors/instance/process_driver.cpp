#include "actors/instance/process_driver.hpp"

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <map>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/instance/process_recovery.hpp"
#include "actors/instance/process_watcher.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

// A status that only the (foreign) parent may collect appears within microseconds; ask this often, 10 ms apart.
constexpr std::uint32_t collect_attempts = 50;
constexpr milliseconds collect_pause{10};

// From the watcher's thread: the process behind watch `key` ended.
struct process_ended {
  std::uint64_t key = 0;
  std::uint32_t attempt = 0;

  PRUNELLA_FIELDS(process_ended, key, attempt)
};

// Timer: the grace of the stop with this epoch is over.
struct grace_over {
  std::uint64_t key = 0;
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(grace_over, key, epoch)
};

driver_failure record_failure(const std::string& what, const storage::storage_error& why) {
  return {driver_errc::record_failed, what + ": " + why.message};
}

std::int64_t unix_time_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

// tenant.application.service-N.container without its last part.
std::string instance_of(const std::string& container) {
  return container.substr(0, container.rfind('.'));
}

// A start that waits for what runs under its name to end.
struct pending_start {
  container_order order;
  caf::actor_addr owner;
  caf::response_promise promise;
};

struct running_container {
  storage::container_record record;
  process_handle process;
  milliseconds grace{10'000};
  caf::actor_addr owner;
  bool stopping = false;
  std::uint64_t stop_epoch = 0;
  std::chrono::steady_clock::time_point kill_at;
  std::vector<caf::response_promise> waiting; // for its end, of stop and wait requests alike
  std::optional<pending_start> next;
};

class process_driver_state {
public:
  static inline const char* name = "process_driver";

  explicit process_driver_state(caf::stateful_actor<process_driver_state, runtime::supervised_actor>* self);

  caf::behavior make_behavior(process_driver_options options);

private:
  using container_map = std::map<std::string, running_container>;

  std::optional<driver_failure> start_up();
  std::optional<driver_failure> recover();
  void take_over(recovered_process found);

  caf::result<container_prepared> on_prepare(const prepare_container& request);
  caf::result<container_started> on_start(const start_container& request);
  caf::result<container_started> on_adopt(const adopt_container& request);
  caf::result<container_exited> on_stop(const stop_container& request);
  caf::result<container_exited> on_wait(const wait_container& request);
  caf::result<void> on_signal(const signal_container& request);
  caf::result<void> on_remove(const remove_container& request);
  caf::result<void> on_stop_all(const stop_all_containers& request);
  caf::result<recovered_containers> on_recover(const recover_containers& request);
  caf::result<container_stats_list> on_stats(const get_container_stats& request);
  void on_process_ended(const process_ended& event);
  void on_grace_over(const grace_over& event);

  driver_result<container_started> start(const container_order& order, const caf::actor_addr& owner);
  container_started adopt(running_container& container, const caf::actor_addr& owner) const;
  void begin_stop(std::uint64_t key, running_container& container, milliseconds grace);
  void replace(running_container& container, pending_start next);
  static void cancel_next(running_container& container, const std::string& why);
  void finish(container_map::iterator ended, const process_end& end);
  void watch(const std::string& container);

  caf::actor_addr sender() const { return caf::actor_cast<caf::actor_addr>(self_->current_sender()); }
  driver_failure refuse_released() const;
  running_container* find(const std::string& container, std::uint64_t generation);
  static caf::error not_running(const std::string& container, std::uint64_t generation);

  caf::event_based_actor* self_;
  process_driver_options options_;
  std::string boot_id_ = read_boot_id();
  container_map containers_;
  std::map<std::uint64_t, std::string> watched_; // key of the watch → container
  std::map<std::string, std::uint64_t> keys_;    // the other way round
  std::uint64_t last_key_ = 0;
  std::optional<std::string> released_;             // why
  std::vector<caf::response_promise> until_empty_; // stop_all_containers
  std::unique_ptr<log_keeper> logs_;
  std::unique_ptr<process_watcher> watcher_; // last: its thread ends before anything else of this goes
};

process_driver_state::process_driver_state(caf::stateful_actor<process_driver_state, runtime::supervised_actor>* self)
    : self_{self} {}

caf::behavior process_driver_state::make_behavior(process_driver_options options) {
  options_ = std::move(options);
  if (!options_.data_directory.empty())
    options_.data_directory = std::filesystem::absolute(options_.data_directory).lexically_normal().string();
  if (options_.agent.empty())
    options_.agent = options_.data_directory;
  if (const auto failure = start_up()) {
    self_->quit(to_error(*failure));
    return {};
  }
  return {
    [this](const prepare_container& request) { return on_prepare(request); },
    [this](const start_container& request) { return on_start(request); },
    [this](const adopt_container& request) { return on_adopt(request); },
    [this](const stop_container& request) { return on_stop(request); },
    [this](const wait_container& request) { return on_wait(request); },
    [this](const signal_container& request) { return on_signal(request); },
    [this](const remove_container& request) { return on_remove(request); },
    [this](const stop_all_containers& request) { return on_stop_all(request); },
    [this](const recover_containers& request) { return on_recover(request); },
    [this](const get_container_stats& request) { return on_stats(request); },
    [this](const release_containers& request) { released_ = request.reason; },
    [this](const process_ended& event) { on_process_ended(event); },
    [this](const grace_over& event) { on_grace_over(event); },
  };
}

std::optional<driver_failure> process_driver_state::start_up() {
  if (options_.data_directory.empty() || !options_.records)
    return driver_failure{driver_errc::invalid_request, "the process driver needs a data directory and a record store"};
  try {
    logs_ = std::make_unique<log_keeper>(options_.log_cap_bytes);
    const auto self = caf::actor_cast<caf::actor>(self_);
    watcher_ = std::make_unique<process_watcher>([self](std::uint64_t key) { caf::anon_send(self, process_ended{key, 0}); });
  } catch (const std::system_error& error) {
    return driver_failure{driver_errc::fork_failed, error.what()};
  }
  return recover();
}

std::optional<driver_failure> process_driver_state::recover() {
  const auto records = options_.records->list();
  if (!records)
    return record_failure("the records of running containers cannot be read", records.error());
  auto recovery = recover_processes(*records, boot_id_);
  for (const auto& gone : recovery.gone)
    if (const auto erased = options_.records->erase(gone); !erased)
      return record_failure("the record of " + gone + ", which ended, cannot be removed", erased.error());
  std::vector<storage::container_record> running;
  for (auto& found : recovery.running) {
    running.push_back(found.record);
    take_over(std::move(found));
  }
  kill_orphans(options_.agent, running);
  return std::nullopt;
}

void process_driver_state::take_over(recovered_process found) {
  const std::string container = found.record.name;
  logs_->add(stdout_log_path(options_.data_directory, container));
  logs_->add(stderr_log_path(options_.data_directory, container));
  auto& entry = containers_[container];
  entry.record = std::move(found.record);
  entry.process = std::move(found.process);
  watch(container);
}

void process_driver_state::watch(const std::string& container) {
  const auto key = ++last_key_;
  watched_[key] = container;
  keys_[container] = key;
  if (!watcher_->watch(containers_[container].process.pidfd.get(), key)) // epoll's limit: poll this one by timer
    self_->delayed_send(self_, collect_pause, process_ended{key, 0});
}

// -- requests ----------------------------------------------------------------

caf::result<container_prepared> process_driver_state::on_prepare(const prepare_container& request) {
  if (const auto failure = check_order(request.order))
    return to_error(*failure);
  auto launch = prepare_folder(request.order, options_.data_directory, options_.agent);
  if (const auto* failure = std::get_if<driver_failure>(&launch))
    return to_error(*failure);
  const auto& ready = std::get<launch_request>(launch);
  const auto path = request.order.env.find("PATH");
  const auto file = resolve_command(ready.command.front(),
                                    path == request.order.env.end() ? default_path : std::string_view{path->second},
                                    ready.working_directory);
  if (const auto* failure = std::get_if<driver_failure>(&file))
    return to_error(*failure);
  return container_prepared{request.order.name};
}

caf::result<container_started> process_driver_state::on_start(const start_container& request) {
  const auto& order = request.order;
  if (released_)
    return to_error(refuse_released());
  if (const auto failure = check_order(order))
    return to_error(*failure);
  const auto found = containers_.find(order.name);
  if (found != containers_.end()) {
    auto& current = found->second;
    if (current.record.generation > order.generation)
      return to_error({driver_errc::stale_generation, "generation " + std::to_string(current.record.generation) + " of "
                                                        + order.name + " runs here; " + std::to_string(order.generation)
                                                        + " is outdated and stays stopped"});
    const bool same = current.record.generation == order.generation && current.record.spec_hash == order.spec_hash;
    if (same && !current.stopping && is_alive(current.process)) {
      current.grace = order.spec.grace;
      return adopt(current, sender());
    }
    replace(current, {order, sender(), self_->make_response_promise()});
    return caf::delegated<container_started>{};
  }
  auto started = start(order, sender());
  if (const auto* failure = std::get_if<driver_failure>(&started))
    return to_error(*failure);
  return std::get<container_started>(std::move(started));
}

caf::result<container_started> process_driver_state::on_adopt(const adopt_container& request) {
  auto* container = find(request.name, request.generation);
  if (!container || container->record.spec_hash != request.spec_hash || !is_alive(container->process))
    return not_running(request.name, request.generation);
  return adopt(*container, sender());
}

caf::result<container_exited> process_driver_state::on_stop(const stop_container& request) {
  if (released_)
    return to_error(refuse_released());
  const auto found = containers_.find(request.name);
  if (found == containers_.end())
    return not_running(request.name, request.generation);
  auto& container = found->second;
  if (container.next && container.next->order.generation <= request.generation)
    cancel_next(container, request.name + " was told to stop");
  if (container.record.generation < request.generation)
    return not_running(request.name, request.generation);
  if (container.record.generation > request.generation)
    return to_error({driver_errc::stale_generation, "a newer generation of " + request.name + " runs here"});
  if (container.waiting.size() >= options_.max_waiting)
    return to_error({driver_errc::too_many, "too many requests wait for the end of " + request.name});
  container.waiting.push_back(self_->make_response_promise());
  begin_stop(keys_[request.name], container, request.grace);
  return caf::delegated<container_exited>{};
}

caf::result<container_exited> process_driver_state::on_wait(const wait_container& request) {
  auto* container = find(request.name, request.generation);
  if (!container)
    return not_running(request.name, request.generation);
  if (container->waiting.size() >= options_.max_waiting)
    return to_error({driver_errc::too_many, "too many requests wait for the end of " + request.name});
  container->waiting.push_back(self_->make_response_promise());
  return caf::delegated<container_exited>{};
}

caf::result<void> process_driver_state::on_signal(const signal_container& request) {
  if (released_)
    return to_error(refuse_released());
  auto* container = find(request.name, request.generation);
  if (!container || !is_alive(container->process))
    return not_running(request.name, request.generation);
  if (!signal_process(container->process, request.number))
    return to_error({driver_errc::invalid_request, "signal " + std::to_string(request.number)
                                                     + " cannot be sent; see `kill -l` for those there are"});
  return caf::unit;
}

caf::result<void> process_driver_state::on_remove(const remove_container& request) {
  if (containers_.count(request.name) != 0)
    return to_error({driver_errc::still_running, request.name + " still runs; stop it first"});
  container_order named;
  named.name = named.instance = request.name;
  named.spec.command = {"none"};
  if (const auto failure = check_order(named)) // a name with a slash must not delete somebody else's folder
    return to_error(*failure);
  if (const auto failure = remove_folder(options_.data_directory, request.name))
    return to_error(*failure);
  return caf::unit;
}

caf::result<void> process_driver_state::on_stop_all(const stop_all_containers& request) {
  if (released_)
    return to_error(refuse_released());
  if (containers_.empty())
    return caf::unit;
  if (until_empty_.size() >= options_.max_waiting)
    return to_error({driver_errc::too_many, "too many requests wait for all containers to stop"});
  until_empty_.push_back(self_->make_response_promise());
  for (auto& [container, entry] : containers_) {
    cancel_next(entry, "all containers of this host were told to stop");
    begin_stop(keys_[container], entry, std::min(entry.grace, request.grace_limit));
  }
  return caf::delegated<void>{};
}

caf::result<recovered_containers> process_driver_state::on_recover(const recover_containers& request) {
  recovered_containers all;
  for (const auto& [container, entry] : containers_) {
    const auto& record = entry.record;
    if (!request.only_without_owner || !caf::actor_cast<caf::actor>(entry.owner))
      all.containers.push_back(
        {record.name, instance_of(record.name), record.generation, record.spec_hash, record.pid, record.started_at_ms});
  }
  return all;
}

caf::result<container_stats_list> process_driver_state::on_stats(const get_container_stats& request) {
  if (!request.name.empty() && containers_.count(request.name) == 0)
    return not_running(request.name, 0);
  std::map<pid_t, container_stats> by_group;
  for (const auto& [container, entry] : containers_)
    if (request.name.empty() || container == request.name) {
      auto& stats = by_group[entry.process.pid];
      stats.name = container;
      stats.generation = entry.record.generation;
    }
  const std::int64_t page = ::sysconf(_SC_PAGESIZE);
  for (const pid_t pid : list_processes()) {
    const auto stat = read_proc_stat(pid);
    const auto group = stat ? by_group.find(stat->group) : by_group.end();
    if (group == by_group.end())
      continue;
    ++group->second.processes;
    group->second.user_time += ticks_to_time(stat->user_ticks);
    group->second.system_time += ticks_to_time(stat->system_ticks);
    group->second.rss_bytes += stat->rss_pages * page;
  }
  container_stats_list list;
  for (auto& [group, stats] : by_group)
    list.containers.push_back(std::move(stats));
  std::sort(list.containers.begin(), list.containers.end(),
            [](const container_stats& a, const container_stats& b) { return a.name < b.name; });
  return list;
}

// -- life of a process -------------------------------------------------------

driver_result<container_started> process_driver_state::start(const container_order& order, const caf::actor_addr& owner) {
  if (containers_.size() >= options_.max_containers)
    return driver_failure{driver_errc::too_many, "this host runs " + std::to_string(containers_.size())
                                                   + " containers, as many as its process driver is set to"};
  auto launch = prepare_folder(order, options_.data_directory, options_.agent);
  if (auto* failure = std::get_if<driver_failure>(&launch))
    return std::move(*failure);
  auto launched = launch_process(std::get<launch_request>(launch));
  if (auto* failure = std::get_if<driver_failure>(&launched))
    return std::move(*failure);
  auto& process = std::get<process_handle>(launched);
  const storage::container_record record{order.name, order.generation, process.pid, process.start_ticks, boot_id_,
                                         order.spec_hash, unix_time_ms(),
                                         stdout_log_path(options_.data_directory, order.name)};
  // Before anybody hears of it. A crash up to here leaves a process with our mark and no record: recovery kills it.
  if (const auto kept = options_.records->put(record); !kept) {
    signal_group(process, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
    return record_failure(order.name + " was started and ended again, because its record could not be kept", kept.error());
  }
  auto& entry = containers_[order.name];
  entry.record = record;
  entry.process = std::move(process);
  entry.grace = order.spec.grace;
  watch(order.name);
  logs_->add(std::get<launch_request>(launch).output_path);
  logs_->add(std::get<launch_request>(launch).error_path);
  auto started = adopt(entry, owner);
  started.adopted = false;
  return started;
}

container_started process_driver_state::adopt(running_container& container, const caf::actor_addr& owner) const {
  container.owner = owner;
  const auto& record = container.record;
  return {record.name, record.generation, record.pid, record.start_time_ticks, record.started_at_ms, true};
}

void process_driver_state::begin_stop(std::uint64_t key, running_container& container, milliseconds grace) {
  const auto now = std::chrono::steady_clock::now();
  const auto kill_at = now + std::max(grace, milliseconds{0});
  const bool first = !container.stopping;
  if (!first && kill_at >= container.kill_at)
    return;
  container.stopping = true;
  container.kill_at = kill_at;
  const auto epoch = ++container.stop_epoch;
  if (kill_at <= now) {
    signal_group(container.process, SIGKILL);
    return;
  }
  if (first)
    signal_group(container.process, SIGTERM);
  self_->delayed_send(self_, kill_at - now, grace_over{key, epoch});
}

void process_driver_state::replace(running_container& container, pending_start next) {
  cancel_next(container, "a newer start of " + next.order.name + " took this one's place");
  container.next = std::move(next);
  begin_stop(keys_[container.record.name], container, container.grace);
}

void process_driver_state::cancel_next(running_container& container, const std::string& why) {
  if (container.next)
    container.next->promise.deliver(to_error({driver_errc::superseded, why}));
  container.next.reset();
}

void process_driver_state::on_grace_over(const grace_over& event) {
  const auto container = watched_.find(event.key);
  if (container == watched_.end())
    return;
  auto& entry = containers_[container->second];
  if (entry.stop_epoch == event.epoch)
    signal_group(entry.process, SIGKILL);
}

void process_driver_state::on_process_ended(const process_ended& event) {
  const auto container = watched_.find(event.key);
  if (container == watched_.end())
    return;
  const auto entry = containers_.find(container->second);
  auto& process = entry->second.process;
  if (is_alive(process)) { // only where the watcher had to be replaced by a timer
    self_->delayed_send(self_, collect_pause, process_ended{event.key, 0});
    return;
  }
  signal_group(process, SIGKILL); // what it left in its group; before its number is free again
  auto end = event.attempt < collect_attempts ? collect_end(process) : collect_end_now(process);
  if (!end) {
    self_->delayed_send(self_, collect_pause, process_ended{event.key, event.attempt + 1});
    return;
  }
  watched_.erase(container);
  finish(entry, *end);
}

void process_driver_state::finish(container_map::iterator ended, const process_end& end) {
  auto entry = std::move(ended->second);
  containers_.erase(ended);
  const auto& record = entry.record;
  keys_.erase(record.name);
  logs_->remove(stdout_log_path(options_.data_directory, record.name));
  logs_->remove(stderr_log_path(options_.data_directory, record.name));
  if (entry.stopping)
    kill_leftovers(options_.agent, record.name, record.generation);
  // If that fails, the record means a process that is gone: the next recovery sees it, and tries again.
  static_cast<void>(options_.records->erase(record.name));
  const container_exited exited{record.name,   instance_of(record.name), record.generation, record.pid,      end.known,
                                end.exit_code, end.signal,      entry.stopping,    end.user_time, end.system_time,
                                end.max_rss_bytes, unix_time_ms()};
  for (auto& promise : entry.waiting)
    promise.deliver(exited);
  if (const auto owner = caf::actor_cast<caf::actor>(entry.owner))
    self_->send(owner, exited);
  if (entry.next) {
    auto started = start(entry.next->order, entry.next->owner);
    if (const auto* failure = std::get_if<driver_failure>(&started))
      entry.next->promise.deliver(to_error(*failure));
    else
      entry.next->promise.deliver(std::get<container_started>(std::move(started)));
  }
  if (!containers_.empty())
    return;
  for (auto& promise : std::exchange(until_empty_, {}))
    promise.deliver(caf::unit);
}

driver_failure process_driver_state::refuse_released() const {
  return {driver_errc::released, "the containers of this host stay as they are: " + *released_};
}

running_container* process_driver_state::find(const std::string& container, std::uint64_t generation) {
  const auto found = containers_.find(container);
  return found != containers_.end() && found->second.record.generation == generation ? &found->second : nullptr;
}

caf::error process_driver_state::not_running(const std::string& container, std::uint64_t generation) {
  return to_error({driver_errc::not_running,
                   "generation " + std::to_string(generation) + " of " + container + " does not run on this host"});
}

} // namespace

caf::actor spawn_process_driver(caf::actor_system& system, process_driver_options options) {
  const auto behavior = [](caf::stateful_actor<process_driver_state, runtime::supervised_actor>* self, process_driver_options chosen) {
    return self->state.make_behavior(std::move(chosen));
  };
  return options.detached ? system.spawn<caf::detached>(behavior, std::move(options))
                          : system.spawn(behavior, std::move(options));
}

} // namespace prunella::actors
