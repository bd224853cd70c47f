#pragma once

// Starts and stops the site actor with leadership, and tells the process who leads. A child of the consensus group's
// supervisor, after the consensus actor (it subscribes there); permanent, nothing is lost with it.

#include <functional>
#include <map>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/site/leadership.hpp"
#include "actors/site/site_actor.hpp"
#include "runtime/consensus/raft.hpp"
#include "runtime/supervisor.hpp"

namespace prunella::actors {

/// Sent to the actors of `listeners` when the leader or this host's role changed.
struct leader_changed {
  leadership now;

  PRUNELLA_FIELDS(leader_changed, now)
};

struct leadership_actor_options {
  std::string host;
  bool is_controller = false;
  std::shared_ptr<leadership_cell> cell;
  std::function<caf::actor()> consensus;
  std::function<caf::actor()> supervisor; ///< of the site actor: it becomes child "site" there
  /// The host of a member of the consensus group; empty if there is none.
  std::function<std::string(storage::member_id)> host_of;
  /// Options of the site actor for a term; `former` is the leader before, empty if none was known.
  std::function<site_actor_options(std::uint64_t term, const std::string& former)> site_options;
  /// Told of changes.
  std::function<std::vector<caf::actor>()> listeners;
  /// Called when this host becomes leader; `former` as above.
  std::function<void(std::uint64_t term, const std::string& former)> on_elected;
  /// Called when another host leads, the same one in another term, or none any more.
  std::function<void(const leadership& now)> on_changed{};
};

caf::actor spawn_leadership(caf::local_actor* parent, leadership_actor_options options);

} // namespace prunella::actors
