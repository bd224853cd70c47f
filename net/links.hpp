#pragma once

// Links: how actors of one host talk to actors of another. One actor (a CAF broker) owns the listening port and every
// connection; code above sees ordinary actors.
//
//   auto links = make_links(system, options);            // no I/O yet; also make_memory_links (simulation)
//   caf::actor io = links->start();                      // a child of the agent's root supervisor: permanent
//   caf::actor log = links->remote("host-2", "consensus");
//   self->request(log, 500ms, append_entries{...}).then(...)   // or self->send(log, ...)
//
// What a proxy of `remote` does with
//  - a request: one answer or one error, never silence. `link_errc` says which; answers of older lives are never delivered.
//    Requests wait for a connection attempt for `patience`, then fail at once while the host is known to be down.
//  - a send: delivered at most once, in order; dropped (and counted) when it cannot be sent.
//  - monitors and links: a proxy is a name, it does not go down with the host. Subscribe to `link_up` and `link_down`.
// Order is kept among messages to one host, and among answers; not between the two.
// Proxies outlive a restart of the actor: what is sent meanwhile fails.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/message.hpp>

#include "config/fields.hpp"
#include "net/identity.hpp"
#include "net/link_errors.hpp"
#include "net/link_options.hpp"

namespace prunella::net {

struct link_peer_address {
  std::string host;
  std::string address; ///< `1.2.3.4:7001`, `[::1]:7001`, or a name, looked up anew for each dial: `till-1.shop.lan:7001`

  PRUNELLA_FIELDS(link_peer_address, host, address)
};

/// A local actor that other hosts may send to.
struct link_export {
  /// The actor, now; null while it is not running. Called in the I/O thread for each message: thread-safe, cheap.
  std::function<caf::actor()> resolve;
  /// Names (as announced to CAF) of the types that its messages may hold; everything else is refused before it is read.
  std::vector<std::string> types;
  /// Whether `peer`, the host id in its certificate, may say this: a message that names its sender must name that host. False
  /// closes the link. Empty: it may. Called in the I/O thread.
  std::function<bool(const std::string& peer, const caf::message& content)> may_say{};
};

struct link_options {
  std::string host;       ///< this host's id
  host_identity identity; ///< for that id
  std::string listen;     ///< numeric address; port 0: the kernel chooses (see `link_status::listen`)
  std::vector<link_peer_address> peers; ///< the other members; only they may connect
  std::map<std::string, link_export> exports;
  /// Names of the types that answers of other hosts may hold (an error always may); with any other, who
  /// asked gets `type_not_allowed`.
  std::vector<std::string> answer_types;
  /// Finds the numeric addresses of a name, or throws std::runtime_error with a sentence. May block: it is called in a thread of
  /// its own, at most once at a time for each peer. Empty: the system's resolver.
  std::function<std::vector<std::string>(const std::string& name)> look_up;
  link_limits limits;
  link_timeouts timeouts;
  std::uint64_t incarnation = 0; ///< of this process; 0: random
};

// Messages to the actor of `start`.

/// Replaces the member list. Links to hosts that are not in it any more end; a changed address counts from the next dial.
/// No answer; idempotent.
struct set_peers {
  std::vector<link_peer_address> peers;

  PRUNELLA_FIELDS(set_peers, peers)
};

/// `subscriber` gets `link_up` for each link that is up now and `link_problem` for each that has one, and both and
/// `link_down` from then on, until it ends. No answer.
struct subscribe_links {
  caf::actor subscriber;

  PRUNELLA_FIELDS(subscribe_links, subscriber)
};

struct link_up {
  std::string host;
  std::uint64_t incarnation = 0; ///< of its process

  PRUNELLA_FIELDS(link_up, host, incarnation)
};

struct link_down {
  std::string host;
  std::string reason;

  PRUNELLA_FIELDS(link_down, host, reason)
};

/// Answered with `link_status`, at once.
struct get_link_status {
  bool peers = true; ///< false: counters only

