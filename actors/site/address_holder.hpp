#pragma once

// Which host holds the address of the site (`site_spec::address`). Pure.

#include <string>

#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// `host_weakness::what` of a host that has an `interface` and cannot hold the address.
inline constexpr auto site_address_words = "site address";

/// The leader, or where that cannot, the first host by id that is up and can. Who has an `interface` can, unless it
/// said that it cannot. Where all said so, the one that would have been chosen otherwise goes on trying. Empty: there
/// is none, the site has no address, or no leader is known.
std::string address_holder(const site_state& state, const std::string& leader);

/// Whether another host than `host` may come to hold the address some time: one that has an `interface`, up or not.
/// Where none may, nobody gains if `host` gives it up.
bool others_may_hold_address(const site_state& state, const std::string& host);

/// Why no host of `state` that is up can hold the site's address, as a sentence; empty: one can, or the site has none.
std::string why_no_address_holder(const site_state& state);

} // namespace prunella::actors
