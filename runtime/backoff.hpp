#pragma once

// How long to wait before something that ended is started again: the first restart is immediate (most ends are
// accidents), then `initial`, doubling up to `max`; a calm stretch forgets the past. OTP has no such delay and a
// supervisor of containers needs one: a program that cannot reach its database should not use up its restarts in 10 ms.

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "config/fields.hpp"
#include "runtime/instant.hpp"

namespace prunella::runtime {

struct backoff_options {
  std::chrono::milliseconds initial{100}; ///< before the second restart in a row; > 0
  std::chrono::milliseconds max{10'000};  ///< >= initial
  std::chrono::milliseconds calm{20'000}; ///< having run this long without an end starts the row afresh; > 0
  double jitter = 0;                      ///< 0 … 1: up to this fraction of a delay is taken off, by `uniform`

  PRUNELLA_FIELDS(backoff_options, initial, max, calm, jitter)
};

class restart_backoff {
public:
  explicit restart_backoff(backoff_options options) : options_(options) {}

  /// The delay before the next start of what was started at `started` and ended at `ended`, and counts that start.
  /// `uniform` in [0, 1): drawn by the caller, used only with `jitter`.
  std::chrono::milliseconds next(instant started, instant ended, double uniform = 0) {
    if (ended - started >= options_.calm)
      in_a_row_ = 0;
    ++in_a_row_;
    if (in_a_row_ == 1)
      return std::chrono::milliseconds{0};
    auto delay = options_.initial;
    for (std::uint32_t i = 2; i < in_a_row_ && delay < options_.max; ++i)
      delay *= 2;
    delay = std::min(delay, options_.max);
    const auto off = options_.jitter * uniform * static_cast<double>(delay.count());
    return delay - std::chrono::milliseconds{static_cast<std::chrono::milliseconds::rep>(off)};
  }

  /// Restarts since the last calm stretch.
  std::uint32_t in_a_row() const { return in_a_row_; }

private:
  backoff_options options_;
  std::uint32_t in_a_row_ = 0;
};

} // namespace prunella::runtime
