#pragma once

// Durations and points in time as people read and write them. Pure: the time is always handed in.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace prunella::config {

/// The longest duration that `parse_duration` accepts (ten years), so that sums of a few never overflow.
inline constexpr std::chrono::milliseconds longest_duration = std::chrono::hours{87'600};

/// What a duration looks like, for error texts.
inline constexpr std::string_view duration_form = "a whole number with a unit, such as 500ms, 10s, 5m, 1h or 7d";

/// Reads `500ms`, `10s`, `5m`, `1h` or `7d`: one whole number ≥ 0 and one unit, no blanks; `0` alone needs no unit.
/// Nothing for any other text and for more than `longest_duration`.
std::optional<std::chrono::milliseconds> parse_duration(std::string_view text);

/// The shortest exact text in one unit: 90 s is `90s`, 60 s is `1m`, zero is `0s`. Inverse of `parse_duration`;
/// a negative duration gets a leading `-`, which `parse_duration` refuses.
std::string duration_text(std::chrono::milliseconds duration);

/// RFC 3339 in UTC with milliseconds, rounded down: `2026-11-21T11:28:13.042Z`.
std::string time_text(std::chrono::system_clock::time_point time);

/// Inverse of `time_text`; the fraction may be absent or of 1 to 9 digits (below a millisecond is dropped). Only UTC
/// (`Z`). Nothing for any other text, and outside of the years 1678 to 2261, which the clock cannot count.
std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text);

} // namespace prunella::config
