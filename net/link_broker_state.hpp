#pragma once

// What the source files of the broker share. Private to them.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/behavior.hpp>
#include <caf/error.hpp>
#include <caf/io/broker.hpp>
#include <caf/stateful_actor.hpp>

#include "net/link_broker.hpp"
#include "net/link_connection.hpp"
#include "net/link_inbound.hpp"
#include "net/link_lookup.hpp"
#include "net/link_peer.hpp"

namespace prunella::net {

/// State of the one broker. Its functions are in three files: `link_broker.cpp` (life: start, tick, stop, status),
/// `link_broker_sockets.cpp` (a socket from accept or dial until it is dropped) and `link_broker_peers.cpp` (whom a
/// connection belongs to, and what its link carries).
struct link_broker_state {
  using time_point = std::chrono::steady_clock::time_point;
  using connection_handle = caf::io::connection_handle;

  struct peer_entry;

  /// A socket with its connection value.
  struct socket_entry {
    socket_entry(link_connection value, peer_entry* of) : connection(std::move(value)), peer(of) {}

    link_connection connection;
    connection_handle handle;
    int fd = -1;
    peer_entry* peer = nullptr; ///< known for a dial, and for an accepted one after its TLS handshake
    bool was_open = false;
    std::optional<time_point> abort_at; ///< ended; waits for the goodbye to leave
    std::uint64_t backlog = 0;          ///< ciphertext that CAF holds
    std::size_t read_bytes = 0;         ///< of a link: what the next read takes at most
    time_point last_progress{};         ///< of the backlog
    std::shared_ptr<link_consumption> consumption;
    caf::strong_actor_ptr sink;
  };

  struct peer_entry {
    peer_entry(link_peer value, std::string where, std::shared_ptr<link_channel> shared)
        : peer(std::move(value)), address(std::move(where)), channel(std::move(shared)) {}

    link_peer peer;
    std::string address;
    std::shared_ptr<link_channel> channel;
    socket_entry* link = nullptr;    ///< the connection that is kept
    socket_entry* dialing = nullptr; ///< our attempt
    std::optional<link_lookup> lookup; ///< of its name; at most one, also when nobody waits for it any more
    std::string problem;               ///< the last `link_problem`; empty: none since the link was up
  };

  explicit link_broker_state(caf::stateful_actor<link_broker_state, caf::io::broker>* owner) : self(owner) {}
  ~link_broker_state();

  static inline const char* name = "links";

  caf::behavior start(std::shared_ptr<link_hub> shared);

  // Messages.
  void on_accepted(connection_handle handle);
  void on_data(const caf::io::new_data_msg& data);
  void on_written(const caf::io::data_transferred_msg& written);
  void on_closed(connection_handle handle);
  void on_wake();
  void on_tick();
  void on_set_peers(const std::vector<link_peer_address>& members);
  void on_subscribe(const caf::actor& subscriber);
  void on_exit_request(const caf::error& reason);
  link_status status(bool with_peers) const;

private:
  time_point now() const { return self->clock().now(); }
  std::uint64_t random() { return random_(); }
  template <class Event>
  void publish(const Event& event) {
    for (const auto& subscriber : subscribers)
      self->send(subscriber, event);
  }

  // Life.
  bool listen(std::string& problem);
  bool is_quiet() const;
  void hurry();
  void finish();

  // Sockets.
  void dial(peer_entry& peer);
  void on_looked_up(peer_entry& peer);
  void connect(peer_entry& peer, const socket_address& address);
  socket_entry& add_socket(link_connection connection, connection_handle handle, int fd, peer_entry* peer);
  void pump(socket_entry& socket);
  void on_ended(socket_entry& socket);
  void count_end(const socket_entry& socket);
  void grant(socket_entry& socket);
  void choose_read_size(socket_entry& socket, std::size_t got);
  void take_output(socket_entry& socket, byte_buffer& buffer);
  void flush(socket_entry& socket);
  void finish_goodbye(socket_entry& socket);
  void drop(socket_entry& socket);

  // Peers.
  void on_peer_known(socket_entry& socket);
  void on_hello(socket_entry& socket);
  void on_up(socket_entry& socket);
  void on_message(socket_entry& socket, const frame& in);
  void link_ended(peer_entry& peer, const std::string& reason, bool restarted);
  void dial_ended(peer_entry& peer, const link_connection& connection);
  void dial_ended(peer_entry& peer, const std::string& reason, bool duplicate);
  void report_problem(peer_entry& peer, const std::string& reason);
  hello_frame own_hello(std::uint64_t link, std::uint64_t lost_link) const;

  caf::stateful_actor<link_broker_state, caf::io::broker>* self;
  std::shared_ptr<link_hub> hub;
  std::optional<link_inbound> inbound;
  caf::io::accept_handle doorman;
  caf::actor ticker;
  std::string listening;
  std::unordered_map<connection_handle, std::unique_ptr<socket_entry>> sockets;
  std::map<std::string, std::unique_ptr<peer_entry>> peers;
  std::vector<caf::actor> subscribers;
  link_counters counters;
  std::string last_refusal;
  byte_buffer frames; ///< plaintext on its way to TLS; kept to save allocations
  std::size_t handshakes = 0;
  bool stopping = false;
  time_point finish_at{};
  caf::error exit_reason;
  std::mt19937_64 random_{std::random_device{}()};
};

} // namespace prunella::net
