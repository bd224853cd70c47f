#pragma once

// The API's rows from what a site decided and what was observed. Pure; used by the leader, and by any host that has to
// answer alone.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "actors/api/views.hpp"
#include "actors/site/observations.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// Who answers, and what it can know.
struct view_source {
  const site_state& state;
  const observations& seen;
  std::string leader;    ///< empty: none is known
  std::string only_host; ///< who answers when no leader does: it knows of itself only, and says of others what was decided
                         ///< last; empty: the leader answers
  std::map<std::string, std::uint64_t> late_us{}; ///< of hosts: `host_view::heartbeat_late_us`
};

/// The rows that are asked for. Keys: a host's id, an application's tenant.name, an instance's name.
struct row_range {
  std::string application;                                    ///< only of this one ("tenant.name"); empty: all
  std::string after;                                          ///< keys behind this one; empty: all
  std::size_t most = std::numeric_limits<std::size_t>::max(); ///< rows
};

/// Instances and what they reserve, by host.
std::map<std::string, std::pair<std::uint32_t, config::resources>> reserved_of_hosts(const site_state& state);

/// Ordered by id; the range's application does not count.
std::vector<host_view> host_views(const view_source& from, const row_range& range = {});

/// Wanted instances that are not assigned yet are `pending`; instances that are no longer assigned show as `stopping`
/// while a host still reports them.
std::vector<instance_view> instance_views(const view_source& from, const row_range& range = {});

std::vector<application_view> application_views(const view_source& from, const row_range& range = {});

/// A page of hosts, applications or instances, or the spec of an application, as the API answers it.
view_answer view_page(const view_request& request, const view_source& from);

/// Fills what is the same whoever answers: counts, leader, quorum, health, reason. Of `only_host` only that host counts as up.
void fill_status(status_view& status, const view_source& from);

/// RFC 3339; empty for 0 and for what no clock shows (before 1678, after 2261).
std::string time_text_of(time_ms at);

} // namespace prunella::actors
