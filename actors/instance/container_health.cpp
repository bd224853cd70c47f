#include "actors/instance/container_actor_state.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

namespace prunella::actors {

namespace {

/// Longer than any start delay: how much older a container is makes no difference to its probes.
constexpr std::int64_t longest_age_ms = 24 * 3'600'000;

} // namespace

// -- probes ----------------------------------------------------------------------------------------------------------

void container_actor_state::begin_probes() {
  const auto& wanted = order.spec.probes;
  if (!context.probe || !(wanted.startup.is_set() || wanted.liveness.is_set() || wanted.readiness.is_set()))
    return;
  // Clocks may be set meanwhile; what cannot be is not believed.
  const auto age = report.adopted && context.clock && report.started_at_ms > 0 ? context.clock() - report.started_at_ms : 0;
  const auto addresses = report.address.empty() ? context.probe_addresses : std::vector{report.address};
  const std::chrono::milliseconds believed{std::clamp<std::int64_t>(age, 0, longest_age_ms)};
  prober.emplace(self, container_prober_options{wanted, context.probe, addresses, context.driver, order.name,
                                                order.generation, believed, report.adopted});
  report.is_ready = prober->is_ready();
  report.unready_reason = prober->unready_reason();
  prober->run();
}

bool container_actor_state::is_probed() const {
  return prober && report.phase == container_phase::running && unhealthy.empty();
}

void container_actor_state::on_probe(const probe_answered& answer) {
  if (!is_probed())
    return;
  auto verdict = prober->on_answer(answer);
  if (verdict.has_changed) {
    report.is_ready = prober->is_ready();
    report.unready_reason = prober->unready_reason();
  }
  if (!verdict.give_up.empty() && driver) // while that is restarted, what fails goes on to fail
    return end_unhealthy(std::move(verdict.give_up));
  if (verdict.has_changed)
    tell();
  prober->run();
}

// -- disk limit ------------------------------------------------------------------------------------------------------

void container_actor_state::begin_disk_limit() {
  if (!context.disk || order.spec.disk_bytes <= 0)
    return;
  disk.emplace(order.spec.disk_bytes);
  self->delayed_send(self, disk->pause(), disk_due{});
}

void container_actor_state::on_disk_due() {
  if (!disk || report.phase != container_phase::running || !unhealthy.empty())
    return;
  const auto look_again = [this] { self->delayed_send(self, disk->pause(), disk_due{}); };
  const auto counter = context.disk();
  if (!counter) // it is being restarted
    return look_again();
  self->request(counter, context.margin, measure_disk{order.name, report.pid})
    .then(
      [this, look_again](const disk_measured& measured) {
        if (report.phase != container_phase::running || !unhealthy.empty())
          return;
        auto why = disk->on_measured(measured, self->clock().now());
        if (why.empty() || !driver) // while that is restarted, nobody could end it
          look_again();
        else
          end_unhealthy(std::move(why));
      },
      [look_again](const caf::error&) { look_again(); });
}

// It ends as if by itself, with this reason; its supervisor decides what comes next.
void container_actor_state::end_unhealthy(std::string why) {
  unhealthy = std::move(why);
  report.is_ready = false;
  report.unready_reason = unhealthy;
  tell();
  const auto give_up = [this] {
    if (is_over() || report.phase == container_phase::stopping)
      return;
    enter(container_phase::failed, unhealthy);
    end(caf::make_error(container_errc::unhealthy, unhealthy));
  };
  self->request(driver, order.spec.grace + context.margin, stop_container{order.name, order.generation, order.spec.grace})
    .then([give_up](const container_exited&) { give_up(); }, [give_up](const caf::error&) { give_up(); });
}

} // namespace prunella::actors
