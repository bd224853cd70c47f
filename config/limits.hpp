#pragma once

// How large a document and what it asks for may be. The reader refuses bigger documents before it builds anything from
// them; `validate.hpp` checks the rest.

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace prunella::config::limits {

inline constexpr std::size_t file_bytes = std::size_t{1} << 20;
inline constexpr std::size_t nesting = 32;
inline constexpr std::size_t values = 100'000; ///< scalars, lists and maps of a file, aliases expanded
inline constexpr std::size_t documents = 256;  ///< of a file
inline constexpr std::size_t problems = 100;   ///< reported for a file; the rest is counted

inline constexpr std::size_t hosts = 64;
inline constexpr std::size_t controllers = 5;
inline constexpr std::size_t services = 64;
inline constexpr std::size_t containers = 16;
inline constexpr std::size_t ports = 64; ///< of a container
inline constexpr std::size_t published = 64; ///< ports of an application
inline constexpr std::size_t files = 64; ///< of a container
inline constexpr std::size_t file_content_bytes = 256 * 1024;
inline constexpr std::size_t volumes = 64;      ///< of a container
inline constexpr std::size_t host_paths = 64;   ///< of a host
inline constexpr std::size_t image_bytes = 512; ///< of a reference
inline constexpr std::size_t user_bytes = 255;
inline constexpr std::uint32_t pids = 4'194'304; ///< Linux: PID_MAX_LIMIT
inline constexpr std::size_t labels = 64;
inline constexpr std::size_t env = 512;
inline constexpr std::size_t arguments = 1'024;
inline constexpr std::size_t argument_bytes = 128 * 1024 - 1; ///< Linux: MAX_ARG_STRLEN with its NUL
inline constexpr std::size_t path_bytes = 4'095;              ///< Linux: PATH_MAX with its NUL
inline constexpr std::uint32_t replicas = 1'000;
inline constexpr std::uint32_t intensity = 1'000;
inline constexpr std::int64_t cpu_millis = 1'000'000'000;                   ///< a million cores
inline constexpr std::int64_t memory_bytes = std::int64_t{1} << 50;         ///< 1 PiB
inline constexpr std::int64_t least_log_bytes = 64 * 1024;                  ///< of a container
inline constexpr std::int64_t least_disk_bytes = 1024 * 1024;                ///< of a container
inline constexpr std::int64_t least_bandwidth = 64 * 1024;                   ///< per second; less would never end
inline constexpr std::chrono::milliseconds window = std::chrono::hours{24}; ///< restart periods
inline constexpr std::chrono::milliseconds pause = std::chrono::hours{1};   ///< backoff and grace
inline constexpr std::chrono::milliseconds probe_timeout = std::chrono::minutes{1}; ///< a host asks only so many at a time
inline constexpr std::chrono::milliseconds least_log_age = std::chrono::minutes{1};
inline constexpr std::chrono::milliseconds cut_off = std::chrono::hours{720};

} // namespace prunella::config::limits
