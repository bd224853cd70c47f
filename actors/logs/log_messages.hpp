#pragma once

// What the API of any host asks the actor "logs" of the host that has a container; see `messages.hpp`.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "actors/logs/log_pages.hpp"
#include "config/fields.hpp"

namespace prunella::actors {

inline constexpr std::size_t max_log_queries = 64;             ///< logs of one request to a host
inline constexpr std::size_t max_log_targets = 192;            ///< of one request of a client: its cursor is part of a URL
inline constexpr std::uint32_t max_log_bytes = 384 * 1024;     ///< of all pages of one answer
inline constexpr std::uint32_t max_log_wait_ms = 5'000;

struct log_query {
  std::string container;
  bool has_position = false; ///< else the reader begins where `tail` and `since_ms` say
  log_position from;
  std::int64_t tail = -1;     ///< lines; -1: all
  std::int64_t since_ms = -1; ///< Unix time; -1: from the oldest

  PRUNELLA_FIELDS(log_query, container, has_position, from, tail, since_ms)
};

/// → `logs_read`: at once if one of the pages has something, else as soon as one has, at the latest after `wait_ms`.
/// Errors: as a sentence, for names that are none, more than `max_log_queries`, or too many readers that wait.
struct read_logs {
  std::vector<log_query> queries;
  std::uint32_t wait_ms = 0;   ///< 0 … max_log_wait_ms
  std::uint32_t max_bytes = 0; ///< of all pages together; at most `max_log_bytes`

  PRUNELLA_FIELDS(read_logs, queries, wait_ms, max_bytes)
};

struct logs_read {
  std::vector<log_page> pages; ///< one for each query, in their order

  PRUNELLA_FIELDS(logs_read, pages)
};

} // namespace prunella::actors
