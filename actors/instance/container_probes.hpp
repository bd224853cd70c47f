#pragma once

// When a container is probed and what the answers mean. A value; `container_prober.hpp` runs it.
//
// A startup probe comes first: until it succeeded nothing else is probed and the container is not ready. Then liveness and
// readiness each run on their own. Liveness (and startup) that fails often enough ends the container; readiness only
// says whether it takes traffic, and begins with no.

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/spec.hpp"
#include "runtime/instant.hpp"

namespace prunella::actors {

enum class probe_kind : std::uint8_t { startup, liveness, readiness };

/// "startup", "liveness", "readiness".
const char* to_text(probe_kind kind);

/// What one probe found.
struct probe_outcome {
  bool is_good = false;
  std::string problem; ///< why it is not
  std::string detail;  ///< more of it, which may be different each time: as the problem stays the same it makes no news
  std::chrono::milliseconds took{0};
};

class container_probes {
public:
  /// `started`: when the container did. One that is adopted ran before, and may be presumed ready until a first answer of
  /// readiness, or of a startup that fails, says what is true: an agent that is restarted is to take no traffic from what
  /// runs well.
  container_probes(config::probes_spec spec, runtime::instant started, bool is_presumed_ready = false);

  /// Kinds whose time has come; they are under way from now on.
  std::vector<probe_kind> start_due(runtime::instant now);

  /// When the next one is due; max() while all that are wanted are under way, or there is none.
  runtime::instant next_due() const;

  struct verdict {
    bool has_changed = false; ///< `is_ready` or `unready_reason` says something else than before
    std::string give_up;      ///< the container has to be ended, and why: "liveness probe failed: …"; empty: it goes on
  };

  /// The answer to a probe that was under way. One that is good but slower than `max_latency` counts as failed.
  verdict take(probe_kind kind, const probe_outcome& outcome, runtime::instant now);

  /// Nobody could ask: it says nothing of the container, and is asked again when it is due.
  void give_back(probe_kind kind) { at(kind).is_under_way = false; }

  bool is_ready() const;
  /// Why it is not ready; empty if it is.
  std::string unready_reason() const;

private:
  struct probe {
    config::probe_spec spec;
    bool is_wanted = false;
    bool is_under_way = false;
    runtime::instant due;
    std::uint32_t good = 0; ///< in a row
    std::uint32_t bad = 0;
    std::string problem; ///< of the last bad one
    std::string told;    ///< the same, with the detail when it was new
  };

  bool runs(probe_kind kind) const;
  probe& at(probe_kind kind) { return probes_[static_cast<std::size_t>(kind)]; }
  const probe& at(probe_kind kind) const { return probes_[static_cast<std::size_t>(kind)]; }

  std::array<probe, 3> probes_;
  bool has_started_ = false; ///< the startup probe succeeded, or there is none
  bool passes_ = false;      ///< the readiness probe does
  bool is_presumed_ready_ = false;
};

} // namespace prunella::actors
