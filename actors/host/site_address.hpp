#pragma once

// The address of the site (`site_spec::address`), which one of its hosts holds so that clients need to know only one: the
// leader, or where that has no `interface` the first host by id that is up and has one. Who sees no leader holds nothing.
//
// The address is given to the device for 2 s at a time, so it goes also when the agent dies or hangs; a host that takes it
// over tells the neighbours at once and twice more within a second and a half, as such messages may be lost.
//
// Spawned by the agent's root supervisor on hosts with an `interface`; restart type permanent. A crash loses nothing: the
// successor goes on where it was, or lets go.
//
// Messages:
//   state_applied, leader_changed   no answer

#include <functional>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/site/leadership.hpp"
#include "actors/site/state_cell.hpp"
#include "net/address_device.hpp"
#include "storage/event_journal.hpp"

namespace prunella::actors {

/// Which host of `state` is to hold the site's address while `leader` leads; empty: none. Pure.
std::string address_holder(const site_state& state, const std::string& leader);

struct site_address_options {
  std::string host;
  std::shared_ptr<net::address_device> device;
  std::shared_ptr<state_cell> state;
  std::shared_ptr<leadership_cell> leader;
  std::function<void(storage::journal_event)> record;
  std::chrono::milliseconds refresh{500};
  std::uint32_t lifetime_s = 2;
  std::uint32_t announcements = 3; ///< after taking over, one per refresh
};

caf::actor spawn_site_address(caf::local_actor* parent, site_address_options options);

} // namespace prunella::actors
