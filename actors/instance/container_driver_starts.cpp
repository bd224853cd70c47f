#include <exception>
#include <utility>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/container_driver_state.hpp"
#include "actors/instance/image_error.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::actors {

namespace {

caf::error stale(std::uint64_t current, const container_order& order) {
  return to_error({driver_errc::stale_generation, "generation " + std::to_string(current) + " of " + order.name
                                                    + " runs here; " + std::to_string(order.generation)
                                                    + " is outdated and stays stopped"});
}

caf::error superseded(const container_order& order, const std::string& why) {
  return to_error({driver_errc::superseded, why.empty() ? "a newer start of " + order.name + " took this one's place" : why});
}

/// Threads and memory that the system has not are the end of this start, not of the agent.
driver_result<launched_container> launch_or_why(driver_backend& backend, const container_order& order, const provided_image* image) {
  try {
    return backend.launch(order, image);
  } catch (const std::exception& error) {
    return driver_failure{driver_errc::fork_failed,
                          order.name + " could not be started: " + error.what() + "; see the host's memory, and the limits of the agent"};
  }
}

} // namespace

pending_start container_driver_state::from_sender(const container_order& order) {
  return {order, new_owner(), self_->make_response_promise()};
}

/// The sender of a start, whose end is to be known: requests that wait here keep a reference to an actor that has long ended.
caf::actor_addr container_driver_state::new_owner() {
  if (const auto owner = caf::actor_cast<caf::actor>(sender()))
    self_->monitor(owner);
  return sender();
}

void container_driver_state::forget_owner(const caf::actor_addr& gone) {
  for (auto& [container, entry] : containers_) {
    if (entry.owner == gone)
      entry.owner = {};
    if (entry.next && entry.next->owner == gone)
      entry.next->owner = {};
  }
  for (auto& [container, rising] : rising_) {
    if (rising.start.owner == gone)
      rising.start.owner = {};
    if (rising.next && rising.next->owner == gone)
      rising.next->owner = {};
  }
}

/// An image goes to the first driver of the host that runs images, anything else to that for processes.
driver_result<driver_backend*> container_driver_state::backend_for(const container_order& order) {
  const bool is_image = !order.spec.image.empty();
  const auto choice = order.spec.driver;
  for (const auto& backend : backends_)
    if (is_image != (backend->kind() == config::driver_kind::process)
        && (choice == config::driver_choice::automatic || config::to_text(choice) == config::to_text(backend->kind())))
      return backend.get();
  if (choice != config::driver_choice::automatic)
    return driver_failure{driver_errc::no_driver, "this host has no driver " + std::string(config::to_text(choice)) + ", which "
                                                    + order.name + " names; leave out `driver`, or add it to the host's `drivers`"};
  return driver_failure{driver_errc::no_driver,
                        is_image ? "this host has no driver for images, which " + order.name
                                     + " needs: runc (or crun), conmon and an agent that runs as root"
                                 : "this host's `drivers` do not include process, which " + order.name + " needs: it names no image"};
}

// -- requests ------------------------------------------------------------------------------------------------------------

caf::result<container_prepared> container_driver_state::on_prepare(const prepare_container& request) {
  const auto& order = request.order;
  if (const auto failure = check_order(order))
    return to_error(*failure);
  auto backend = backend_for(order);
  if (const auto* failure = std::get_if<driver_failure>(&backend))
    return to_error(*failure);
  auto promise = self_->make_response_promise();
  provide(
    order,
    [promise, order, chosen = std::get<driver_backend*>(backend)](std::shared_ptr<const provided_image> image) mutable {
      if (const auto failure = chosen->check(order, image.get()))
        promise.deliver(to_error(*failure));
      else
        promise.deliver(container_prepared{order.name});
    },
    [promise](const driver_failure& why) mutable { promise.deliver(to_error(why)); });
  return caf::delegated<container_prepared>{};
}

caf::result<container_started> container_driver_state::on_start(const start_container& request) {
  const auto& order = request.order;
  if (released_)
    return to_error(refuse_released());
  if (const auto failure = check_order(order))
    return to_error(*failure);
  if (const auto found = containers_.find(order.name); found != containers_.end())
    return start_beside(found->second, order);
  if (const auto found = rising_.find(order.name); found != rising_.end())
    return start_beside(found->second, order);
  if (tell_known_end(order))
    return caf::delegated<container_started>{};
  begin(from_sender(order));
  return caf::delegated<container_started>{};
}

/// Of one that ended well before this driver began, and of which the site may not know: once, as by then its actor knows it.
bool container_driver_state::tell_known_end(const container_order& order) {
  const auto known = known_ends_.extract(order.name);
  if (!known || known.mapped().generation != order.generation || known.mapped().spec_hash != order.spec_hash)
    return false;
  const auto& record = known.mapped();
  container_exited exited;
  exited.name = record.name;
  exited.instance = order.instance;
  exited.generation = record.generation;
  exited.pid = record.pid;
  exited.known = true;
  exited.exited_at_ms = wall_clock_ms();
  const auto owner = caf::actor_cast<caf::actor>(sender()); // before the promise takes the sender along
  self_->make_response_promise().deliver(
    container_started{record.name, record.generation, record.pid, record.start_time_ticks, record.started_at_ms, true});
  if (owner)
    self_->send(owner, exited);
  return true;
}

