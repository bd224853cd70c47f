#pragma once

// Private to the actor of a container: its state, in source files by meaning. `container_actor.cpp` has its way from start to end;
// `container_health.cpp` what may end it while it runs: its probes and the limit of its disk.

#include <cstdint>
#include <optional>
#include <string>

#include <caf/actor.hpp>
#include <caf/actor_clock.hpp>
#include <caf/behavior.hpp>
#include <caf/error.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/instance/container_actor.hpp"
#include "actors/instance/container_prober.hpp"
#include "actors/instance/disk_limit.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

// Timer: look for the driver again. Of an older epoch: no longer of interest.
struct look_for_driver {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(look_for_driver, epoch)
};

// From the gate: look whether it is open now.
struct gate_moved {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(gate_moved, unused)
};

// Timer: what the start waits for takes long enough to be told. Of an older epoch: no longer of interest.
struct still_waiting {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(still_waiting, epoch)
};

// Timer: count what it wrote.
struct disk_due {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(disk_due, unused)
};

struct container_actor_state {
  using self_pointer = caf::stateful_actor<container_actor_state, runtime::supervised_actor>*;

  static inline const char* name = "container";

  explicit container_actor_state(self_pointer self_) : self{self_} {}

  caf::behavior make_behavior(container_order order_, container_context context_, runtime::parent_link parent_);

  void pass_gate();
  void find_driver();
  void ask_driver();
  void ask_whether_done(const caf::actor& driver);
  void ask_to_claim(const caf::actor& driver);
  void ask_to_prepare(const caf::actor& driver);
  void ask_to_start(const caf::actor& driver);
  void ask_to_adopt(const caf::actor& driver);
  void drain();
  void ask_to_stop(const caf::actor& asked);
  void on_started(const container_started& started);
  void on_refused(const caf::error& why);
  void ask_again_later(std::string reason);
  void say_soon_what_is_awaited();
  void on_still_waiting();
  std::string image_awaited() const;
  void on_exited(const container_exited& exited);
  void on_driver_down();
  void on_shutdown();
  void begin_probes();
  bool is_probed() const;
  void on_probe(const probe_answered& answer);
  void begin_disk_limit();
  void on_disk_due();
  void end_unhealthy(std::string why);
  void on_stopped(std::string reason);

  void enter(container_phase phase, std::string reason = {});
  void tell();
  void end(caf::error reason);
  void say_ready();

  bool is_over() const {
    return report.phase == container_phase::exited || report.phase == container_phase::failed;
  }

  self_pointer self;
  container_order order;
  container_context context;
  runtime::parent_link parent;
  container_report report;
  caf::actor driver; ///< that answered last
  bool is_ready = false;
  bool is_needed = true;    ///< false for an init container until it is known that its instance does not run yet
  bool is_prepared = false; ///< its image is here, or it has none
  std::optional<container_prober> prober; ///< while it runs, if it has probes
  std::optional<disk_limit> disk;         ///< while it runs, if it has one
  std::string init_awaited; ///< the sentence about an init container, once it was told
  std::string unhealthy; ///< why it is being ended; empty: it is not
  bool is_draining = false; ///< told to stop, and connections to it may end
  std::uint64_t epoch = 0;
  caf::actor_clock::time_point patience_ends;
};

} // namespace prunella::actors
