#pragma once

// What a plain process prints, on its way into the log. The process writes into files of its own, so that it can go on
// while the agent is away; whole lines are taken from there into the log (`container_log.hpp`), each with the time at which
// it was found:
//   stdout.raw, stderr.raw    what it prints; what was taken becomes a hole, so nothing is lost and nothing is kept twice
//   stdout.read, stderr.read  up to where it was taken
// After a crash of the agent a few lines may be taken a second time.

#include <cstdint>
#include <string>

namespace prunella::actors {

std::string raw_stdout_path(const std::string& folder);
std::string raw_stderr_path(const std::string& folder);

/// Takes what the process of the container with this folder printed into the log there, at most 256 KiB of each stream.
/// `is_over`: it has ended, so a last line needs no newline. A log of more than `cap_bytes` becomes the older half. What
/// waits is cut to its last `cap_bytes` when it is more than twice that. True if there is more.
bool take_raw_output(const std::string& folder, std::int64_t cap_bytes, bool is_over);

/// Takes what is left of an earlier process, and makes room for the next.
void begin_raw_output(const std::string& folder, std::int64_t cap_bytes);

} // namespace prunella::actors
