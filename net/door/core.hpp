#pragma once

// What the parts of a door share; all of it belongs to the door's thread but where noted. Private to net/door.

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/door/door.hpp"
#include "net/door/frame.hpp"
#include "net/door/watched_socket.hpp"
#include "net/tls_session.hpp"

namespace prunella::net {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using error_code = boost::system::error_code;
/// Name of the service, or nothing for a published port.
using port_id = std::tuple<std::string, std::uint16_t, config::port_protocol>;

class datagram_port;
class tunnel;
struct door_core;

/// Something open that ends by itself, when nothing moved for too long, or with the door.
class door_life {
public:
  virtual ~door_life() = default;
  /// Ends it if it is idle for longer than it may be.
  virtual void sweep(door_time now) = 0;
  /// Ends it now. It is not called again.
  virtual void abort() = 0;
  /// The other host that it leads to; empty: none.
  virtual std::string remote_host() const { return {}; }
};

/// A port of the plan: its listeners and its backends. Connections hold it, so it outlives its place in the plan.
struct published_port : std::enable_shared_from_this<published_port> {
  published_port(door_core& c, door_service s);

  port_id id() const { return id_of(service); }
  static port_id id_of(const door_service& x) { return {x.is_named ? x.name : std::string{}, x.port, x.protocol}; }
  std::uint16_t target() const { return service.target == 0 ? service.port : service.target; }
  bool is_listening() const { return !addresses.empty(); }

  door_core& core;
  door_service service;
  balancer backends;
  std::uint64_t accepted = 0;
  std::uint64_t unserved = 0;
  std::size_t open = 0; ///< connections of clients
  std::string problem; ///< why it does not listen
  std::vector<std::string> addresses;
  std::vector<std::shared_ptr<tcp::acceptor>> acceptors;
  std::shared_ptr<datagram_port> datagrams;
  asio::steady_timer retry;
  std::chrono::milliseconds retry_after{0};
  std::map<std::uint64_t, std::function<void()>> waiting; ///< connections without a backend: called when those change
  bool is_closed = false; ///< no longer in the plan
};

/// Everything the door's thread works on.
struct door_core {
  explicit door_core(door_options o) : options(std::move(o)), tls(options.identity) {}

  // core.cpp
  void start();
  void stop();
  void apply(door_plan next);
  void sweep();
  void tell_sockets();
  std::vector<door_listener_status> status() const;
  void end_connection(published_port& port);
  bool has_room(const published_port& port) const { return may_take_one_more(port.open, connections, options.max_connections); }
  void close(published_port& port);
  void end_lost_tunnels();
  void add(const std::shared_ptr<door_life>& life) { lives.insert(life); }
  void remove(const std::shared_ptr<door_life>& life);
  /// The local backend of `request`; null: it is not (or no longer) ready on this host.
  const door_backend* find_local(const door_request& request) const;

  /// Counts as a connection to an instance of this host for as long as it is held.
  std::shared_ptr<void> use_local(const backend_key& key);
  /// Calls `done` once when no connection to it is open.
  void when_unused(const backend_key& key, std::function<void()> done);

  // listen.cpp
  void listen(published_port& port);
  void stop_listening(published_port& port);
  void accept(const std::shared_ptr<published_port>& port, const std::shared_ptr<tcp::acceptor>& acceptor);
  void resume_accepting();
  /// Whether another port of this door listens on the same number: then an address of its own is only ours to share.
  bool shares_number(const published_port& port) const;

  std::size_t buffer_size() const { return connections + tunnels_in < options.fast_connections ? buffer.size() : 16 * 1024; }
  static door_time now() { return std::chrono::steady_clock::now(); }

  door_options options;
  tls_context tls;
  std::map<port_id, std::shared_ptr<published_port>> ports;
  /// Ready instances of this host, by (protocol, where they listen, instance).
  std::map<std::tuple<config::port_protocol, std::uint16_t, std::string>, door_backend> locals;
  struct local_use {
    std::size_t connections = 0;
    std::vector<std::function<void()>> waiting; ///< until there are none
  };
  std::map<backend_key, local_use> local_uses; ///< of instances with open connections
  std::map<std::string, door_peer> peers;
  std::map<std::string, std::vector<std::shared_ptr<tunnel>>> idle_tunnels; ///< by host; the one used last at the end
  std::set<std::shared_ptr<door_life>> lives;
  std::size_t connections = 0; ///< of clients
  std::size_t flows = 0;
  std::size_t held_datagram_bytes = 0;
  std::size_t tunnels_in = 0;
  /// Clients wait in the kernel for these: as many as may be are open, of all or of the port.
  std::vector<std::pair<std::shared_ptr<published_port>, std::shared_ptr<tcp::acceptor>>> paused_acceptors;
  bool are_tunnels_paused = false; ///< until the next sweep
  std::uint64_t next_waiting = 0;
  std::array<char, 64 * 1024> buffer; ///< of whoever reads at the moment
  std::shared_ptr<socket_watch> watch = std::make_shared<socket_watch>(); ///< of connections that are passed on
  std::uint16_t tunnel_port = 0;
  std::thread thread;
  // Last, so destroyed first: pending operations hold what looks at the members above.
  asio::io_context io{1};
  tcp::acceptor tunnel_acceptor{io};
  asio::steady_timer sweep_timer{io};
  asio::posix::stream_descriptor watch_ready{io};
};

/// Where a port is to be listened on.
std::vector<asio::ip::address> listen_addresses(const door_options& options, const door_service& service);

/// SO_REUSEPORT: a published port is listened on at all addresses, and a service may have the same number at its own; the
/// kernel chooses the more exact one.
using shared_number = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;

/// That option would also hide that somebody else listens there: tells it, unless this door has the number already.
template <class Endpoint>
error_code taken_by_others(const published_port& port, const Endpoint& endpoint) {
  error_code error;
  if (port.core.shares_number(port))
    return error;
  typename Endpoint::protocol_type::socket probe(port.core.io);
  probe.open(endpoint.protocol(), error);
  constexpr bool is_stream = std::is_same_v<Endpoint, tcp::endpoint>;
  if (!error && is_stream) // connections of its last life may linger
    probe.set_option(asio::socket_base::reuse_address(true), error);
  if (!error && endpoint.address().is_v6())
    probe.set_option(asio::ip::v6_only(!endpoint.address().is_unspecified()), error);
  if (!error)
    probe.bind(endpoint, error);
  return error;
}

/// Nothing waits in the kernel for who gets an abort.
void reset_socket(tcp::socket& socket);

// session.cpp

/// Passes a client's connection on.
void start_session(tcp::socket client, const std::shared_ptr<published_port>& port);

// tunnel_server.cpp

/// Takes what other doors want passed on to instances of this host.
void accept_tunnels(door_core& core);

} // namespace prunella::net
