#pragma once

// How a host answers `GET /status`.

#include <string>

#include <caf/error.hpp>

#include "actors/api/api_actor.hpp"

namespace prunella::actors {

/// The next step where a site has no leader.
inline constexpr const char* without_leader = "what runs keeps running; more than half of the controllers must reach each "
                                              "other again. `prunella get hosts` shows which are up";

/// Why `leader` was asked and has not answered.
std::string silence_text(const std::string& leader, const caf::error& reason);

/// `status`, as the leader or this host sees the site, with what is this host's own filled in.
net::http_response status_response(status_view status, const api_options& here);

} // namespace prunella::actors
