#pragma once

// The broker behind `make_links`, and what it shares with the proxies. Private to net/.

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "caf/actor.hpp"
#include "caf/fwd.hpp"

#include "net/link_channel.hpp"
#include "net/links.hpp"
#include "net/tls_session.hpp"

namespace prunella::net {

/// Outlives restarts of the broker.
struct link_hub {
  link_hub(caf::actor_system& owner, link_options given);

  /// The channel of `host`, made on first use. Thread-safe.
  std::shared_ptr<link_channel> channel(const std::string& host);

  caf::actor_system& system;
  const link_options options;
  const tls_context tls;
  const std::shared_ptr<link_wakeup> wakeup = std::make_shared<link_wakeup>();
  const std::shared_ptr<link_shared_counters> shared_counters = std::make_shared<link_shared_counters>();

private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<link_channel>> channels_;
};

caf::actor spawn_link_broker(std::shared_ptr<link_hub> hub);

} // namespace prunella::net
