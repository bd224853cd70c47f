#pragma once

// A bound on how many bytes per second are taken. Pure: time comes in.

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "runtime/instant.hpp"

namespace prunella::actors {

/// The classic bucket, as a debt: whoever takes more than is there waits until it would be. So every request is granted,
/// in order, and the sum over any time t is at most `rate` · t + `burst` + the last request.
class token_bucket {
public:
  /// `bytes_per_second` 0: no bound. `burst_bytes`: what may go at once after a pause.
  token_bucket(std::uint64_t bytes_per_second, std::uint64_t burst_bytes)
    : rate_(static_cast<double>(bytes_per_second)), burst_(static_cast<double>(burst_bytes)), there_(burst_) {}

  /// Takes `bytes`; returns how long to wait before they are used.
  std::chrono::microseconds take(std::uint64_t bytes, runtime::instant now) {
    if (rate_ == 0)
      return std::chrono::microseconds{0};
    if (filled_at_ != runtime::instant{} && now > filled_at_)
      there_ = std::min(burst_, there_ + rate_ * std::chrono::duration<double>(now - filled_at_).count());
    filled_at_ = std::max(filled_at_, now);
    there_ -= static_cast<double>(bytes);
    return std::chrono::microseconds{there_ >= 0 ? 0 : static_cast<std::int64_t>(-there_ / rate_ * 1e6)};
  }

private:
  double rate_;
  double burst_;
  double there_; ///< negative: owed
  runtime::instant filled_at_{};
};

} // namespace prunella::actors
