#include "actors/site/address_holder.hpp"

#include <algorithm>

#include "config/networks.hpp"

namespace prunella::actors {

namespace {

bool may_hold(const host_record& host) { return !host.spec.interface.empty(); }

/// What it said; null: nothing.
const host_weakness* obstacle_of(const host_record& host) {
  const auto& all = host.software.without;
  const auto it = std::find_if(all.begin(), all.end(), [](const auto& x) { return x.what == site_address_words; });
  return it == all.end() ? nullptr : &*it;
}

bool can_hold(const host_record& host) { return may_hold(host) && obstacle_of(host) == nullptr; }

} // namespace

std::string address_holder(const site_state& state, const std::string& leader) {
  if (state.site.address.empty() || leader.empty())
    return {};
  for (const auto is_fit : {can_hold, may_hold}) {
    if (const auto leading = state.hosts.find(leader); leading != state.hosts.end() && is_fit(leading->second))
      return leader;
    for (const auto& [id, host] : state.hosts)
      if (host.up && is_fit(host))
        return id;
  }
  return {};
}

bool others_may_hold_address(const site_state& state, const std::string& host) {
  return std::any_of(state.hosts.begin(), state.hosts.end(),
                     [&](const auto& x) { return x.first != host && may_hold(x.second); });
}

std::string why_no_address_holder(const site_state& state) {
  const auto address = config::parse_interface_address(state.site.address);
  if (!address)
    return {};
  std::string reason = "no host with an `interface` is up";
  for (const auto& [id, host] : state.hosts) {
    if (!host.up || !may_hold(host))
      continue;
    const auto* obstacle = obstacle_of(host);
    if (obstacle == nullptr)
      return {};
    reason = id + ": " + obstacle->why;
  }
  return "no host holds the site's address " + address->address + "; " + reason;
}

} // namespace prunella::actors
