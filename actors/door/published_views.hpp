#pragma once

// Published services as rows of the API, from what the doors of the hosts say. Pure.

#include <vector>

#include "actors/api/views.hpp"
#include "actors/messages.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// One row per published port of `state`, ordered by service, port and protocol. Hosts without an answer are left out of
/// it: whether their instances are ready is then said by the others.
std::vector<published_view> published_views(const site_state& state, const std::vector<door_status_answer>& doors);

} // namespace prunella::actors
