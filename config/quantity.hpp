#pragma once

// Amounts of CPU and memory as people write them.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace prunella::config {

/// What they look like, for error texts.
inline constexpr std::string_view cpu_form = "cores such as 2 or 0.5, or thousandths of a core such as 500m";
inline constexpr std::string_view memory_form = "bytes such as 64Mi, 1Gi, 500M or 1048576";

/// Thousandths of a core from `2`, `0.5` (at most three decimals) or `500m`. Nothing for other texts, negative ones,
/// and more than 2^53 thousandths.
std::optional<std::int64_t> parse_cpu(std::string_view text);

/// Bytes from a number ≥ 0 (at most three decimals, if the result is whole) and one of Ki, Mi, Gi, Ti (powers of 1024),
/// k, K, M, G, T (powers of 1000) or nothing. Nothing for other texts and more than 2^53 bytes.
std::optional<std::int64_t> parse_memory(std::string_view text);

/// The shortest exact text that `parse_cpu` reads back: `2`, `500m`. `millis` ≥ 0.
std::string cpu_text(std::int64_t millis);

/// The shortest exact text that `parse_memory` reads back, powers of 1024 preferred: `64Mi`, `500M`, `123`. `bytes` ≥
/// 0.
std::string memory_text(std::int64_t bytes);

/// For people, two digits or more: "999 B", "1.2 GiB", "64 MiB". `bytes` ≥ 0; rounded to the nearest tenth below ten.
std::string shown_bytes(std::int64_t bytes);

} // namespace prunella::config
