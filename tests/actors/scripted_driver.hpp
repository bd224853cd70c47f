#pragma once

// A driver that follows a script instead of the operating system, for actor tests and simulation on virtual time. The
// processes live in a `scripted_host`, which outlives driver actors as a machine outlives an agent.
//
//   auto host = std::make_shared<scripted_host>();
//   auto driver = world.own(spawn_scripted_driver(world.system(), host));
//   host->refuse["default.shop.web-1.front"].push_back({driver_errc::fork_failed, "no memory"});  // its next start
//   host->end("default.shop.web-1.front", 3);                                                     // exit(3)
// One thread only.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/behavior.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/system_messages.hpp>

#include "actors/instance/driver.hpp"
#include "actors/instance/driver_error.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::tests {

using namespace prunella::actors;

/// Told to the driver actor of a host: the process with this pid ended.
struct scripted_end {
  container_exited exited;

  PRUNELLA_FIELDS(scripted_end, exited)
};

/// Told to the driver actor: answer the preparations that wait.
struct scripted_images {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(scripted_images, unused)
};

/// The driver's timer: answer a start or let a stop take effect.
struct scripted_due {
  std::string name;
  std::int64_t pid = 0;
  bool is_start = false;

  PRUNELLA_FIELDS(scripted_due, name, pid, is_start)
};

class scripted_host {
public:
  struct process {
    container_order order;
    std::int64_t pid = 0;
    std::int64_t started_at_ms = 0;
  };

  std::map<std::string, process> running; ///< container → what runs
  std::map<std::string, std::deque<driver_failure>> refuse; ///< answers to its next starts
  std::map<std::string, std::deque<driver_failure>> refuse_image; ///< the same to its next preparations
  std::vector<std::string> prepared;                        ///< names in order of the preparations
  bool images_are_slow = false;                             ///< preparations wait for `give_images`
  std::vector<std::string> starts;                          ///< names in order of start, one for each process
  std::vector<std::string> stops;                           ///< names in order of the stop requests
  std::vector<exec_container> execs;                        ///< as they were asked for
  std::map<std::string, std::deque<exec_result>> exec_answers; ///< of the next ones in a container; none left: exit code 0
  std::chrono::milliseconds start_time{0}; ///< between request and answer
  std::chrono::milliseconds stop_time{0};  ///< a longer one than the grace is cut to it (killed)
  bool silent = false;                     ///< requests are never answered
  bool deaf_to_stops = false;              ///< these are not, and nothing comes of them
  bool released = false;                   ///< release_containers came: starts and stops are refused
  caf::actor driver;                       ///< the latest

  /// The container ends by itself; false if it does not run.
  bool end(const std::string& name, std::int32_t exit_code, std::int32_t signal = 0) {
    return finish(name, exit_code, signal, false);
  }

  /// The images that are waited for are there.
  void give_images() {
    images_are_slow = false;
    caf::anon_send(driver, scripted_images{});
  }

  bool finish(const std::string& name, std::int32_t exit_code, std::int32_t signal, bool stopped) {
    const auto found = running.find(name);
    if (found == running.end())
      return false;
    container_exited exited;
    exited.name = name;
    exited.instance = found->second.order.instance;
    exited.generation = found->second.order.generation;
    exited.pid = found->second.pid;
    exited.known = true;
    exited.exit_code = exit_code;
    exited.signal = signal;
    exited.stopped = stopped;
    running.erase(found);
    if (driver)
      caf::anon_send(driver, scripted_end{exited});
    return true;
  }

  process& start(const container_order& order) {
    auto& made = running[order.name];
    made = {order, ++last_pid_, 0};
    starts.push_back(order.name);
    return made;
  }

private:
  std::int64_t last_pid_ = 1000;
};

class scripted_driver_state {
public:
  using self_pointer = caf::stateful_actor<scripted_driver_state, runtime::supervised_actor>*;

  static inline const char* name = "scripted_driver";

  explicit scripted_driver_state(self_pointer self) : self_{self} {}

  caf::behavior make_behavior(std::shared_ptr<scripted_host> host) {
    host_ = std::move(host);
    host_->driver = caf::actor_cast<caf::actor>(self_);
    self_->set_down_handler([this](const caf::down_msg& down) { // who waits for an answer here is referred to beyond its end
      for (auto& [container, owner] : owners_)
        if (owner == down.source)
          owner = {};
    });
    return {
      [this](const prepare_container& request) { return on_prepare(request.order); },
      [this](const scripted_images&) {
        for (auto& [container, promise] : std::exchange(pending_images_, {}))
          promise.deliver(container_prepared{container});
      },
      [this](const start_container& request) { return on_start(request.order); },
      [this](const adopt_container& request) -> caf::result<container_started> {
        const auto found = host_->running.find(request.order.name);
        if (found == host_->running.end() || found->second.order.generation != request.order.generation)
          return missing(request.order.name);
        return claim(found->second, true);
      },
      [this](const exec_container& request) { return on_exec(request); },
      [this](const stop_container& request) { return on_stop(request); },
      [this](const recover_containers& request) { return on_recover(request.only_without_owner); },
      [](const tidy_folders&) {},
      [this](const release_containers&) { host_->released = true; },
      [this](const scripted_end& event) { on_end(event.exited); },
      [this](const scripted_due& due) { on_due(due); },
    };
  }

private:
  caf::error missing(const std::string& container) const {
    return to_error({driver_errc::not_running, container + " does not run"});
  }

