#pragma once

#include <chrono>
#include <functional>

#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// The host's wall clock, for what people read (times of events, of decisions); never for order or timeouts.
using wall_clock = std::function<time_ms()>;

inline time_ms wall_clock_ms() {
  using namespace std::chrono;
  return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

} // namespace prunella::actors
