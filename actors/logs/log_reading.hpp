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
  std::map<std::uint32_t, log_position> after; ///< by `log_key`; logs that are not in it begin as `query_for` says
  std::chrono::milliseconds wait{0};
};

std::variant<logs_request, problem_view> parse_logs_request(const net::http_parameters& query);

/// A container whose log is wanted.
struct log_target {
  std::string container;
  std::string host;
  bool is_one_of_many = false; ///< hosts are asked for it
  time_ms since = 0;           ///< its instance is on `host`; 0: it is not, or that is not known

  PRUNELLA_FIELDS(log_target, container, host, is_one_of_many, since)
};

/// What a client calls it: the container, of many hosts CONTAINER@HOST.
std::string log_name(const log_target& target);

struct log_targets {
  std::vector<log_target> targets; ///< at most `max_log_targets`, and of each host at most `max_log_queries`
  std::vector<std::string> notes;  ///< what of the request is not among them, as sentences
};

/// A problem (404) when nothing is called so.
std::variant<log_targets, problem_view> find_log_targets(const site_state& state, const logs_request& request);

/// A note: what `host` keeps was not read. `why` is what its link or its actor says.
std::string unread_note(const site_state& state, const std::string& host, const std::string& why, bool all_hosts);

/// The log of a container on one host, in a cursor.
std::uint32_t log_key(const log_target& target);

/// `request` followed the container on another host of the site.
bool was_followed_elsewhere(const log_target& target, const logs_request& request, const site_state& state);

/// Its instance came to its host while `request` followed it: a note says so.
bool has_moved(const log_target& target, const logs_request& request, time_ms now);

std::string cursor_text(const std::map<std::uint32_t, log_position>& positions);
/// Nothing for a text that is no cursor.
std::optional<std::map<std::uint32_t, log_position>> parse_cursor(const std::string& text);

/// What is asked of a host about `target`: to go on from its position; without one, to begin at tail and since, but if it `has_moved`
/// with what was printed since then, as an instance that was there before has an old log there.
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
