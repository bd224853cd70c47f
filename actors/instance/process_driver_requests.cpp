#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/process_driver_state.hpp"

namespace prunella::actors {

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

caf::result<void> process_driver_state::on_tidy(const tidy_folders& request) {
  std::set<std::string> keep{request.keep.begin(), request.keep.end()};
  for (const auto& [container, entry] : containers_)
    keep.insert(container);
  if (const auto failure = remove_folders_except(keep, options_.data_directory))
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

} // namespace prunella::actors
