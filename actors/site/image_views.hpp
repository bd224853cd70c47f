#pragma once

// The API's rows of images from what a site needs and what its hosts reported. Pure.

#include <string>
#include <vector>

#include "actors/api/image_view.hpp"
#include "actors/messages.hpp"
#include "actors/site/image_copies.hpp"

namespace prunella::actors {

/// Ordered by name, then digest. Reports of hosts that are down do not count.
std::vector<image_view> image_views(const site_state& state, const image_reports& reports);

/// A page of them; keys are `name digest`.
view_answer image_page(const view_request& request, const site_state& state, const image_reports& reports);

} // namespace prunella::actors
