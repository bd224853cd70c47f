#include "actors/instance/container_driver.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <exception>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>
#include <caf/system_messages.hpp>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/container_driver_state.hpp"
#include "actors/instance/container_folder.hpp"
#include "actors/instance/engine/engine_backend.hpp"
#include "actors/instance/oci/oci_backend.hpp"
#include "actors/instance/process_backend.hpp"
#include "actors/instance/process_recovery.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds collect_pause{10};
constexpr milliseconds clear_pause{200};
constexpr std::size_t most_to_clear = 16; // then starts have to bear with it

driver_failure record_failure(const std::string& what, const storage::storage_error& why) {
  return {driver_errc::record_failed, what + ": " + why.message};
}

} // namespace

// tenant.application.service-N.container without its last part.
std::string instance_of(const std::string& container) {
  return container.substr(0, container.rfind('.'));
}

bool running_container::is_alive() const {
  return !launched.end && launched.main.pidfd && actors::is_alive(launched.main);
}

available_drivers find_drivers(const std::vector<config::driver_spec>& wanted) {
  using config::driver_kind;
  const bool is_asked = !wanted.empty();
  available_drivers found;
  for (auto driver : is_asked ? wanted : std::vector<config::driver_spec>{{driver_kind::process, {}}, {driver_kind::oci, {}}}) {
    std::string missing;
    if (driver.kind == driver_kind::oci) {
      auto programs = find_oci_programs(driver.runtime);
      if (const auto* failure = std::get_if<driver_failure>(&programs))
        missing = failure->message;
      else
        driver.runtime = std::get<oci_programs>(programs).runtime;
    }
    // An engine may come up later than the agent, so it is offered as it is written.
    if (missing.empty() && driver.kind != driver_kind::process && ::geteuid() != 0)
      missing = "containers of images need an agent that runs as root";
    if (missing.empty())
      found.drivers.push_back(driver);
    else if (is_asked)
      found.missing.push_back(missing);
  }
  return found;
}

container_driver_state::container_driver_state(caf::stateful_actor<container_driver_state, runtime::supervised_actor>* self)
    : self_{self} {}

caf::behavior container_driver_state::make_behavior(container_driver_options options) {
  options_ = std::move(options);
  if (!options_.data_directory.empty())
    options_.data_directory = std::filesystem::absolute(options_.data_directory).lexically_normal().string();
  if (options_.agent.empty())
    options_.agent = options_.data_directory;
  if (const auto failure = start_up()) {
    self_->quit(to_error(*failure));
    return {};
  }
  self_->set_down_handler([this](const caf::down_msg& down) { forget_owner(down.source); });
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
    [this](const exec_container& request) { return on_exec(request); },
    [this](const plan_command& request) { return on_plan(request); },
    [this](const command_done& event) { on_command_done(event); },
    [this](const container_ended& event) { on_container_ended(event); },
    [this](const grace_over& event) { on_grace_over(event); },
    [this](const job_done& event) { jobs_->finish(event.key); },
    [this](const clear_due&) { on_clear_due(); },
  };
}

// -- start-up --------------------------------------------------------------------------------------------------------

std::optional<driver_failure> container_driver_state::start_up() {
  if (options_.data_directory.empty() || !options_.records)
    return driver_failure{driver_errc::invalid_request, "the driver needs a data directory and a record store"};
  try {
    make_backends();
    logs_ = std::make_unique<log_keeper>(container_folder(options_.data_directory, ""));
    const auto self = caf::actor_cast<caf::actor>(self_);
    watcher_ = std::make_unique<process_watcher>([self](std::uint64_t key) { caf::anon_send(self, container_ended{key, 0}); });
    const bool any_slow = std::any_of(backends_.begin(), backends_.end(), [](const auto& x) { return x->is_slow(); });
    jobs_ = std::make_unique<job_threads>(any_slow ? options_.threads : 1,
                                          [self](std::uint64_t key) { caf::anon_send(self, job_done{key}); });
  } catch (const std::system_error& error) {
    return driver_failure{driver_errc::fork_failed, error.what()};
  }
  auto failure = recover();
  logs_->begin_ageing();
  for (const auto& backend : backends_)
    jobs_->run([left_by = backend.get()]() -> job_threads::completion {
      left_by->end_left_over();
      return {};
    });
  delete_aside();
  return failure;
}

void container_driver_state::make_backends() {
  using config::driver_kind;
  const auto& data = options_.data_directory;
  if (std::any_of(options_.drivers.begin(), options_.drivers.end(), [](const auto& x) { return x.kind != driver_kind::process; })) {
    instance_networks_options networks;
    networks.data_directory = data;
    networks.bridge = options_.bridge;
    networks_ = std::make_shared<instance_networks>(networks);
  }
  for (const auto& driver : options_.drivers)
    if (driver.kind == driver_kind::process)
      backends_.push_back(make_process_backend({data, options_.agent}));
    else if (driver.kind == driver_kind::engine)
      backends_.push_back(make_engine_backend(
        {data, options_.agent, driver.socket, options_.host_paths, networks_, options_.engine_helper, options_.engine_patience}));
    else if (auto programs = find_oci_programs(driver.runtime); auto* found = std::get_if<oci_programs>(&programs))
      backends_.push_back(make_oci_backend({data, found->runtime, found->conmon, options_.host_paths, networks_}));
}

