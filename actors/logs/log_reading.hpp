#pragma once

// Which logs a request means, where its readers stand, and how several logs become one. Pure.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "actors/api/log_view.hpp"
#include "actors/api/views.hpp"
#include "actors/logs/log_messages.hpp"
#include "actors/site/site_state.hpp"
#include "net/http_router.hpp"

namespace prunella::actors {

/// `GET /v1/logs?of=NAME&all-replicas=true&all-hosts=true&since=10m&tail=100&after=CURSOR&wait=5s`
struct logs_request {
  std::string of; ///< INSTANCE[/CONTAINER] or APPLICATION[/SERVICE]
  bool all_replicas = false;
  bool all_hosts = false; ///< also what former hosts of the instances keep
  std::optional<std::uint32_t> tail; ///< lines of each container
  std::optional<std::chrono::milliseconds> since; ///< no older than that
  std::map<std::uint32_t, log_position> after; ///< by `short_name`; containers that are not in it begin at tail and since
  std::chrono::milliseconds wait{0};
};

std::variant<logs_request, problem_view> parse_logs_request(const net::http_parameters& query);

/// A container whose log is wanted.
struct log_target {
  std::string container;
  std::string host;
  bool is_one_of_many = false; ///< hosts are asked for it

  PRUNELLA_FIELDS(log_target, container, host, is_one_of_many)
};

/// What a client calls it: the container, of many hosts CONTAINER@HOST.
std::string log_name(const log_target& target);

struct log_targets {
  std::vector<log_target> targets; ///< at most `max_log_targets`, and of each host at most `max_log_queries`
  std::vector<std::string> notes;  ///< what of the request is not among them, as sentences
};

/// A problem (404) when nothing is called so.
std::variant<log_targets, problem_view> find_log_targets(const site_state& state, const logs_request& request);

/// A `log_name` in a cursor.
std::uint32_t short_name(const std::string& log);

std::string cursor_text(const std::map<std::uint32_t, log_position>& positions);
/// Nothing for a text that is no cursor.
std::optional<std::map<std::uint32_t, log_position>> parse_cursor(const std::string& text);

/// What is asked of a host about `target`.
log_query query_for(const log_target& target, const logs_request& request, time_ms now);

/// A log and its page.
struct read_log {
  log_target target;
  log_page page;
};

/// The lines of all pages by time, each log's in its own order, as far as all of them reach: what a page that is not the
/// last has no more of may come before lines of others. `positions` are moved to where the next pages begin.
struct merged_logs {
  std::vector<log_line_view> lines;
  bool has_more = false;
};
merged_logs merge_logs(std::vector<read_log> logs, std::map<std::uint32_t, log_position>& positions);

} // namespace prunella::actors
