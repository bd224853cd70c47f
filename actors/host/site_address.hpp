#pragma once

// The address of the site (`site_spec::address`), which one of its hosts holds so that clients need to know only one
// (`address_holder.hpp`). Who sees no leader holds nothing. A host whose device takes no address says so to the site, and
// another one holds it: a device that is missing until it is there, any other problem until the agent is started again.
//
// The address is given to the device for 2 s at a time, so it goes also when the agent hangs; when it dies, its guard
// takes the address away 300 ms later (`address_guard.hpp`). Where no other host may hold it, nobody waits for it to
// go: it stays for 10 s, and so while the agent is started again. What an earlier life of the agent left on the device
// goes as soon as it is known that another host holds it. A host that takes it over tells the neighbours at once, and
// again every 200 ms until nobody else can have it any more.
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

#include "actors/host/trouble_cell.hpp"
#include "actors/site/leadership.hpp"
#include "actors/site/state_cell.hpp"
#include "net/address_device.hpp"
#include "storage/event_journal.hpp"

namespace prunella::actors {

struct site_address_options {
  std::string host;
  std::shared_ptr<net::address_device> device;
  std::shared_ptr<state_cell> state;
  std::shared_ptr<leadership_cell> leader;
  std::function<void(storage::journal_event)> record;
  std::shared_ptr<trouble_cell> trouble; ///< is told why this host cannot hold it
  std::chrono::milliseconds refresh{200}; ///< shorter than a guard waits
  std::chrono::milliseconds look_again{5'000}; ///< whether a device is there by now
  std::uint32_t lifetime_s = 2;
  std::uint32_t lifetime_alone_s = 10; ///< where no other host may hold it
  /// After taking over, one per refresh: such a message may be lost, and the last ones come when also a host that hangs
  /// has lost the address, to neighbours that it told otherwise until then.
  std::uint32_t announcements = 13;
};

caf::actor spawn_site_address(caf::local_actor* parent, site_address_options options);

} // namespace prunella::actors
