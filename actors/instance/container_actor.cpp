#include "actors/instance/container_actor_state.hpp"

#include <algorithm>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>
#include <caf/send.hpp>
#include <caf/system_messages.hpp>

#include "actors/instance/driver_error.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

/// Between two asks for what is not there yet.
constexpr milliseconds ask_again_after{1'000};

/// A start that waits for longer says for what.
constexpr milliseconds say_waiting_after{1'000};

/// Nothing has failed: what it takes comes by itself, or somebody has to do something that no other host can spare them.
bool is_not_there_yet(const caf::error& why) {
  return is_driver_error(why, driver_errc::engine_away) || is_driver_error(why, driver_errc::image_awaited)
         || is_driver_error(why, driver_errc::disk_full);
}

} // namespace

caf::behavior container_actor_state::make_behavior(container_order order_, container_context context_,
                                             runtime::parent_link parent_) {
  order = std::move(order_);
  context = std::move(context_);
  parent = std::move(parent_);
  report.instance = order.instance;
  report.container = order.name;
  report.generation = order.generation;
  self->set_exit_handler([this](caf::exit_msg& exit) {
    if (exit.reason == caf::exit_reason::user_shutdown)
      on_shutdown();
    else
      self->quit(std::move(exit.reason)); // a crash: the process stays, the successor adopts it
  });
  self->set_down_handler([this](const caf::down_msg& down) {
    if (driver && down.source == driver.address())
      on_driver_down();
  });
  is_needed = !order.init;
  is_prepared = order.spec.image.empty();
  enter(container_phase::starting);
  if (order.init && context.gate)
    context.gate->begin(order.name);
  pass_gate();
  return {
    [this](const container_exited& exited) { on_exited(exited); },
    [this](const look_for_driver& look) {
      if (look.epoch == epoch)
        find_driver();
    },
    [this](const still_waiting& waiting) {
      if (waiting.epoch == epoch && report.phase == container_phase::starting)
        on_still_waiting();
    },
    [this](const gate_moved&) {
      if (report.phase == container_phase::starting)
        pass_gate();
    },
    [this](const probe_due& due) {
      if (is_probed())
        prober->on_due(due);
    },
    [this](const probe_answered& answer) { on_probe(answer); },
    [this](const disk_due&) { on_disk_due(); },
    [this](const get_container_report&) { return report; },
  };
}

// -- starting --------------------------------------------------------------------------------------------------------

void container_actor_state::pass_gate() {
  if (context.gate) {
    const caf::actor_addr me = self->address();
    const auto look_again = [me] {
      if (const auto waiting = caf::actor_cast<caf::actor>(me))
        caf::anon_send(waiting, gate_moved{});
    };
    if (!context.gate->is_open(order.name, look_again)) {
      say_soon_what_is_awaited();
      return say_ready(); // an init container behind this one's back in the order of starts may be what opens it
    }
  }
  patience_ends = self->clock().now() + context.driver_patience;
  find_driver();
}

// Asks the driver for what this phase needs of it; without one, looks again until its patience ends.
void container_actor_state::find_driver() {
  ++epoch;
  if (auto found = context.driver()) {
    driver = std::move(found);
    self->monitor(driver);
    ask_driver();
    return;
  }
  if (self->clock().now() < patience_ends) {
    self->delayed_send(self, context.driver_retry, look_for_driver{epoch});
    return;
  }
  const std::string reason = "there is no driver for " + order.name;
  if (report.phase == container_phase::stopping)
    on_stopped("it was left running: " + reason);
  else
    on_refused(caf::make_error(container_errc::driver_unavailable, reason));
}

void container_actor_state::ask_driver() {
  switch (report.phase) {
    case container_phase::starting:
      if (!is_needed)
        return ask_whether_done(driver);
      return is_prepared ? ask_to_start(driver) : ask_to_claim(driver);
    case container_phase::running:
      return ask_to_adopt(driver);
    case container_phase::stopping:
      return ask_to_stop(driver);
    case container_phase::exited:
    case container_phase::failed:
      return;
  }
}

// An init container has nothing to do when another container of its instance runs already.
void container_actor_state::ask_whether_done(const caf::actor& asked) {
  say_ready(); // it may run for long
  const auto number = epoch;
  self->request(asked, context.margin, recover_containers{})
    .then(
      [this, number](const recovered_containers& found) {
        if (number != epoch || report.phase != container_phase::starting)
          return;
        const auto is_later = [&](const recovered_container& x) {
          return x.instance == order.instance && x.generation == order.generation && x.name != order.name;
        };
        is_needed = std::none_of(found.containers.begin(), found.containers.end(), is_later);
        if (is_needed)
          return ask_driver();
        context.gate->pass(order.name);
        enter(container_phase::exited, "was done before: its instance runs");
        end({});
      },
      [this, number](const caf::error& why) {
        if (number == epoch)
          on_refused(why);
      });
}

// Of an image: what runs is taken over without one, so that nothing depends on it being here still.
void container_actor_state::ask_to_claim(const caf::actor& asked) {
  const auto number = epoch;
  self->request(asked, context.margin, adopt_container{order})
    .then([this](const container_started& started) { on_started(started); },
          [this, asked, number](const caf::error& why) {
            if (number != epoch || report.phase != container_phase::starting)
              return;
            if (is_driver_error(why, driver_errc::not_running))
              ask_to_prepare(asked);
            else
              on_refused(why);
          });
}

void container_actor_state::ask_to_prepare(const caf::actor& asked) {
  say_ready(); // an image may be long on its way
  say_soon_what_is_awaited();
  const auto number = epoch;
  self->request(asked, context.image_patience, prepare_container{order})
    .then(
      [this, number](const container_prepared&) {
        is_prepared = true;
        if (number == epoch && report.phase == container_phase::starting)
          ask_driver();
      },
      [this, number](const caf::error& why) {
        if (number != epoch)
          return;
        if (why == caf::sec::request_timeout && report.phase == container_phase::starting)
          ask_again_later(report.reason.empty() ? image_awaited() : report.reason); // to join what is under way
        else
          on_refused(why);
      });
}

void container_actor_state::ask_to_start(const caf::actor& asked) {
  const auto number = epoch;
  self->request(asked, order.spec.grace + context.margin, start_container{order})
    .then([this](const container_started& started) { on_started(started); },
          [this, number](const caf::error& why) {
            if (number == epoch)
              on_refused(why);
          });
}

void container_actor_state::ask_to_adopt(const caf::actor& asked) {
  const auto number = epoch;
  self->request(asked, context.margin, adopt_container{order})
    .then([](const container_started&) {}, // it goes on as before
          [this, number](const caf::error& why) {
            if (number != epoch)
              return;
            if (is_driver_error(why, driver_errc::not_running))
              on_refused(caf::make_error(container_errc::lost, "ended while its driver was being restarted"));
            else
              on_refused(why);
          });
}

void container_actor_state::on_started(const container_started& started) {
  if (report.phase != container_phase::starting)
    return; // told to stop meanwhile; the stop is on its way
  report.pid = started.pid;
  report.started_at_ms = started.started_at_ms;
  report.adopted = started.adopted;
  report.address = started.address;
  begin_probes();
  begin_disk_limit();
  enter(container_phase::running);
  say_ready();
}

void container_actor_state::on_refused(const caf::error& why) {
  if (report.phase == container_phase::stopping || is_over())
    return;
  if (why == caf::sec::request_receiver_down) { // the driver died over it; its successor knows what became of it
    on_driver_down();
    return;
  }
  if (report.phase == container_phase::starting && is_not_there_yet(why))
    return ask_again_later(runtime::reason_text(why));
  const bool silent = why == caf::sec::request_timeout;
  auto reason = silent ? caf::make_error(container_errc::driver_unavailable, "the driver did not answer in time") : why;
  enter(container_phase::failed, runtime::reason_text(reason));
  end(std::move(reason));
}

// Until the driver says that it has been waited for long enough.
void container_actor_state::ask_again_later(std::string reason) {
  if (report.reason != reason)
    enter(container_phase::starting, std::move(reason));
  self->delayed_send(self, ask_again_after, look_for_driver{++epoch});
}

void container_actor_state::say_soon_what_is_awaited() {
  self->delayed_send(self, say_waiting_after, still_waiting{epoch});
}

// Why the last attempt failed says more than that there is another.
void container_actor_state::on_still_waiting() {
  const auto init = context.gate ? context.gate->awaited_by(order.name) : std::string{};
  if (!init.empty())
    init_awaited = "its init container " + init + " is not done yet";
  const bool says_why = !report.reason.empty() && report.reason != init_awaited;
  if (!init.empty() ? report.reason != init_awaited : !is_prepared && !says_why)
    enter(container_phase::starting, init.empty() ? image_awaited() : init_awaited);
}

std::string container_actor_state::image_awaited() const {
  return "the image " + order.spec.image + " is not here yet";
}

// -- running ---------------------------------------------------------------------------------------------------------

void container_actor_state::on_exited(const container_exited& exited) {
  if (is_over() || (report.phase == container_phase::stopping && !is_draining)) // the stop's answer says the same
    return;
  if (exited.generation != order.generation || (report.pid != 0 && exited.pid != report.pid))
    return;
  if (is_draining)
    return on_stopped(describe_exit(exited));
  if (!unhealthy.empty()) {
    enter(container_phase::failed, unhealthy);
    return end(caf::make_error(container_errc::unhealthy, unhealthy));
  }
  auto reason = end_reason(exited);
  if (!reason && order.init && context.gate)
    context.gate->pass(order.name);
  enter(reason ? container_phase::failed : container_phase::exited, describe_exit(exited));
  end(std::move(reason));
}

void container_actor_state::on_driver_down() {
  if (is_over())
    return;
  driver = nullptr;
  patience_ends = self->clock().now() + context.driver_patience;
  self->delayed_send(self, context.driver_retry, look_for_driver{++epoch});
}

// -- stopping --------------------------------------------------------------------------------------------------------

void container_actor_state::on_shutdown() {
  if (is_over() || report.phase == container_phase::stopping)
    return;
  const auto was = report.phase;
  enter(container_phase::stopping);
  ++epoch;
  if (driver) {
    was == container_phase::running ? drain() : ask_to_stop(driver);
    return;
  }
  patience_ends = self->clock().now() + context.driver_patience;
  find_driver();
}

void container_actor_state::drain() {
  const auto door = context.door && context.drain > milliseconds{0} && !order.init ? context.door() : caf::actor{};
  if (!door)
    return ask_to_stop(driver);
  is_draining = true;
  const auto go_on = [this, number = epoch] {
    if (number == epoch && !is_over()) // else the driver was lost meanwhile, and the next one is asked
      ask_to_stop(driver);
  };
  self->request(door, context.drain, drain_instance{order.instance, order.generation})
    .then([go_on] { go_on(); }, [go_on](const caf::error&) { go_on(); });
}

void container_actor_state::ask_to_stop(const caf::actor& asked) {
  is_draining = false;
  const auto number = epoch;
  self->request(asked, order.spec.grace + context.margin, stop_container{order.name, order.generation, order.spec.grace})
    .then([this](const container_exited& exited) { on_stopped(describe_exit(exited)); },
          [this, number](const caf::error& why) {
            if (number != epoch)
              return;
            if (why == caf::sec::request_receiver_down)
              on_driver_down();
            else if (is_driver_error(why, driver_errc::not_running))
              on_stopped("it did not run");
            else
              on_stopped("it was left running: " + runtime::reason_text(why));
          });
}

void container_actor_state::on_stopped(std::string reason) {
  if (is_over())
    return;
  enter(container_phase::exited, std::move(reason));
  end(caf::exit_reason::user_shutdown);
}

// -- telling ---------------------------------------------------------------------------------------------------------

void container_actor_state::enter(container_phase phase, std::string reason) {
  report.phase = phase;
  report.reason = std::move(reason);
  if (phase != container_phase::running && phase != container_phase::stopping)
    report.pid = 0;
  tell();
}

void container_actor_state::tell() {
  if (const auto observer = context.observer())
    self->send(observer, report);
}

void container_actor_state::end(caf::error reason) {
  say_ready(); // an end before that would be a failed start, which the supervisor does not restart the first time
  self->quit(std::move(reason));
}

void container_actor_state::say_ready() {
  if (!std::exchange(is_ready, true))
    parent.say_ready();
}

std::string_view to_text(container_phase phase) {
  switch (phase) {
    case container_phase::starting:
      return "starting";
    case container_phase::running:
      return "running";
    case container_phase::stopping:
      return "stopping";
    case container_phase::exited:
      return "exited";
    case container_phase::failed:
      return "failed";
  }
  return "unknown";
}

caf::error end_reason(const container_exited& exited) {
  if (exited.stopped || has_ended_well(exited))
    return {};
  return caf::make_error(container_errc::ended, describe_exit(exited));
}

caf::actor spawn_container(caf::event_based_actor* spawner, container_order order, container_context context,
                           runtime::parent_link parent) {
  return spawner->spawn(
    [](caf::stateful_actor<container_actor_state, runtime::supervised_actor>* self, container_order given,
       container_context with, runtime::parent_link by) {
      return self->state.make_behavior(std::move(given), std::move(with), std::move(by));
    },
    std::move(order), std::move(context), std::move(parent));
}

} // namespace prunella::actors
