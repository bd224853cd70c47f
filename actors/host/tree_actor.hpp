#pragma once

// Answers questions about the agent's actors (`actors_request`, `kill_request`) from other hosts and the API. Restart
// type: permanent; holds nothing.

#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "runtime/actor_tree.hpp"

namespace prunella::actors {

caf::actor spawn_tree(caf::local_actor* parent, std::shared_ptr<runtime::actor_tree> tree);

} // namespace prunella::actors
