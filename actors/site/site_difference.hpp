#pragma once

// Where a host's site document says something else than what the site decided. The site's word counts: it was founded
// with a document once, and no document changes it afterwards.

#include <string>
#include <vector>

#include "actors/site/site_state.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

/// One sentence per difference, in order of host; none while `state` has no site yet. Pure.
std::vector<std::string> differences(const config::site_spec& document, const site_state& state);

/// `differences` for a person, with what to do; empty: there are none.
std::string difference_text(const config::site_spec& document, const site_state& state);

} // namespace prunella::actors
