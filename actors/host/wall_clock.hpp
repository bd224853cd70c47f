#pragma once

#include <chrono>
#include <cstdint>
#include <functional>

namespace prunella::actors {

/// The host's wall clock as Unix time in ms, for what people read (times of events, of decisions) and for the age of what is
/// kept for them; never for order or timeouts.
using wall_clock = std::function<std::int64_t()>;

/// Unix time in ms.
inline std::int64_t unix_time_ms(std::chrono::system_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count();
}

inline std::int64_t wall_clock_ms() { return unix_time_ms(std::chrono::system_clock::now()); }

} // namespace prunella::actors
