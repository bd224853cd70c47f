#pragma once

// What tags mean at this site. Pure: the leader decides from what hosts found (`decide_tags`), and each host asks the state
// what is decided (`meaning_of`).

#include <optional>
#include <string>

#include "actors/site/image_copies.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// The next decision about tags; nothing: none can be made. Of several hosts that found something the first by id counts.
std::optional<decide_images> decide_tags(const site_state& state, const image_reports& reports);

/// What a tag means to one container.
struct tag_meaning {
  bool is_open = false; ///< the site has not decided yet
  std::string digest;   ///< empty: it is open, or no matter of the site

  PRUNELLA_FIELDS(tag_meaning, is_open, digest)
};

/// Of `tag`, a complete reference, for a container or a task beside one, in the version that its instance runs.
tag_meaning meaning_of(const site_state& state, const std::string& container, const std::string& tag);

} // namespace prunella::actors
