#pragma once

// How much of a container's log is kept: `logs: {max-size, max-age}`. A log has two halves, `log` and the older `log.1`
// (`container_log.hpp`); each gets at most half of both bounds, and what is over goes by whole halves. So at least the
// newer half of what the bounds allow is always there, and never more than they allow: of the size as far as whoever
// writes is not quicker than who looks, of the age to a sixteenth (`time_between_looks`).

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "config/spec.hpp"

namespace prunella::actors {

/// What a log is, as its bounds judge it. Times are Unix time, of the first line of each half.
struct log_extent {
  std::int64_t bytes = 0; ///< of the newer half
  std::optional<std::int64_t> begins_at_ms;
  std::optional<std::int64_t> older_begins_at_ms;
};

struct log_verdict {
  bool is_full = false;     ///< the newer half becomes the older one
  bool is_outdated = false; ///< the older half goes

  bool operator==(const log_verdict& x) const { return is_full == x.is_full && is_outdated == x.is_outdated; }
};

/// Bytes of the newer half at which it becomes the older one.
std::int64_t half_of(const config::log_spec& bounds);

log_verdict judge_log(const log_extent& log, const config::log_spec& bounds, std::int64_t now_ms);

/// How often logs are looked at because of their age, of which `least_age` is the smallest bound: 1 s … 10 min.
std::chrono::milliseconds time_between_looks(std::chrono::milliseconds least_age);

/// The log at `path` as it is. `with_ages`: also the times, for which its files are opened.
log_extent measure_log(const std::string& path, bool with_ages);

/// The bounds are also kept beside the log, for the time when nobody is there who asks for its container: after a restart of
/// the agent, and after the container's end. Written only where they changed; an error leaves the former ones.
void keep_log_bounds(const std::string& log_path, const config::log_spec& bounds);

/// The defaults where none are kept.
config::log_spec kept_log_bounds(const std::string& log_path);

} // namespace prunella::actors
