#pragma once

// Which services of a site are reached through the doors of its hosts. Pure.

#include <set>
#include <string>
#include <utility>

#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// Whether services have names: as soon as some service of the site has `network: bridge`.
bool uses_names(const site_state& state);

/// Services whose ready instances the doors need to know, as (key of the application, service): those with a published
/// port, and where there are names all that have a port.
std::set<std::pair<std::string, std::string>> reached_services(const site_state& state);

} // namespace prunella::actors
