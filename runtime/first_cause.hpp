#pragma once

// What a supervisor says before the reason that it passes on, and the reason without that. No CAF here.

#include <string>
#include <string_view>

namespace prunella::runtime {

inline constexpr std::string_view ended_before_ready = "it ended before it was ready: ";
inline constexpr std::string_view start_threw = "its start function threw: ";
inline constexpr std::string_view last_restart = "; the last was of child '";

/// The sentence of who failed first in `reason`, the text of an end that climbed some supervisors: what stands behind the
/// words of the last of them. The whole of it if it climbed none.
std::string first_cause(const std::string& reason);

} // namespace prunella::runtime
