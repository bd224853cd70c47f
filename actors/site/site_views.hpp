#pragma once

// The API's rows from what a site decided and what was observed. Pure; used by the leader, and by any host that has to
// answer alone.

#include <string>
#include <vector>

#include "actors/api/views.hpp"
#include "actors/site/observations.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// `only_host`: who answers when no leader does; it knows of itself only, and says of the others what was decided last.
/// Empty: the leader answers.
std::vector<host_view> host_views(const site_state& state, const std::string& leader, const std::string& only_host = {});

/// Wanted instances that are not assigned yet are `pending`; instances that are no longer assigned show as `stopping`
/// while a host still reports them. `application` ("tenant.name") limits the rows; empty: all. `only_host`: the one host
/// whose reports are known, when no leader answers; empty: all are.
std::vector<instance_view> instance_views(const site_state& state, const observations& seen,
                                          const std::string& application, const std::string& only_host = {});

std::vector<application_view> application_views(const site_state& state, const observations& seen,
                                                const std::string& application, const std::string& only_host = {});

/// Fills what is the same whoever answers: counts, leader, quorum, health, reason. `only_host` as above; then only that
/// host counts as up.
void fill_status(status_view& status, const site_state& state, const observations& seen, const std::string& only_host = {});

/// RFC 3339; empty for 0 and for what no clock shows (before 1678, after 2261).
std::string time_text_of(time_ms at);

} // namespace prunella::actors
