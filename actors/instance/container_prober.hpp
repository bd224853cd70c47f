#pragma once

// Asks the probes of a running container. A part of the container actor, which forwards to it; it asks through that actor's
// context and keeps time by its clock. What the answers mean is decided by `container_probes`.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

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

  PRUNELLA_FIELDS(probe_answered, kind, is_good, problem, took)
};

/// Asks a question; `done` may come in any thread.
using ask_probe = std::function<void(net::probe_question question, std::function<void(const net::probe_finding&)> done)>;

class container_prober {
public:
  /// `addresses`: where containers of this host listen, numeric, without port. `ran_for`: since when the container runs; one
  /// that was `adopted` is presumed ready until the first answer.
  container_prober(caf::event_based_actor* self, config::probes_spec spec, ask_probe ask, std::vector<std::string> addresses,
                   std::chrono::milliseconds ran_for, bool adopted);

  /// Asks what is due now, and again when the next is.
  void run();
  void on_due(const probe_due& x);

  /// What the answer means; the caller calls `run` again unless the container is to be ended.
  container_probes::verdict on_answer(const probe_answered& x);

  bool is_ready() const { return probes_.is_ready(); }
  std::string unready_reason() const { return probes_.unready_reason(); }

private:
  net::probe_question question_of(const config::probe_spec& probe) const;

  caf::event_based_actor* self_;
  config::probes_spec spec_;
  ask_probe ask_;
  std::vector<std::string> addresses_;
  container_probes probes_;
  std::uint64_t epoch_ = 0;
};

} // namespace prunella::actors
