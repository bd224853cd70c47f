#pragma once

// What happened, for people and their tools: local to a host, append-only, bounded. Nothing is decided from it, so it
// spares the flash: no sync per event, a power cut may take the last ones. One thread at a time.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "storage/errors.hpp"
#include "storage/site_database.hpp"

namespace prunella::storage {

/// Replicated decisions carry this origin and the sequence `log index * 1000 + k`: every host writes the same ones, and
/// writing them again at a replay changes nothing.
inline constexpr const char* site_origin = "site";

struct journal_event {
  std::string origin;         ///< host that observed it, or `site_origin`
  std::uint64_t sequence = 0; ///< unique per origin
  std::int64_t time_ms = 0;   ///< since 1970-01-01 UTC
  std::string object;         ///< `host/host-2`, `instance/default.popcorn.web-1`, …
  std::string from;
  std::string to;
  std::string reason;
  std::string cause;

  PRUNELLA_FIELDS(journal_event, origin, sequence, time_ms, object, from, to, reason, cause)
};

/// Where an event stands in the journal's order: time, then origin, then sequence.
struct journal_position {
  std::int64_t time_ms = 0;
  std::string origin;
  std::uint64_t sequence = 0;

  PRUNELLA_FIELDS(journal_position, time_ms, origin, sequence)
};

struct journal_query {
  journal_position after;     ///< only later ones; the default is before all
  std::uint32_t limit = 1000; ///< at most 10,000
  std::string object_prefix;  ///< empty: all
  bool newest = false;        ///< of more than `limit`, the last ones instead of the first

  PRUNELLA_FIELDS(journal_query, after, limit, object_prefix, newest)
};

struct journal_options {
  std::uint64_t max_events = 100'000;                       ///< >= 1; about 300 bytes each
  std::chrono::milliseconds max_age{30LL * 24 * 3'600'000}; ///< > 0
};

struct journal_counts {
  std::uint64_t stored = 0;
  std::uint64_t dropped = 0; ///< by count or age, since the journal was made

  PRUNELLA_FIELDS(journal_counts, stored, dropped)
};

class event_journal {
public:
  virtual ~event_journal() = default;

  /// Adds `events` in one transaction; one whose (origin, sequence) is already there is skipped. Then drops what is
  /// older than `max_age` before `now_ms` and the oldest beyond `max_events`.
  virtual result<void> append(const std::vector<journal_event>& events, std::int64_t now_ms) = 0;

  /// Events in order, oldest first. One that arrives late with an older time is not seen by a reader who is past it.
  virtual result<std::vector<journal_event>> read(const journal_query& query) = 0;

  /// One more than the highest sequence ever stored for `origin`, dropped events included; 1 for a new origin.
  virtual result<std::uint64_t> next_sequence(const std::string& origin) = 0;

  virtual journal_counts counts() const = 0;
};

/// Opens or creates the journal at `path` (its folder must exist). Errors as `open_raft_log`.
result<std::unique_ptr<event_journal>> open_event_journal(const std::string& path, const host_owner& owner,
                                                          const journal_options& options);

} // namespace prunella::storage
