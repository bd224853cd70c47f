#pragma once

// All channels of a host, and what they share. Outlives restarts of the actor that serves them. Private to net/.

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include <caf/fwd.hpp>

#include "net/link_channel.hpp"
#include "net/links.hpp"

namespace prunella::net {

struct link_channels {
  link_channels(caf::actor_system& owner, link_options given);

  /// The channel of `host`, made on first use. Thread-safe.
  std::shared_ptr<link_channel> channel(const std::string& host);

  /// An actor is about to serve the channels: from here on messages to members wait for a connection.
  void start();
  /// The last member list; a restarted actor goes on with it.
  std::vector<link_peer_address> members() const;
  void set_members(std::vector<link_peer_address> members);

  /// No actor serves the channels any more: everything that waits fails, and everything new does at once.
  void stop();

  caf::actor_system& system;
  const link_options options;
  const std::shared_ptr<link_wakeup> wakeup = std::make_shared<link_wakeup>();
  const std::shared_ptr<link_shared_counters> shared_counters = std::make_shared<link_shared_counters>();

private:
  mutable std::mutex mutex_;
  std::vector<link_peer_address> members_;
  std::map<std::string, std::shared_ptr<link_channel>> channels_;
};

/// Throws `std::invalid_argument` if an option is out of bounds.
void require_valid(const link_options& options);

} // namespace prunella::net
