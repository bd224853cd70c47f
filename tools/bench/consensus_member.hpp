#pragma once

// One member of a benchmarked consensus group, as a process of its own: links over TLS, the log in SQLite, the consensus
// actor, and a client that loads it. Told what to do by lines on its standard input:
//
//   peers HOST=ADDRESS …             → ok
//   load HOST OUTSTANDING SECONDS    → load COMMANDS SECONDS P50_US P99_US FAILED   proposes 1 KiB commands at HOST
//   status                           → status ROLE LEADER TERM MATCHED              MATCHED: members with the whole log
//
// It first says `listening ADDRESS`, and whenever a command it proposed on becoming leader is committed,
// `led TERM MONOTONIC_NS`. It ends with its standard input.

#include <string>

namespace prunella::bench {

/// `profile`: fast or balanced, of runtime/liveness.hpp. `folder` holds the identities (`site`) and the member's files.
[[noreturn]] void run_consensus_member(const std::string& folder, const std::string& host, const std::string& profile);

/// `member-1` … for 1 …
std::string member_name(int number);
inline constexpr int group_size = 3;

} // namespace prunella::bench
