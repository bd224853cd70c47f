#pragma once

// What a supervisor is told, without actors: OTP's supervisor flags and child specs with their types, defaults and the
// combinations that are refused (https://www.erlang.org/doc/man/supervisor), plus four extensions marked as such.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "config/spec.hpp"
#include "runtime/backoff.hpp"
#include "runtime/restart_intensity.hpp"

namespace prunella::runtime {

enum class shutdown_kind : std::uint8_t {
  timeout,  ///< asked to stop; killed when it has not within the time
  brutal,   ///< killed at once
  infinity, ///< asked to stop, waited for without end: for supervisors, whose own children have limits
};

struct shutdown_policy {
  shutdown_kind kind = shutdown_kind::timeout;
  std::chrono::milliseconds grace{5'000}; ///< only with `timeout`, then > 0

  static shutdown_policy brutal() { return {shutdown_kind::brutal, std::chrono::milliseconds{0}}; }
  static shutdown_policy infinity() { return {shutdown_kind::infinity, std::chrono::milliseconds{0}}; }
  static shutdown_policy after(std::chrono::milliseconds grace) { return {shutdown_kind::timeout, grace}; }

  PRUNELLA_FIELDS(shutdown_policy, kind, grace)
};

enum class child_kind : std::uint8_t { worker, supervisor };

/// One child, as OTP's `child_spec()`.
struct child_spec {
  std::string id; ///< unique under its supervisor; not empty, without '/'; becomes the last part of its path
  config::restart_type restart = config::restart_type::permanent;
  child_kind kind = child_kind::worker;
  std::optional<shutdown_policy> shutdown; ///< absent: 5 s for a worker, infinity for a supervisor
  bool significant = false;                ///< its end counts for `auto_shutdown`; not with `permanent`

  /// Extension: absent, each restart is immediate (OTP).
  std::optional<backoff_options> backoff;
  /// Extension: how long it may take until it is ready; then it is killed and its start has failed. > 0.
  std::chrono::milliseconds start_timeout{5'000};

  friend bool operator!=(const child_spec& a, const child_spec& b) {
    const auto fields = [](const child_spec& x) {
      return std::tie(x.id, x.restart, x.kind, x.shutdown, x.significant, x.backoff, x.start_timeout);
    };
    return fields(a) != fields(b);
  }

  shutdown_policy effective_shutdown() const {
    if (shutdown)
      return *shutdown;
    return kind == child_kind::supervisor ? shutdown_policy::infinity() : shutdown_policy{};
  }
};

/// When a supervisor ends by itself because of what its significant children did.
enum class auto_shutdown : std::uint8_t {
  never,
  any_significant, ///< when one of them ended by itself and is not restarted
  all_significant, ///< when the last of them did
};

/// Extension: how children are stopped. OTP has the second form only for simple_one_for_one.
enum class shutdown_order : std::uint8_t {
  one_by_one, ///< in reverse order of start, each after the one before it has ended
  together,   ///< all at once: for independent children, whose grace periods must not add up
};

struct supervisor_spec {
  config::restart_strategy strategy = config::restart_strategy::one_for_one;
  restart_limit limit;
  runtime::auto_shutdown auto_shutdown = runtime::auto_shutdown::never;
  shutdown_order order = shutdown_order::one_by_one;
  /// Extension: when it gives up, its children are killed instead of asked to stop. For children whose work outlives them
  /// and is taken over by those that come next: the work of the others is not to end for the one that failed.
  bool kills_on_give_up = false;
  /// How long a killed child may take to end before the supervisor gives up on it; > 0. Only an actor stuck in a
  /// handler takes longer than a moment, and it holds a scheduler thread as long as it does.
  std::chrono::milliseconds kill_timeout{10'000};
  std::size_t max_children = 10'000;
  std::vector<child_spec> children; ///< started in this order, each when the one before it is ready
};

/// Everything that is wrong with `child` under a supervisor with this `auto_shutdown`; each `what; what would be
/// right`.
std::vector<std::string> problems_of(const child_spec& child, auto_shutdown mode);

/// Everything that is wrong with `spec`, its children included. Empty: fine.
std::vector<std::string> problems_of(const supervisor_spec& spec);

/// The problems as one line.
std::string joined(const std::vector<std::string>& problems);

} // namespace prunella::runtime
