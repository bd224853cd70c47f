#pragma once

// The way of datagrams to one instance and back. Private to net/door.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "net/door/tunnel.hpp"

namespace prunella::net {

/// Datagrams may be lost on it at any time, as on any network.
class datagram_link {
public:
  struct events {
    std::function<void(std::string_view)> on_datagram;
    std::function<void()> on_lost; ///< nobody is there any more; called once, then nothing else
  };

  virtual ~datagram_link() = default;
  virtual void send(std::string_view payload) = 0;
  /// No event comes afterwards.
  virtual void close() = 0;
};

/// To `address` (numeric) on this host; null if there can be no socket.
std::shared_ptr<datagram_link> link_local(door_core& core, const std::string& address, datagram_link::events events);

/// Through a tunnel that was opened for them.
std::shared_ptr<datagram_link> link_tunnel(std::shared_ptr<tunnel> carrier, datagram_link::events events);

} // namespace prunella::net
