#pragma once

// Which host holds the address of the site (`site_spec::address`). Pure.

#include <string>

#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// `host_weakness::what` of a host that has an `interface` and cannot hold the address.
inline constexpr auto site_address_words = "site address";

/// The leader, or where that cannot the first host by id that is up and can; empty: none, or `leader` is. Who has an
/// `interface` can, unless it said that it cannot. Where all said so, the one that would have been
/// it goes on trying.
std::string address_holder(const site_state& state, const std::string& leader);

/// Why no host of `state` that is up can hold the site's address, as a sentence; empty: one can, or the site has none.
std::string why_no_address_holder(const site_state& state);

} // namespace prunella::actors