caf::result<container_started> container_driver_state::start_beside(running_container& current, const container_order& order) {
  const auto& record = current.record();
  if (record.generation > order.generation)
    return stale(record.generation, order);
  const bool same = record.generation == order.generation && record.spec_hash == order.spec_hash;
  const bool ended_alone = current.launched.end && !current.stopping;
  if (same && !current.stopping && (ended_alone || current.is_alive())) {
    current.grace = order.spec.grace;
    claim(current, order);
    if (ended_alone) // its new owner hears of it next
      self_->send(self_, container_ended{keys_[order.name], 0});
    return adopt(current, new_owner());
  }
  replace(current, from_sender(order));
  return caf::delegated<container_started>{};
}

caf::result<container_started> container_driver_state::start_beside(rising_container& current, const container_order& order) {
  const auto& known = current.start.order;
  if (known.generation > order.generation)
    return stale(known.generation, order);
  auto next = from_sender(order);
  const bool same = known.generation == order.generation && known.spec_hash == order.spec_hash;
  if (!current.is_unwanted)
    current.start.promise.deliver(superseded(order, {}));
  if (same && !current.is_unwanted) {
    current.start = std::move(next);
  } else if (current.is_launching) {
    current.is_unwanted = true;
    cancel(current.next, "a newer start of " + order.name + " took this one's place");
    current.next = std::move(next);
  } else {
    rising_.erase(order.name);
    begin(std::move(next));
  }
  return caf::delegated<container_started>{};
}

caf::result<container_exited> container_driver_state::stop_rising(rising_map::iterator found, const stop_container& request) {
  auto& current = found->second;
  if (current.next && current.next->order.generation <= request.generation)
    cancel(current.next, request.name + " was told to stop");
  if (current.start.order.generation < request.generation)
    return not_running(request.name, request.generation);
  if (current.start.order.generation > request.generation)
    return to_error({driver_errc::stale_generation, "a newer generation of " + request.name + " runs here"});
  if (current.stops.size() >= options_.max_waiting)
    return to_error({driver_errc::too_many, "too many requests wait for the end of " + request.name});
  const bool was_launching = current.is_launching;
  drop(found, request.name + " was told to stop");
  if (!was_launching)
    return not_running(request.name, request.generation);
  current.stops.push_back(self_->make_response_promise());
  return caf::delegated<container_exited>{};
}

/// Gives up a container on its way: at once, or when its backend has it up.
void container_driver_state::drop(rising_map::iterator found, const std::string& why) {
  auto& current = found->second;
  if (!std::exchange(current.is_unwanted, true))
    current.start.promise.deliver(superseded(current.start.order, why));
  if (!current.is_launching)
    rising_.erase(found);
}

// -- from an order to a running container --------------------------------------------------------------------------------

void container_driver_state::begin(pending_start start) {
  const auto container = start.order.name;
  auto backend = backend_for(start.order);
  if (const auto* failure = std::get_if<driver_failure>(&backend)) {
    start.promise.deliver(to_error(*failure));
    return;
  }
  if (containers_.size() + rising_.size() >= options_.max_containers) {
    start.promise.deliver(to_error({driver_errc::too_many, "this host runs " + std::to_string(containers_.size() + rising_.size())
                                                             + " containers, as many as its driver is set to"}));
    return;
  }
  const auto attempt = ++last_attempt_;
  auto& rising = rising_[container];
  rising.start = std::move(start);
  rising.attempt = attempt;
  const auto is_current = [this, container, attempt] {
    const auto found = rising_.find(container);
    return found != rising_.end() && found->second.attempt == attempt;
  };
  provide(
    rising.start.order,
    [this, container, is_current](std::shared_ptr<const provided_image> image) {
      if (is_current())
        launch(container, std::move(image));
    },
    [this, container, is_current](const driver_failure& why) {
      if (is_current())
        on_failed(container, why);
    });
}

/// Has the image of `order` provided, if it names one.
void container_driver_state::provide(const container_order& order,
                                     std::function<void(std::shared_ptr<const provided_image>)> on_image,
                                     std::function<void(driver_failure)> on_failure) {
  if (order.spec.image.empty())
    return on_image(nullptr);
  if (const auto held = images_.find(order.name); held != images_.end() && held->second.reference == order.spec.image
                                                  && held->second.generation == order.generation)
    return on_image(held->second.image); // what it holds is not collected
  const auto keeper = options_.images ? options_.images() : caf::actor{};
  if (!keeper)
    return on_failure({driver_errc::image_awaited, "the image " + order.spec.image + " cannot be had: this host's image keeper does not run"});
  const auto asking = asking_.insert(order.name); // what was asked for is held before the answer is here
  self_->request(keeper, options_.image_patience, provide_image{order.spec.image, order.name})
    .then([this, on_image, asking, container = order.name, reference = order.spec.image,
           generation = order.generation](provided_image& image) {
            asking_.erase(asking);
            auto& held = images_[container];
            held = {reference, generation, std::make_shared<const provided_image>(std::move(image))};
            on_image(held.image);
          },
          [this, asking, on_failure](const caf::error& why) {
            asking_.erase(asking);
            on_failure({is_to_be_awaited(why) ? driver_errc::image_awaited : driver_errc::image_unavailable, runtime::reason_text(why)});
          });
}

