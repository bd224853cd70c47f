#pragma once

// The broker behind `make_links`, and what it shares with the proxies. Private to net/.

#include <memory>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "net/link_channels.hpp"
#include "net/links.hpp"
#include "net/tls_session.hpp"

namespace prunella::net {

/// Outlives restarts of the broker.
struct link_hub : link_channels {
  link_hub(caf::actor_system& owner, link_options given);

  const tls_context tls;
};

caf::actor spawn_link_broker(std::shared_ptr<link_hub> hub);

} // namespace prunella::net
