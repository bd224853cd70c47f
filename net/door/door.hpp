#pragma once

// The front door of a host: answers on published ports and passes each connection on to a ready instance, on this host or
// on another one. One thread of its own serves all of them; every function here may be called by any thread.
//
// Instances of this host are reached where they listen (`door_backend::addresses`). Those of another host are reached through
// that host's door: a mutual TLS connection between the two (`tunnel`), so what a service listens on may be loopback or a
// network of its host alone, and nothing crosses the site in the clear.
//
// Memory is bounded by max_connections * (twice a buffer of 16 KiB … 64 KiB, and twice two TLS records and a frame for
// remote ones); what is stalled takes it, not what is idle.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "config/spec.hpp"
#include "net/door/balance.hpp"
#include "net/identity.hpp"

namespace prunella::net {

/// A port of a service and who may serve it now: published on this host, or reached from its instances by the service's
/// name.
struct door_service {
  std::string name; ///< for people
  std::uint16_t port = 0;
  config::port_protocol protocol = config::port_protocol::tcp;
  config::publish_scope scope = config::publish_scope::all;
  std::vector<door_backend> backends; ///< ready ones: they take new connections
  /// Where its instances listen: how doors name a port to each other. 0: as `port`.
  std::uint16_t target = 0;
  bool is_named = false; ///< by its name, not published: listened on at `address` only
  std::string address{}; ///< numeric, of `is_named`; empty: no instance of this host asks for names

  PRUNELLA_FIELDS(door_service, name, port, protocol, scope, backends, target, is_named, address)
};

/// Another host of the site.
struct door_peer {
  std::string tunnel;  ///< numeric ADDRESS:PORT where its door listens for this one; empty: not known
  bool is_lost = false; ///< the site gave it up: what is open to it is ended

  PRUNELLA_FIELDS(door_peer, tunnel, is_lost)
};

/// What a door is to do.
struct door_plan {
  std::vector<door_service> services;     ///< each published (port, protocol) once, each named (name, port, protocol) once
  std::map<std::string, door_peer> peers; ///< by host id; only these may ask this door for something

  PRUNELLA_FIELDS(door_plan, services, peers)
};

struct door_backend_status {
  std::string instance;
  std::uint64_t generation = 0;
  std::string host;
  bool is_ready = false;  ///< false: it only keeps what is open
  std::uint32_t open = 0; ///< connections or flows through this door

  PRUNELLA_FIELDS(door_backend_status, instance, generation, host, is_ready, open)
};

struct door_listener_status {
  std::string service;
  std::uint16_t port = 0;
  config::port_protocol protocol = config::port_protocol::tcp;
  std::vector<std::string> addresses; ///< where it listens: `[::]:80`; empty: it does not
  std::string problem;                ///< why not; empty: it does
  std::uint64_t accepted = 0;         ///< connections or flows since it began
  std::uint64_t unserved = 0;         ///< of them, those for which no instance could be reached
  std::vector<door_backend_status> backends;

  PRUNELLA_FIELDS(door_listener_status, service, port, protocol, addresses, problem, accepted, unserved, backends)
};

/// Told when a published port cannot be listened on, for each new reason, and when it can again (`problem` is empty).
struct door_listener_event {
  std::string service;
  std::uint16_t port = 0;
  config::port_protocol protocol = config::port_protocol::tcp;
  std::string problem;
};

struct door_options {
  std::string host; ///< id of this one
  /// Numeric, without port: where hosts reach this one. A host whose address is loopback is one of several on its machine
  /// (a test, a demo), so its door listens there only; any other listens on all addresses of the machine.
  std::string address;
  /// Numeric ADDRESS:PORT for the doors of other hosts; port 0 takes a free one.
  std::string tunnel;
  host_identity identity;
  balance_options balance;
  attempt_options attempt;
  std::size_t max_connections = 4'000;              ///< open at once, a port at most half of them; less where the process may open fewer files
  std::size_t fast_connections = 256;               ///< of clients and for other doors; when there are more, buffers are 16 KiB, not 64
  std::size_t max_flows = 4'000;                    ///< of datagrams; those of more clients are dropped
  std::size_t max_tunnels = 4'000;                  ///< that other doors have open to this one
  std::chrono::milliseconds idle_timeout{3'600'000}; ///< a connection on which nothing moves
  std::chrono::milliseconds half_closed_timeout{60'000}; ///< the same after one side ended
  std::chrono::milliseconds flow_timeout{60'000};   ///< a client that sent no datagram and got none
  std::chrono::milliseconds listen_retry{1'000};    ///< doubles up to 30 s while a port is taken
  std::function<void(const door_listener_event&)> on_listener; ///< in the door's thread; may be empty
};

class front_door {
public:
  virtual ~front_door() = default;

  /// Takes `plan` in place of the last one. Listeners that both name stay; connections stay too, unless their host is lost.
  virtual void apply(door_plan plan) = 0;

  /// The port where it listens for other doors.
  virtual std::uint16_t tunnel_port() const = 0;

  /// Calls `done` once with its published ports, in the door's thread, after every plan that was given before; never if the
  /// door ends first.
  virtual void status(std::function<void(std::vector<door_listener_status>)> done) const = 0;

  /// Calls `done` once in the door's thread, after every plan that was given before, when no connection (of this door's
  /// clients, or passed on by the doors of other hosts) leads to this instance of this host; never if the door ends first.
  /// Datagrams do not count.
  virtual void when_unused(const backend_key& instance, std::function<void()> done) = 0;
};

/// Starts the door's thread; its end closes everything. Throws std::runtime_error with a sentence if the tunnel's address
/// cannot be listened on, and `identity_error`.
std::unique_ptr<front_door> make_front_door(door_options options);

} // namespace prunella::net
