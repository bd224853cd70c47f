#pragma once

// Tells the consensus actor of this host which links went down: when the leader's process dies, its peers' kernels know
// at once, and the next election need not wait for the whole timeout. And tells the journal of links that cannot be made
// for a reason that waiting hardly cures. A child beside the consensus actor; permanent.

#include <functional>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "storage/event_journal.hpp"

namespace prunella::actors {

struct link_watch_options {
  std::function<caf::actor()> links; ///< looked up anew after each end
  std::function<caf::actor()> consensus;
  std::function<void(storage::journal_event)> record;
};

caf::actor spawn_link_watch(caf::local_actor* parent, link_watch_options options);

} // namespace prunella::actors
