#pragma once

// The actor handles that links give out. Both live in the threads of their callers: they have no mailbox and no thread,
// they turn a message into bytes where it is sent. Private to net/.

#include <cstdint>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/actor_system.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/message.hpp>

#include "net/link_channel.hpp"

namespace prunella::net {

/// A proxy for actor `name` of the channel's host.
caf::actor make_remote_proxy(caf::actor_system& system, std::shared_ptr<link_channel> channel, std::string name);

/// The sender of requests that came in on connection `link`: takes the answers of local actors and queues them.
caf::strong_actor_ptr make_answer_sink(caf::actor_system& system, std::shared_ptr<link_channel> channel,
                                       std::uint64_t link);

/// A message for a local actor that gives its `bytes` back to the window when the actor is done with it.
caf::mailbox_element_ptr make_counted_message(caf::strong_actor_ptr sender, caf::message_id mid, caf::message content,
                                              std::shared_ptr<link_consumption> consumption, std::uint32_t bytes);

} // namespace prunella::net