  PRUNELLA_FIELDS(get_link_status, peers)
};

struct link_peer_status {
  std::string host;
  std::string address;
  std::string state;             ///< up | connecting | down
  std::string reason;            ///< why it is down
  std::uint64_t incarnation = 0; ///< of the last life seen; 0: none
  std::uint64_t waiting_bytes = 0;
  std::uint64_t unanswered = 0;    ///< requests of ours
  std::uint64_t in_flight = 0;     ///< requests of theirs
  std::int64_t round_trip_us = 0;  ///< of the last keep-alive; 0: none yet

  PRUNELLA_FIELDS(link_peer_status, host, address, state, reason, incarnation, waiting_bytes, unanswered, in_flight,
                  round_trip_us)
};

/// Since the start of the process, over all links.
struct link_counters {
  std::uint64_t accepted = 0;         ///< TCP connections
  std::uint64_t dialed = 0;           ///< attempts
  std::uint64_t over_limit = 0;       ///< connections closed because there were too many
  std::uint64_t dials_failed = 0;     ///< attempts that ended before hello
  std::uint64_t handshake_failed = 0; ///< accepted connections that ended before hello
  std::uint64_t not_member = 0;
  std::uint64_t stale_life = 0;
  std::uint64_t duplicate = 0;
  std::uint64_t violations = 0; ///< connections closed because the peer broke the protocol
  std::uint64_t timeouts = 0;   ///< connections closed because the peer was silent, slow or did not read
  std::uint64_t links_up = 0;
  std::uint64_t links_down = 0;
  std::uint64_t messages_in = 0; ///< delivered to a local actor
  std::uint64_t messages_refused = 0; ///< unknown name, type not allowed, not running, no slot
  std::uint64_t answers_in = 0;
  std::uint64_t answers_late = 0; ///< nobody waited for them any more, or they were for an older life
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t sends_dropped = 0;   ///< sends (no request) that could not be sent
  std::uint64_t requests_failed = 0; ///< requests answered with an error of category `link` on this side

  PRUNELLA_FIELDS(link_counters, accepted, dialed, over_limit, dials_failed, handshake_failed, not_member, stale_life, duplicate,
                  violations, timeouts, links_up, links_down, messages_in, messages_refused, answers_in, answers_late,
                  bytes_in, bytes_out, sends_dropped, requests_failed)
};

struct link_status {
  std::string host;
  std::string listen; ///< with the port in use
  std::uint64_t incarnation = 0;
  std::uint64_t connections = 0; ///< open now, in any phase
  link_counters counters;
  std::vector<link_peer_status> peers; ///< ordered by host
  std::string last_refusal;            ///< of a connection: why it was closed

  PRUNELLA_FIELDS(link_status, host, listen, incarnation, connections, counters, peers, last_refusal)
};

/// A member that cannot be linked to, for a reason that waiting hardly cures: its name is not known, the certificate there is
/// another host's or of another site, it does not know this host, or speaks another version. Dialing goes on. Told once
/// for each reason, until the link is up.
struct link_problem {
  std::string host;
  std::string reason;

  PRUNELLA_FIELDS(link_problem, host, reason)
};

/// While it lives, what its thread sends through proxies waits, and leaves together when it ends: one wake-up of the links,
/// not one for each message. May nest; keep it short.
class send_burst {
public:
  send_burst();
  ~send_burst();
  send_burst(const send_burst&) = delete;
  send_burst& operator=(const send_burst&) = delete;
};

class links {
public:
  virtual ~links() = default;

  /// Spawns the actor. Again only after the last one ended (a supervisor's restart). It quits with an error of category
  /// `link` (host_unreachable) if it cannot listen; on exit it says goodbye to its peers first.
  virtual caf::actor start() = 0;

  /// A proxy for the actor `name` on `host`; neither needs to exist now. Any thread; costs about as much as an allocation.
  virtual caf::actor remote(const std::string& host, const std::string& name) = 0;

  virtual std::uint64_t incarnation() const = 0;
};

/// Throws `identity_error` if the identity cannot be used, `std::invalid_argument` if an option is out of bounds.
std::shared_ptr<links> make_links(caf::actor_system& system, link_options options);

} // namespace prunella::net