std::optional<driver_failure> container_driver_state::recover() {
  const auto records = options_.records->list();
  if (!records)
    return record_failure("the records of running containers cannot be read", records.error());
  for (const auto& backend : backends_) {
    std::vector<storage::container_record> own;
    std::copy_if(records->begin(), records->end(), std::back_inserter(own),
                 [&](const auto& record) { return record.driver == backend->kind() && !record.has_ended_well; });
    for (auto& found : backend->recover(own, boot_id_))
      take_over(std::move(found), *backend);
  }
  find_networks();
  std::vector<storage::container_record> nobodys; // of a driver that this host had
  std::copy_if(records->begin(), records->end(), std::back_inserter(nobodys), [&](const auto& record) {
    return !record.has_ended_well
           && std::none_of(backends_.begin(), backends_.end(), [&](const auto& x) { return x->kind() == record.driver; });
  });
  kill_recorded(nobodys, boot_id_);
  for (const auto& [container, entry] : containers_) // a backend may know one by its own means
    if (std::none_of(records->begin(), records->end(), [&, id = entry.record().runtime_id](const auto& x) { return x.runtime_id == id; }))
      if (const auto kept = options_.records->put(entry.record()); !kept)
        return record_failure("the record of " + container + ", which was found running, cannot be kept", kept.error());
  for (const auto& record : *records)
    if (containers_.count(record.name) == 0 && record.has_ended_well) {
      known_ends_.emplace(record.name, record);
      noted_ends_.insert(record.name);
    } else if (containers_.count(record.name) == 0)
      if (const auto erased = options_.records->erase(record.name); !erased)
        return record_failure("the record of " + record.name + ", which ended, cannot be removed", erased.error());
  return std::nullopt;
}

void container_driver_state::find_networks() {
  if (!networks_)
    return;
  std::vector<std::pair<std::string, std::string>> users;
  for (const auto& [container, entry] : containers_)
    if (!entry.launched.network_user.empty())
      users.emplace_back(instance_of(container), entry.launched.network_user);
  networks_->recover(users);
  for (auto& [container, entry] : containers_)
    if (!entry.launched.network_user.empty())
      entry.launched.address = networks_->address_of(instance_of(container));
}

void container_driver_state::take_over(launched_container found, driver_backend& backend) {
  const std::string container = found.record.name;
  for (const auto& log : found.logs)
    logs_->add(log, kept_log_bounds(log.path));
  auto& entry = containers_[container];
  entry.launched = std::move(found);
  entry.backend = &backend;
  watch(container);
}

// One that ended before is not watched: its end is told when somebody asks for it.
void container_driver_state::watch(const std::string& container) {
  const auto key = ++last_key_;
  watched_[key] = container;
  keys_[container] = key;
  const auto& launched = containers_[container].launched;
  if (launched.end)
    return;
  const auto& process = launched.watched.pidfd ? launched.watched : launched.main;
  if (!process.pidfd || !watcher_->watch(process.pidfd.get(), key)) // over already, or epoll's limit: poll it by timer
    self_->delayed_send(self_, collect_pause, container_ended{key, 0});
}

// -- the end of a container ------------------------------------------------------------------------------------------

void container_driver_state::on_container_ended(const container_ended& event) {
  const auto container = watched_.find(event.key);
  if (container == watched_.end())
    return;
  const auto entry = containers_.find(container->second);
  const auto& launched = entry->second.launched;
  const auto& process = launched.watched.pidfd ? launched.watched : launched.main;
  if (!launched.end && process.pidfd && actors::is_alive(process)) { // only where the watcher had to be replaced by a timer
    self_->delayed_send(self_, collect_pause, container_ended{event.key, 0});
    return;
  }
  const auto end = launched.end ? launched.end
                                : entry->second.backend->collect(launched, event.attempt >= entry->second.backend->collect_attempts());
  if (!end) {
    self_->delayed_send(self_, collect_pause, container_ended{event.key, event.attempt + 1});
    return;
  }
  finish(entry, *end);
}

