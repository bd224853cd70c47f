#pragma once

// How many restarts in how short a time a supervisor takes before it gives up, counted as Erlang/OTP counts it:
// `supervisor:add_restart/1` in lib/stdlib/src/supervisor.erl. There a restart at `now` first drops those with
// `time < now - period`, then counts itself, and more than `intensity` is too many. So a restart exactly one period old
// still counts. (OTP truncates its clock to whole seconds; we do not, which is the same for times in whole seconds.)

#include <cstddef>
#include <cstdint>
#include <deque>

#include "config/fields.hpp"
#include "runtime/instant.hpp"

namespace prunella::runtime {

/// More than `intensity` restarts within `period` and the supervisor gives up. OTP's defaults.
struct restart_limit {
  std::uint32_t intensity = 1;
  std::chrono::milliseconds period{5'000}; ///< > 0

  PRUNELLA_FIELDS(restart_limit, intensity, period)
};

/// The window of recent restarts. Memory: at most `intensity + 1` times.
class restart_intensity {
public:
  explicit restart_intensity(restart_limit limit) : limit_(limit) {}

  /// Counts a restart at `now`; false: that is one too many. `now` never goes back from call to call.
  bool add_restart(instant now) {
    while (!restarts_.empty() && restarts_.front() < now - limit_.period)
      restarts_.pop_front();
    restarts_.push_back(now);
    // Older ones than the newest `intensity + 1` cannot change any later answer.
    if (restarts_.size() > std::size_t{limit_.intensity} + 1)
      restarts_.pop_front();
    return restarts_.size() <= limit_.intensity;
  }

  const restart_limit& limit() const { return limit_; }

private:
  restart_limit limit_;
  std::deque<instant> restarts_;
};

} // namespace prunella::runtime
