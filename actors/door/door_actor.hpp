#pragma once

// Tells the door of this host (`net/door/door.hpp`) what to do: from the replicated state, from what its own instances
// report, and from what the leader says of the others. Without a leader the last it said goes on to hold.
// Where instances may be on a bridge it also has the names of services answered there, as soon as the site has such names, and
// removes the bridge when the site has none any more.
//
// Spawned by the agent's root supervisor; restart type permanent. A crash loses nothing: the door itself goes on, and the
// successor asks for everything again.
//
// Messages:
//   own_report, own_instance_gone   of the host actor, no answer
//   door_status_request → door_status_answer   when the door's thread said it
//   drain_instance   of a container that is told to stop → unit when no connection to its instance is open
//   state_applied, leader_changed   no answer

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/instance/container_actor.hpp"
#include "actors/instance/network/host_bridge.hpp"
#include "actors/messages.hpp"
#include "actors/site/leadership.hpp"
#include "actors/site/state_cell.hpp"
#include "net/door/door.hpp"
#include "net/names/name_server.hpp"

namespace prunella::actors {

/// What the host actor says of an instance here, at each change.
struct own_report {
  instance_report report;

  PRUNELLA_FIELDS(own_report, report)
};
struct own_instance_gone {
  std::string instance;

  PRUNELLA_FIELDS(own_instance_gone, instance)
};

/// The door of a host and what belongs to it.
struct host_door_parts {
  std::shared_ptr<net::front_door> door;  ///< null: this host has none
  std::string tunnel;                     ///< numeric ADDRESS:PORT for the doors of other hosts
  std::vector<std::string> own_addresses; ///< `door_knowledge::own_addresses`
  std::shared_ptr<host_bridge> bridge{};  ///< null: no instance of this host can ask for names
  /// Answers names on the bridge; throws std::runtime_error with a sentence.
  std::function<std::unique_ptr<net::name_server>()> make_names{};
};

struct door_actor_options {
  std::string host;
  host_door_parts parts;
  std::shared_ptr<state_cell> state;
  std::shared_ptr<leadership_cell> leader;
  std::function<caf::actor(const std::string& host, const std::string& name)> actor_on;
  std::chrono::milliseconds retry_after{100};
  std::chrono::milliseconds retry_names_after{5'000};
  std::function<void(const std::string& problem)> on_names; ///< why names are not answered here; empty: they are again
};

caf::actor spawn_door(caf::local_actor* parent, door_actor_options options);

} // namespace prunella::actors
