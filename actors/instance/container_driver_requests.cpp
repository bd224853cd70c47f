#include <algorithm>
#include <iterator>
#include <set>
#include <utility>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_driver_state.hpp"

namespace prunella::actors {

caf::result<container_started> container_driver_state::on_adopt(const adopt_container& request) {
  const auto& order = request.order;
  auto* container = find(order.name, order.generation);
  if (!container && tell_known_end(order))
    return caf::delegated<container_started>{};
  if (!container || container->record().spec_hash != order.spec_hash || !container->is_alive())
    return not_running(order.name, order.generation);
  claim(*container, order);
  return adopt(*container, new_owner());
}

caf::result<container_exited> container_driver_state::on_stop(const stop_container& request) {
  if (released_)
    return to_error(refuse_released());
  if (const auto rising = rising_.find(request.name); rising != rising_.end())
    return stop_rising(rising, request);
  const auto found = containers_.find(request.name);
  if (found == containers_.end())
    return not_running(request.name, request.generation);
  auto& container = found->second;
  if (container.next && container.next->order.generation <= request.generation)
    cancel(container.next, request.name + " was told to stop");
  if (container.record().generation < request.generation)
    return not_running(request.name, request.generation);
  if (container.record().generation > request.generation)
    return to_error({driver_errc::stale_generation, "a newer generation of " + request.name + " runs here"});
  if (container.waiting.size() >= options_.max_waiting)
    return to_error({driver_errc::too_many, "too many requests wait for the end of " + request.name});
  container.waiting.push_back(self_->make_response_promise());
  begin_stop(container, request.grace);
  return caf::delegated<container_exited>{};
}

caf::result<container_exited> container_driver_state::on_wait(const wait_container& request) {
  auto* container = find(request.name, request.generation);
  if (!container)
    return not_running(request.name, request.generation);
  if (container->waiting.size() >= options_.max_waiting)
    return to_error({driver_errc::too_many, "too many requests wait for the end of " + request.name});
  container->waiting.push_back(self_->make_response_promise());
  return caf::delegated<container_exited>{};
}

caf::result<void> container_driver_state::on_signal(const signal_container& request) {
  if (released_)
    return to_error(refuse_released());
  auto* container = find(request.name, request.generation);
  if (!container || !container->is_alive())
    return not_running(request.name, request.generation);
  if (!signal_process(container->launched.main, request.number))
    return to_error({driver_errc::invalid_request, "signal " + std::to_string(request.number)
                                                     + " cannot be sent; see `kill -l` for those there are"});
  return caf::unit;
}

caf::result<void> container_driver_state::on_tidy(const tidy_folders& request) {
  std::set<std::string> keep{request.keep.begin(), request.keep.end()};
  for (const auto& [container, entry] : containers_)
    keep.insert(container);
  for (const auto& [container, entry] : rising_)
    keep.insert(container);
  keep.insert(clearing_.begin(), clearing_.end());
  for (const auto& backend : backends_)
    for (auto& container : backend->left_over())
      keep.insert(std::move(container));
  const auto unwanted = folders_except(keep, options_.data_directory);
  const auto failure = set_folders_aside(unwanted, options_.data_directory);
  if (!unwanted.empty())
    delete_aside();
  let_go_of_images(request.assigned);
  forget_ends({request.assigned.begin(), request.assigned.end()});
  if (failure)
    return to_error(*failure);
  return caf::unit;
}

/// Of those that are not to run here any more, whatever became of them.
void container_driver_state::forget_ends(const std::set<std::string>& kept) {
  for (auto it = noted_ends_.begin(); it != noted_ends_.end();) {
    const bool is_over = kept.count(*it) == 0 && containers_.count(*it) == 0 && rising_.count(*it) == 0;
    if (is_over && options_.records->erase(*it)) {
      known_ends_.erase(*it);
      it = noted_ends_.erase(it);
    } else {
      ++it;
    }
  }
}

/// In a thread, and in one at a time: of a plain process there may be any number of files, and starts need threads too.
void container_driver_state::delete_aside() {
  more_aside_ = true;
  if (std::exchange(deletes_aside_, true))
    return;
  more_aside_ = false;
  jobs_->run([this, folder = options_.data_directory]() -> job_threads::completion {
    delete_folders_aside(folder);
    return [this] {
      deletes_aside_ = false;
      if (more_aside_)
        delete_aside();
    };
  });
}

/// Of all that neither run, come or go here, nor are `assigned`, nor wait for one.
void container_driver_state::let_go_of_images(const std::vector<std::string>& assigned) {
  std::set<std::string> holders{assigned.begin(), assigned.end()};
  for (const auto& [container, entry] : containers_)
    holders.insert(container);
  for (const auto& [container, entry] : rising_)
    holders.insert(container);
  holders.insert(clearing_.begin(), clearing_.end());
  holders.insert(asking_.begin(), asking_.end());
  for (auto it = images_.begin(); it != images_.end();)
    it = holders.count(it->first) == 0 ? images_.erase(it) : std::next(it);
  if (const auto keeper = options_.images ? options_.images() : caf::actor{})
    self_->send(keeper, keep_holders{{holders.begin(), holders.end()}});
}

caf::result<void> container_driver_state::on_stop_all(const stop_all_containers& request) {
  if (released_)
    return to_error(refuse_released());
  if (containers_.empty() && rising_.empty())
    return caf::unit;
  if (until_empty_.size() >= options_.max_waiting)
    return to_error({driver_errc::too_many, "too many requests wait for all containers to stop"});
  until_empty_.push_back(self_->make_response_promise());
  const std::string why = "all containers of this host were told to stop";
  for (auto& [container, entry] : containers_) {
    cancel(entry.next, why);
    begin_stop(entry, std::min(entry.grace, request.grace_limit));
  }
  for (auto it = rising_.begin(); it != rising_.end();) {
    const auto current = it++;
    cancel(current->second.next, why);
    drop(current, why);
  }
  settle_if_empty();
  return caf::delegated<void>{};
}

caf::result<recovered_containers> container_driver_state::on_recover(const recover_containers& request) {
  recovered_containers all;
  for (const auto& [container, entry] : containers_) {
    const auto& record = entry.record();
    if (!request.only_without_owner || !entry.owner)
      all.containers.push_back(
        {record.name, instance_of(record.name), record.generation, record.spec_hash, record.pid, record.started_at_ms});
  }
  for (const auto& [container, rising] : rising_)
    if (request.only_without_owner && !rising.start.owner)
      all.containers.push_back(
        {container, instance_of(container), rising.start.order.generation, rising.start.order.spec_hash, 0, 0});
  all.is_complete = std::all_of(backends_.begin(), backends_.end(), [](const auto& x) { return x->left_over().empty(); });
  if (!request.only_without_owner) // of these nothing has to be ended
    for (const auto& [container, record] : known_ends_)
      all.containers.push_back({container, instance_of(container), record.generation, record.spec_hash, 0, record.started_at_ms});
  return all;
}

caf::result<container_stats_list> container_driver_state::on_stats(const get_container_stats& request) {
  if (!request.name.empty() && containers_.count(request.name) == 0)
    return not_running(request.name, 0);
  container_stats_list list;
  for (const auto& backend : backends_) {
    std::vector<const launched_container*> asked;
    for (const auto& [container, entry] : containers_)
      if (entry.backend == backend.get() && (request.name.empty() || container == request.name))
        asked.push_back(&entry.launched);
    auto found = backend->stats(asked);
    for (std::size_t i = 0; i < found.size(); ++i) {
      found[i].name = asked[i]->record.name;
      found[i].generation = asked[i]->record.generation;
      list.containers.push_back(std::move(found[i]));
    }
  }
  std::sort(list.containers.begin(), list.containers.end(),
            [](const container_stats& a, const container_stats& b) { return a.name < b.name; });
  return list;
}

driver_failure container_driver_state::refuse_released() const {
  return {driver_errc::released, "the containers of this host stay as they are: " + *released_};
}

running_container* container_driver_state::find(const std::string& container, std::uint64_t generation) {
  const auto found = containers_.find(container);
  return found != containers_.end() && found->second.record().generation == generation ? &found->second : nullptr;
}

caf::error container_driver_state::not_running(const std::string& container, std::uint64_t generation) {
  return to_error({driver_errc::not_running,
                   "generation " + std::to_string(generation) + " of " + container + " does not run on this host"});
}

} // namespace prunella::actors
