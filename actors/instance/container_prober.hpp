#pragma once

// Asks the probes of a running container: ports through the prober, commands through the driver. A part of the container actor, which forwards to it; it asks through that actor's
// context and keeps time by its clock. What the answers mean is decided by `container_probes`.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/instance/container_probes.hpp"
#include "config/fields.hpp"
#include "net/prober.hpp"

namespace prunella::actors {

/// Timer of the container actor: a probe is due.
struct probe_due {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(probe_due, epoch)
};

/// To the container actor, from the prober's thread.
struct probe_answered {
  probe_kind kind = probe_kind::startup;
  bool is_good = false;
  std::string problem;
  std::chrono::milliseconds took{0};
  std::string detail;
  bool is_known = true; ///< false: it could not be asked, which says nothing of the container

  PRUNELLA_FIELDS(probe_answered, kind, is_good, problem, took, detail, is_known)
};

/// Asks a question; `done` may come in any thread.
using ask_probe = std::function<void(net::probe_question question, std::function<void(const net::probe_finding&)> done)>;

struct container_prober_options {
  config::probes_spec spec;
  ask_probe ask;
  std::vector<std::string> addresses;    ///< where containers of this host listen, numeric, without port
  std::function<caf::actor()> driver;    ///< that runs commands in the container; may be invalid at times
  std::string container;                 ///< its name at the driver
  std::uint64_t generation = 0;
  std::chrono::milliseconds ran_for{0};  ///< when this begins
  bool adopted = false;                  ///< it is presumed ready until the first answer
};

class container_prober {
public:
  container_prober(caf::event_based_actor* self, container_prober_options options);

  /// Asks what is due now, and again when the next is.
  void run();
  void on_due(const probe_due& x);

  /// What the answer means; the caller calls `run` again unless the container is to be ended.
  container_probes::verdict on_answer(const probe_answered& x);

  bool is_ready() const { return probes_.is_ready(); }
  std::string unready_reason() const { return probes_.unready_reason(); }

private:
  void ask(probe_kind kind, const config::probe_spec& probe);
  void ask_driver(probe_kind kind, const config::probe_spec& probe);
  net::probe_question question_of(const config::probe_spec& probe) const;

  caf::event_based_actor* self_;
  container_prober_options options_;
  container_probes probes_;
  std::uint64_t epoch_ = 0;
};

} // namespace prunella::actors