void container_driver_state::finish(container_map::iterator ended, const container_end& end) {
  auto entry = std::move(ended->second);
  containers_.erase(ended);
  const auto& record = entry.record();
  watched_.erase(keys_[record.name]);
  keys_.erase(record.name);
  if (runner_)
    runner_->cancel(record.name);
  for (const auto& log : entry.launched.logs)
    logs_->remove(log.path);
  clear_later(*entry.backend, record, entry.stopping);
  const auto& how = end.process;
  const bool failed = (how.exit_code != 0 || how.signal != 0) && !entry.stopping;
  container_exited exited{record.name,     instance_of(record.name), record.generation, record.pid,       how.known,
                          how.exit_code,   how.signal,               entry.stopping,    how.user_time,    how.system_time,
                          how.max_rss_bytes, wall_clock_ms(),         {},                end.out_of_memory && failed,
                          end.memory_limit_bytes};
  if (!entry.stopping)
    exited.last_words = end.reason;
  if (how.exit_code != 0 && failed && exited.last_words.empty())
    exited.last_words = entry.backend->last_words(record);
  note_end(record, exited);
  for (auto& promise : entry.waiting)
    promise.deliver(exited);
  if (const auto owner = caf::actor_cast<caf::actor>(entry.owner))
    self_->send(owner, exited);
  if (entry.next)
    begin(*std::move(entry.next));
  settle_if_empty();
}

/// What did its work is not to do it again because the agent is killed before the site knows.
void container_driver_state::note_end(storage::container_record record, const container_exited& how) {
  record.has_ended_well = has_ended_well(how);
  if (record.has_ended_well && options_.records->put(record)) {
    noted_ends_.insert(record.name);
    return;
  }
  // If that fails, the record means a container that is gone: the next recovery sees it, and tries again.
  static_cast<void>(options_.records->erase(record.name));
}

/// Later than the start that often follows an end, which it would slow down.
void container_driver_state::clear_later(driver_backend& backend, const storage::container_record& record, bool stopped) {
  if (!backend.is_slow())
    return backend.clear(record, stopped);
  clearing_.insert(record.name);
  to_clear_.push_back({&backend, record, stopped});
  if (to_clear_.size() == 1)
    self_->delayed_send(self_, clear_pause, clear_due{});
}

void container_driver_state::on_clear_due() {
  if (!rising_.empty() && to_clear_.size() < most_to_clear)
    self_->delayed_send(self_, clear_pause, clear_due{});
  else
    clear_all();
}

void container_driver_state::clear_all() {
  for (auto& next : std::exchange(to_clear_, {}))
    jobs_->run([this, next = std::move(next)]() -> job_threads::completion {
      try {
        next.backend->clear(next.record, next.stopped);
      } catch (const std::exception&) { // what is left of it is found by the next agent
      }
      return [this, name = next.record.name] { clearing_.erase(clearing_.find(name)); };
    });
}

container_driver_state::~container_driver_state() {
  if (jobs_)
    clear_all();
  jobs_.reset();
}

void container_driver_state::settle_if_empty() {
  if (!containers_.empty() || !rising_.empty())
    return;
  for (auto& promise : std::exchange(until_empty_, {}))
    promise.deliver(caf::unit);
}

// -- stopping --------------------------------------------------------------------------------------------------------

void container_driver_state::begin_stop(running_container& container, milliseconds grace) {
  const auto key = keys_[container.record().name];
  if (container.launched.end) { // it ended while nobody was there
    container.stopping = true;
    self_->send(self_, container_ended{key, 0});
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  const auto kill_at = now + std::max(grace, milliseconds{0});
  const bool first = !container.stopping;
  if (!first && kill_at >= container.kill_at)
    return;
  container.stopping = true;
  container.kill_at = kill_at;
  const auto epoch = ++container.stop_epoch;
  if (kill_at <= now) {
    container.backend->kill(container.launched);
    return;
  }
  if (first)
    container.backend->signal(container.launched, container.record().stop_signal);
  self_->delayed_send(self_, kill_at - now, grace_over{key, epoch});
}

void container_driver_state::on_grace_over(const grace_over& event) {
  const auto container = watched_.find(event.key);
  if (container == watched_.end())
    return;
  auto& entry = containers_[container->second];
  if (entry.stop_epoch == event.epoch)
    entry.backend->kill(entry.launched);
}

void container_driver_state::replace(running_container& container, pending_start next) {
  cancel(container.next, "a newer start of " + next.order.name + " took this one's place");
  container.next = std::move(next);
  begin_stop(container, container.grace);
}

void container_driver_state::cancel(std::optional<pending_start>& start, const std::string& why) {
  if (start)
    start->promise.deliver(to_error({driver_errc::superseded, why}));
  start.reset();
}

caf::actor spawn_container_driver(caf::actor_system& system, container_driver_options options) {
  const auto behavior = [](caf::stateful_actor<container_driver_state, runtime::supervised_actor>* self,
                           container_driver_options chosen) { return self->state.make_behavior(std::move(chosen)); };
  return options.detached ? system.spawn<caf::detached>(behavior, std::move(options))
                          : system.spawn(behavior, std::move(options));
}

} // namespace prunella::actors
