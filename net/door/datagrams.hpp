#pragma once

// Published UDP ports: each client has a flow to one instance until neither says anything for a while. Private to net/door.

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/ip/udp.hpp>
#include <netinet/in.h>

#include "net/door/core.hpp"
#include "net/door/tunnel.hpp"

namespace prunella::net {

using udp = asio::ip::udp;

/// Where a datagram came from, and to which address of this host: the answer has to leave from there.
struct datagram_client {
  udp::endpoint from;
  bool has_local = false;
  in6_pktinfo local{}; ///< IPv4 as a mapped address

  bool operator<(const datagram_client& x) const;
};

class datagram_flow;

/// The listening sockets of one published port, and its flows.
class datagram_port : public std::enable_shared_from_this<datagram_port> {
public:
  explicit datagram_port(published_port& port) : port_(port) {}
  ~datagram_port();

  /// Listens on one more address; an error code if it cannot.
  error_code listen(const asio::ip::address& address);
  void answer(std::size_t socket, const datagram_client& client, std::string_view payload);
  void forget(std::size_t socket, const datagram_client& client);
  void close();

private:
  using flow_key = std::pair<std::size_t, datagram_client>;

  void wait(std::size_t socket);
  void receive(std::size_t socket);
  void on_datagram(std::size_t socket, const datagram_client& client, std::string_view payload);

  published_port& port_; ///< owns this; what waits here holds that
  std::vector<std::unique_ptr<udp::socket>> sockets_;
  std::map<flow_key, std::shared_ptr<datagram_flow>> flows_;
};

/// Carries the datagrams of `carrier`, which another door opened for that, to `address` on this host and back. `on_end` is
/// called once.
void serve_datagrams(door_core& core, std::shared_ptr<tunnel> carrier, const std::string& address,
                     std::function<void(bool is_clean)> on_end);

} // namespace prunella::net
