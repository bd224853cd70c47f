#include "actors/instance/process_driver.hpp"

#include <sys/types.h>
#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <system_error>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/process_driver_state.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

// A status that only the (foreign) parent may collect appears within microseconds; ask this often, 10 ms apart.
constexpr std::uint32_t collect_attempts = 50;
constexpr milliseconds collect_pause{10};

driver_failure record_failure(const std::string& what, const storage::storage_error& why) {
  return {driver_errc::record_failed, what + ": " + why.message};
}

std::int64_t unix_time_ms() {
  return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

} // namespace

// tenant.application.service-N.container without its last part.
std::string instance_of(const std::string& container) {
  return container.substr(0, container.rfind('.'));
}

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
    [this](const tidy_folders& request) { return on_tidy(request); },
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
                                end.max_rss_bytes, unix_time_ms(),
                                end.exit_code == 0 || entry.stopping
                                  ? std::string{}
                                  : last_line(stderr_log_path(options_.data_directory, record.name), record.started_at_ms)};
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

caf::actor spawn_process_driver(caf::actor_system& system, process_driver_options options) {
  const auto behavior = [](caf::stateful_actor<process_driver_state, runtime::supervised_actor>* self, process_driver_options chosen) {
    return self->state.make_behavior(std::move(chosen));
  };
  return options.detached ? system.spawn<caf::detached>(behavior, std::move(options))
                          : system.spawn(behavior, std::move(options));
}

} // namespace prunella::actors
