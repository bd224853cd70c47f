#pragma once

// A message frame from a peer becomes a message of a local actor, or a refusal. Private to net/.

#include <map>
#include <set>
#include <string>
#include <string_view>

#include <caf/fwd.hpp>

#include "net/link_channel.hpp"
#include "net/links.hpp"

namespace prunella::net {

/// One export, ready for lookups by view.
struct link_entrance {
  std::function<caf::actor()> resolve;
  std::set<std::string, std::less<>> types;
  std::function<bool(const std::string&, const caf::message&)> may_say;
};

/// What comes of one frame.
struct delivery {
  caf::error refused;     ///< for the one who asked; none: delivered
  bool violation = false; ///< the peer broke the protocol: close
};

class link_inbound {
public:
  link_inbound(caf::actor_system& system, const link_options& options);

  /// Hands a send or request of host `peer` to its local actor, with `sink` as its sender. `consumption` gets the frame's bytes back when it
  /// is consumed or refused.
  delivery deliver(const std::string& peer, const frame& in, const caf::strong_actor_ptr& sink,
                   const std::shared_ptr<link_consumption>& consumption) const;

  /// Hands a response or failure to who asked. False: a violation.
  bool answer(const frame& in, const link_asker& asker) const;

private:
  delivery resolve_and_read(const std::string& peer, const frame& in, caf::actor& target, caf::message& content) const;

  caf::actor_system& system_;
  std::map<std::string, link_entrance, std::less<>> entrances_;
  std::set<std::string, std::less<>> answer_types_;
};

} // namespace prunella::net