  container_started claim(scripted_host::process& process, bool adopted) {
    owners_[process.order.name] = caf::actor_cast<caf::actor_addr>(self_->current_sender());
    if (const auto owner = caf::actor_cast<caf::actor>(self_->current_sender()))
      self_->monitor(owner);
    return answer(process, adopted);
  }

  static container_started answer(const scripted_host::process& process, bool adopted) {
    return {process.order.name, process.order.generation, process.pid, 1, process.started_at_ms, adopted};
  }

  caf::result<container_prepared> on_prepare(const container_order& order) {
    host_->prepared.push_back(order.name);
    auto& refusals = host_->refuse_image[order.name];
    if (!refusals.empty()) {
      const auto failure = refusals.front();
      refusals.pop_front();
      return to_error(failure);
    }
    if (!host_->images_are_slow)
      return container_prepared{order.name};
    pending_images_.emplace_back(order.name, self_->make_response_promise());
    return caf::delegated<container_prepared>{};
  }

  caf::result<container_started> on_start(const container_order& order) {
    if (host_->released)
      return to_error({driver_errc::released, "the containers stay"});
    auto& refusals = host_->refuse[order.name];
    if (!refusals.empty()) {
      const auto failure = refusals.front();
      refusals.pop_front();
      return to_error(failure);
    }
    const auto found = host_->running.find(order.name);
    if (found != host_->running.end() && found->second.order.generation > order.generation)
      return to_error({driver_errc::stale_generation, "a newer generation runs"});
    const bool same = found != host_->running.end() && found->second.order.generation == order.generation
                      && found->second.order.spec_hash == order.spec_hash;
    if (same && !host_->silent)
      return claim(found->second, true);
    if (found != host_->running.end() && !same)
      host_->finish(order.name, 0, 15, true);
    auto& process = same ? found->second : host_->start(order);
    if (!same)
      process.started_at_ms =
        std::chrono::duration_cast<std::chrono::milliseconds>(self_->clock().now().time_since_epoch()).count();
    const auto started = claim(process, same);
    if (host_->start_time.count() == 0 && !host_->silent)
      return started;
    pending_starts_[process.pid] = self_->make_response_promise();
    if (!host_->silent)
      self_->delayed_send(self_, host_->start_time, scripted_due{order.name, process.pid, true});
    return caf::delegated<container_started>{};
  }

  caf::result<container_exited> on_stop(const stop_container& request) {
    if (host_->released)
      return to_error({driver_errc::released, "the containers stay"});
    host_->stops.push_back(request.name);
    const auto found = host_->running.find(request.name);
    if (found == host_->running.end())
      return missing(request.name);
    if (found->second.order.generation > request.generation)
      return to_error({driver_errc::stale_generation, "a newer generation runs"});
    stops_[request.name].push_back(self_->make_response_promise());
    if (!host_->silent && !host_->deaf_to_stops)
      self_->delayed_send(self_, std::min(host_->stop_time, request.grace),
                          scripted_due{request.name, found->second.pid, false});
    return caf::delegated<container_exited>{};
  }

  caf::result<exec_result> on_exec(const exec_container& request) {
    host_->execs.push_back(request);
    if (host_->running.count(request.name) == 0)
      return missing(request.name);
    if (host_->silent) {
      silenced_.push_back(self_->make_response_promise());
      return caf::delegated<exec_result>{};
    }
    auto& answers = host_->exec_answers[request.name];
    if (answers.empty())
      return exec_result{};
    const auto answer = answers.front();
    answers.pop_front();
    return answer;
  }

  recovered_containers on_recover(bool only_without_owner) const {
    recovered_containers all;
    for (const auto& [container, process] : host_->running) {
      const auto owner = owners_.find(container);
      if (!only_without_owner || owner == owners_.end() || !owner->second)
        all.containers.push_back({container, process.order.instance, process.order.generation, process.order.spec_hash,
                                  process.pid, process.started_at_ms});
    }
    return all;
  }

  void on_due(const scripted_due& due) {
    const auto found = host_->running.find(due.name);
    if (found == host_->running.end() || found->second.pid != due.pid)
      return;
    if (!due.is_start) {
      host_->finish(due.name, 0, 15, true);
      return;
    }
    if (auto promise = pending_starts_.extract(due.pid))
      promise.mapped().deliver(answer(found->second, false));
  }

  void on_end(const container_exited& exited) {
    for (auto& promise : stops_[exited.name])
      promise.deliver(exited);
    stops_.erase(exited.name);
    if (const auto owner = caf::actor_cast<caf::actor>(owners_[exited.name]))
      self_->send(owner, exited);
  }

  self_pointer self_;
  std::shared_ptr<scripted_host> host_;
  std::map<std::string, caf::actor_addr> owners_;
  std::map<std::int64_t, caf::response_promise> pending_starts_;
  std::vector<std::pair<std::string, caf::response_promise>> pending_images_;
  std::map<std::string, std::vector<caf::response_promise>> stops_;
  std::vector<caf::response_promise> silenced_;
};

inline caf::actor spawn_scripted_driver(caf::actor_system& system, std::shared_ptr<scripted_host> host) {
  return system.spawn(
    [](scripted_driver_state::self_pointer self, std::shared_ptr<scripted_host> on) {
      return self->state.make_behavior(std::move(on));
    },
    std::move(host));
}

} // namespace prunella::tests
