#pragma once

#include <chrono>

namespace prunella::runtime {

/// A point of the host's monotonic clock; what CAF's actor clock returns, so virtual time in tests. Decisions take it as
/// an argument and never read a clock themselves.
using instant = std::chrono::steady_clock::time_point;

} // namespace prunella::runtime
