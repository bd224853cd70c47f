#pragma once

// One container as an actor: it starts the container through the driver, tells an observer what becomes of it, and ends
// when the container ends, so that its supervisor (the instance) applies the service's restart type.
//
// Spawned by the instance's supervisor; restart type as the service says. It says ready when its start was answered,
// either way: a container that cannot be started counts as one that ended, and goes up the ladder like it.
// A crash or kill of this actor loses nothing: the process goes on, and the actor's successor adopts it through
// `start_container` without a restart. Only an orderly shutdown (exit reason user_shutdown) stops the container, once the
// connections that the front door passed on to it have ended (`drain`).
// While it runs, its probes are asked (`container_probes.hpp`): one that fails for good ends the container like any other end,
// readiness is only told.
// A container with a disk limit is ended in the same way when it is over it (`disk_limit.hpp`).
// A crash of the driver is survived: the container is claimed again from the fresh driver.
// What may take long holds up nobody: it says ready before, so that the instance's other containers are started meanwhile.
// That is its image being brought here, and the wait for init containers (`init_gate.hpp`). An init container runs once per
// start of its instance: not again when others of the instance already run, as after a crash of the agent.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <caf/actor.hpp>
#include <caf/error.hpp>
#include <caf/fwd.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/container_prober.hpp"
#include "actors/instance/driver.hpp"
#include "actors/instance/init_gate.hpp"
#include "config/fields.hpp"
#include "runtime/supervisor.hpp"

namespace prunella::actors {

/// Why a container actor ended; each error carries a sentence. Refused starts end it with the driver's own `driver_errc`.
enum class container_errc : std::uint8_t {
  /// The container ended by itself, and not with exit code 0.
  ended = 1,
  /// The driver did not answer in time, or there was none for longer than `driver_patience`.
  driver_unavailable = 2,
  /// It ended while its driver was being restarted.
  lost = 3,
  /// Its liveness or startup probe failed, or it was over its disk limit, so it was ended.
  unhealthy = 4,
};

enum class container_phase : std::uint8_t {
  starting, ///< the driver was asked
  running,
  stopping, ///< told to stop
  exited,   ///< ended with exit code 0, or because it was told to
  failed,   ///< could not be started, or ended in another way: `reason` says how
};

/// "starting" … "failed".
std::string_view to_text(container_phase phase);

/// Sent to the observer at each change of phase; the answer to `get_container_report`.
struct container_report {
  std::string instance;  ///< tenant.application.service-N
  std::string container; ///< tenant.application.service-N.container
  std::uint64_t generation = 0;
  container_phase phase = container_phase::starting;
  std::int64_t pid = 0;           ///< 0: none
  std::int64_t started_at_ms = 0; ///< Unix time; 0: not started
  bool adopted = false;           ///< it ran before this actor: not a restart
  std::string reason;             ///< of `exited` and `failed`
  bool is_ready = true;           ///< while `running`: what its probes say
  std::string unready_reason;     ///< why it is not
  std::string address{};          ///< while it runs, as in `container_started`

  PRUNELLA_FIELDS(container_report, instance, container, generation, phase, pid, started_at_ms, adopted, reason,
                  is_ready, unready_reason, address)
};

/// → `container_report`, at once: for an observer that was restarted.
struct get_container_report {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(get_container_report, unused)
};

/// Asked of the `door`: no new connection for this instance of its host. → unit when none is open any more.
struct drain_instance {
  std::string instance;
  std::uint64_t generation = 0;

  PRUNELLA_FIELDS(drain_instance, instance, generation)
};

/// What a container actor is given besides its order. The functions are called again whenever the actor is needed, so
/// that they lead to its successor after a restart; an invalid handle means that there is none at the moment.
struct container_context {
  std::function<caf::actor()> driver;
  std::function<caf::actor()> observer;
  std::function<caf::actor()> door;   ///< empty: the host has none
  std::chrono::milliseconds drain{0}; ///< a stop of what runs waits at most so long for `drain_instance`
  /// Asks what a probe wants to know; `done` may come in any thread. Empty: nothing is probed, and what runs is ready.
  ask_probe probe;
  std::function<caf::actor()> disk{}; ///< who understands `measure_disk`; empty: nobody counts, and no limit holds
  std::vector<std::string> probe_addresses; ///< where containers in this host's network listen: numeric, each tried in turn
  wall_clock clock;                         ///< by which a container's start was noted; empty: unknown
  std::chrono::milliseconds driver_retry{50};        ///< between two looks for a driver
  std::chrono::milliseconds driver_patience{30'000}; ///< then it ends: driver_unavailable
  std::chrono::milliseconds margin{20'000};          ///< added to the grace for a start or a stop to be answered
  std::chrono::milliseconds image_patience{std::chrono::hours{1}}; ///< for an image to be there
  std::shared_ptr<init_gate> gate;                   ///< of the instance; null: it has no init containers
};

caf::actor spawn_container(caf::event_based_actor* spawner, container_order order, container_context context,
                           runtime::parent_link parent);

/// Empty (a normal end) for what ended well and for what was asked to stop; else `ended` with a sentence.
caf::error end_reason(const container_exited& exited);

} // namespace prunella::actors

CAF_ERROR_CODE_ENUM(prunella::actors::container_errc, "container")