void container_driver_state::launch(const std::string& container, std::shared_ptr<const provided_image> image) {
  auto& rising = rising_[container];
  rising.is_launching = true;
  const auto& order = rising.start.order;
  auto& backend = *std::get<driver_backend*>(backend_for(order)); // it was there when this start began
  if (!backend.is_slow())
    return on_launched(container, backend, launch_or_why(backend, order, image.get()));
  jobs_->run([this, &backend, order, image]() -> job_threads::completion {
    auto result = std::make_shared<driver_result<launched_container>>(launch_or_why(backend, order, image.get()));
    return [this, &backend, name = order.name, result] { on_launched(name, backend, std::move(*result)); };
  });
}

void container_driver_state::on_failed(const std::string& container, const driver_failure& why) {
  if (why.code != driver_errc::disk_full) // else it may be what is wrong; and without room its keeper could not hold it again
    images_.erase(container);
  auto rising = std::move(rising_.extract(container).mapped());
  if (!rising.is_unwanted)
    rising.start.promise.deliver(to_error(why));
  for (auto& promise : rising.stops)
    promise.deliver(not_running(container, rising.start.order.generation));
  if (rising.next)
    begin(*std::move(rising.next));
  settle_if_empty();
}

void container_driver_state::on_launched(const std::string& container, driver_backend& backend,
                                         driver_result<launched_container> result) {
  if (const auto* failure = std::get_if<driver_failure>(&result))
    return on_failed(container, *failure);
  auto& launched = std::get<launched_container>(result);
  // Before anybody hears of it. A crash up to here leaves a container without a record: recovery ends it.
  if (const auto failure = keep(launched, backend, rising_[container].start.order))
    return on_failed(container, *failure);
  auto rising = std::move(rising_.extract(container).mapped());
  for (const auto& log : launched.logs)
    logs_->add(log, rising.start.order.spec.logs);
  auto& entry = containers_[container];
  entry.launched = std::move(launched);
  entry.backend = &backend;
  entry.grace = rising.start.order.spec.grace;
  entry.order = std::move(rising.start.order);
  watch(container);
  if (!rising.is_unwanted) {
    auto started = adopt(entry, rising.start.owner);
    started.adopted = false;
    rising.start.promise.deliver(started);
    return;
  }
  entry.waiting = std::move(rising.stops);
  entry.next = std::move(rising.next);
  begin_stop(entry, std::chrono::milliseconds{0}); // nobody has seen it
}

/// Completes the record and makes it durable; if that is not possible, the container is ended again.
std::optional<driver_failure> container_driver_state::keep(launched_container& launched, driver_backend& backend,
                                                           const container_order& order) {
  auto& record = launched.record;
  record.name = order.name;
  record.generation = order.generation;
  record.boot_id = boot_id_;
  record.spec_hash = order.spec_hash;
  record.driver = backend.kind();
  record.has_ended_well = false;
  const auto kept = options_.records->put(record);
  if (kept) {
    noted_ends_.erase(record.name);
    return std::nullopt;
  }
  abandon(backend, std::move(launched));
  return driver_failure{driver_errc::record_failed, order.name + " was started and ended again, because its record could not be kept: "
                                                      + kept.error().message};
}

/// Ends what nobody will ever ask for. A runtime takes its time to clear it away.
void container_driver_state::abandon(driver_backend& backend, launched_container launched) {
  if (!backend.is_slow())
    return backend.abandon(launched);
  backend.kill(launched);
  const auto container = launched.record.name;
  clearing_.insert(container);
  jobs_->run([this, &backend, container, left = std::make_shared<launched_container>(std::move(launched))]() -> job_threads::completion {
    try {
      backend.abandon(*left);
    } catch (const std::exception&) { // what is left of it is found by the next agent
    }
    return [this, container] { clearing_.erase(clearing_.find(container)); };
  });
}

/// What an order may change of a container that runs.
void container_driver_state::claim(running_container& container, const container_order& order) {
  if (!container.order || !(container.order->spec.logs == order.spec.logs))
    for (const auto& log : container.launched.logs)
      logs_->add(log, order.spec.logs);
  container.order = order;
}

container_started container_driver_state::adopt(running_container& container, const caf::actor_addr& owner) {
  container.owner = owner;
  const auto& record = container.record();
  return {record.name, record.generation, record.pid, record.start_time_ticks, record.started_at_ms,
          true, container.launched.address};
}

} // namespace prunella::actors
