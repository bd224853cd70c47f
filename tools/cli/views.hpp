#pragma once

// The API's rows as tables and trees. Pure: the time is handed in.

#include <chrono>
#include <vector>

#include "actors/api/image_view.hpp"
#include "actors/api/use_views.hpp"
#include "actors/api/views.hpp"
#include "tools/cli/table.hpp"

namespace prunella::tools {

using time_point = std::chrono::system_clock::time_point;

[[nodiscard]] table to_table(const std::vector<actors::host_view>& hosts, time_point now);
[[nodiscard]] table to_table(const std::vector<actors::application_view>& applications, time_point now);
[[nodiscard]] table to_table(const std::vector<actors::instance_view>& instances, time_point now);
[[nodiscard]] table to_table(const std::vector<actors::published_view>& services, time_point now);
/// A row per image and host.
[[nodiscard]] table to_table(const std::vector<actors::image_view>& images, time_point now);
[[nodiscard]] table to_table(const std::vector<actors::event_view>& events, time_point now);

/// Used, of what there is; warnings where a document promises more.
[[nodiscard]] table to_table(const std::vector<actors::host_use_view>& hosts, time_point now);
[[nodiscard]] table to_table(const std::vector<actors::container_use_view>& containers, time_point now);

/// site > hosts > applications > instances > containers; what has no host yet stands under `not placed`.
[[nodiscard]] tree_node site_tree(const actors::status_view& status, const std::vector<actors::host_view>& hosts,
                                  const std::vector<actors::application_view>& applications,
                                  const std::vector<actors::instance_view>& instances);

/// Nests actors by their paths; a path whose parent is not listed hangs under the nearest one that is, or the root.
[[nodiscard]] tree_node actor_tree(const std::vector<actors::actor_view>& actors);

/// `key  value` lines of a site's status.
[[nodiscard]] std::string status_text(const actors::status_view& status, time_point now, bool colours);

/// `tenant.application`, the name by which commands take it.
[[nodiscard]] std::string full_name(const actors::application_view& application);

} // namespace prunella::tools
