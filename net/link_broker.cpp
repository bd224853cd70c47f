#include "net/link_broker.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <random>
#include <unordered_map>
#include <utility>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/io/broker.hpp>
#include <caf/io/middleman.hpp>
#include <caf/stateful_actor.hpp>

#include "net/link_connection.hpp"
#include "net/link_inbound.hpp"
#include "net/link_peer.hpp"
#include "net/link_proxy.hpp"
#include "net/link_socket.hpp"

namespace prunella::net {

namespace {

using time_point = std::chrono::steady_clock::time_point;
using caf::io::connection_handle;

/// What one read takes. Before hello a stranger gets little.
constexpr std::size_t stranger_read_bytes = 4 * 1024;
constexpr std::size_t member_read_bytes = 64 * 1024;

/// Not a timer of the broker's own: one that fires for a broker that is gone keeps all of its memory for ever (CAF
/// 0.17.6, seen with LeakSanitizer), and a kill always leaves one.
void spawn_ticker(caf::actor_system& system, std::shared_ptr<link_wakeup> wakeup, std::uint64_t attached,
                  std::chrono::milliseconds period) {
  system.spawn<caf::hidden>([=](caf::event_based_actor* self) {
    self->delayed_send(self, period, link_tick{});
    return caf::behavior{[=](link_tick) {
      if (wakeup->tick(attached))
        self->delayed_send(self, period, link_tick{});
      else
        self->quit();
    }};
  });
}

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
  std::string failure;             ///< of the last attempt
};

struct link_broker_state {
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
  bool listen(std::string& problem);
  void dial(peer_entry& peer);
  void finish();
  socket_entry& add_socket(link_connection connection, connection_handle handle, int fd, peer_entry* peer);
  void pump(socket_entry& socket);
  void on_peer_known(socket_entry& socket);
  void on_hello(socket_entry& socket);
  void on_message(socket_entry& socket, const frame& in);
  void on_up(socket_entry& socket);
  void on_ended(socket_entry& socket);
  void link_ended(peer_entry& peer, const std::string& reason, bool restarted);
  void dial_ended(peer_entry& peer, const std::string& reason, bool duplicate);
  void grant(socket_entry& socket);
  void flush(socket_entry& socket);
  void finish_goodbye(socket_entry& socket);
  void drop(socket_entry& socket);
  void count_end(const socket_entry& socket);
  hello_frame own_hello(std::uint64_t link, std::uint64_t lost_link) const;
  std::uint64_t random() { return random_(); }
  template <class Event>
  void publish(const Event& event) {
    for (const auto& subscriber : subscribers)
      self->send(subscriber, event);
  }

  caf::stateful_actor<link_broker_state, caf::io::broker>* self;
  std::shared_ptr<link_hub> hub;
  std::optional<link_inbound> inbound;
  caf::io::accept_handle doorman;
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

link_broker_state::~link_broker_state() {
  if (!hub)
    return;
  hub->stop();
  for (auto& [handle, socket] : sockets) // only after a kill
    abort_socket(socket->fd);
}

bool link_broker_state::listen(std::string& problem) {
  socket_address address;
  if (!parse_socket_address(hub->options.listen, address, problem))
    return false;
  const int fd = listen_on(address, problem);
  if (fd < 0)
    return false;
  listening = bound_address(fd);
  doorman = self->add_doorman(fd);
  return true;
}

hello_frame link_broker_state::own_hello(std::uint64_t link, std::uint64_t lost_link) const {
  hello_frame hello;
  hello.incarnation = hub->options.incarnation;
  hello.link = link;
  hello.lost_link = lost_link;
  hello.host = hub->options.host;
  return hello;
}

socket_entry& link_broker_state::add_socket(link_connection connection, connection_handle handle, int fd,
                                            peer_entry* peer) {
  set_no_delay(fd);
  auto owned = std::make_unique<socket_entry>(std::move(connection), peer);
  auto& socket = *owned;
  socket.handle = handle;
  socket.fd = fd;
  socket.last_progress = now();
  sockets.emplace(handle, std::move(owned));
  ++handshakes;
  self->configure_read(handle, caf::io::receive_policy::at_most(stranger_read_bytes));
  self->ack_writes(handle, true);
  return socket;
}

void link_broker_state::on_accepted(connection_handle handle) {
  ++counters.accepted;
  const int fd = static_cast<int>(handle.id()); // the default multiplexer names connections by their socket
  if (stopping || sockets.size() >= hub->options.limits.max_connections ||
      handshakes >= hub->options.limits.max_handshakes) {
    ++counters.over_limit;
    abort_socket(fd);
    self->close(handle);
    return;
  }
  add_socket(link_connection(hub->tls, tls_role::server, hub->options.limits, hub->options.timeouts, own_hello(0, 0),
                             {}, now()),
             handle, fd, nullptr);
}

void link_broker_state::dial(peer_entry& entry) {
  entry.peer.on_dial_started(now());
  ++counters.dialed;
  socket_address address;
  std::string problem;
  int fd = -1;
  if (parse_socket_address(entry.address, address, problem))
    fd = start_connect(address, problem);
  if (fd < 0) {
    ++counters.dials_failed;
    dial_ended(entry, problem, false);
    return;
  }
  // The connect may still be under way: the first write waits for it, the handshake deadline bounds it, nothing blocks.
  auto& socket =
      add_socket(link_connection(hub->tls, tls_role::client, hub->options.limits, hub->options.timeouts,
                                 own_hello(random() | 1, entry.peer.lost_link()), entry.channel->host(), now()),
                 self->add_scribe(fd), fd, &entry);
  entry.dialing = &socket;
  flush(socket);
}

void link_broker_state::on_data(const caf::io::new_data_msg& data) {
  const auto it = sockets.find(data.handle);
  if (it == sockets.end())
    return;
  auto& socket = *it->second;
  if (socket.abort_at)
    return;
  counters.bytes_in += data.buf.size();
  socket.connection.receive({data.buf.data(), data.buf.size()}, now());
  pump(socket);
}

void link_broker_state::pump(socket_entry& socket) {
  frame in;
  const auto time = now();
  for (;;) {
    switch (socket.connection.next(in, time)) {
    case link_input::nothing:
      flush(socket);
      return;
    case link_input::peer:
      on_peer_known(socket);
      break;
    case link_input::hello:
      on_hello(socket);
      break;
    case link_input::message:
      on_message(socket, in);
      break;
    case link_input::ended:
      on_ended(socket);
      return;
    }
  }
}

void link_broker_state::on_peer_known(socket_entry& socket) {
  if (socket.connection.is_dialer()) {
    socket.peer->peer.on_dial_authenticated();
    return;
  }
  const auto it = peers.find(socket.connection.peer_host());
  if (it == peers.end()) {
    socket.connection.end(goodbye_reason::not_member,
                          "host '" + socket.connection.peer_host() + "' has a valid certificate but is no member");
    return;
  }
  socket.peer = it->second.get();
}

void link_broker_state::on_hello(socket_entry& socket) {
  auto& connection = socket.connection;
  auto& entry = *socket.peer;
  switch (entry.peer.on_hello(connection.peer_hello(), connection.is_dialer())) {
  case hello_verdict::stale:
    connection.end(goodbye_reason::stale_life, "a life of host '" + entry.channel->host() + "' that is over came back");
    return;
  case hello_verdict::duplicate:
    connection.end(goodbye_reason::duplicate, "another connection to host '" + entry.channel->host() + "' is kept");
    return;
  case hello_verdict::accept:
    break;
  }
  if (entry.link != nullptr && entry.link != &socket) {
    auto& old = *entry.link;
    const bool restarted = old.connection.peer_hello().incarnation != connection.peer_hello().incarnation;
    link_ended(entry, restarted ? "its process was restarted" : "a newer connection took over", restarted);
    old.connection.end(goodbye_reason::replaced, "a newer connection took over");
    pump(old);
  }
  if (!connection.is_dialer())
    connection.accept(entry.peer.lost_link(), now());
  on_up(socket);
}

void link_broker_state::on_up(socket_entry& socket) {
  auto& entry = *socket.peer;
  const auto& hello = socket.connection.peer_hello();
  if (entry.dialing != nullptr && entry.dialing != &socket) {
    auto& dialing = *std::exchange(entry.dialing, nullptr);
    dialing.peer = nullptr;
    dialing.connection.end(goodbye_reason::duplicate, "the peer's connection came first");
    pump(dialing);
  }
  entry.dialing = nullptr;
  entry.link = &socket;
  entry.failure.clear();
  socket.was_open = true;
  --handshakes;
  entry.peer.on_up(hello, socket.connection.is_dialer(), now());
  entry.channel->up(hello.link, hello.incarnation, hello.max_frame);
  socket.consumption = std::make_shared<link_consumption>(hub->wakeup, hub->options.limits.window_bytes / 4);
  socket.sink = make_answer_sink(hub->system, entry.channel, hello.link);
  self->configure_read(socket.handle, caf::io::receive_policy::at_most(member_read_bytes));
  ++counters.links_up;
  publish(link_up{entry.channel->host(), hello.incarnation});
}

void link_broker_state::on_message(socket_entry& socket, const frame& in) {
  auto& channel = *socket.peer->channel;
  if (in.kind == frame_kind::response || in.kind == frame_kind::failure) {
    const auto asker = channel.complete(in.id);
    if (!asker)
      return;
    ++counters.answers_in;
    socket.connection.credit().free_slot();
    if (!inbound->answer(in, asker))
      socket.connection.end(goodbye_reason::violation, "an answer that cannot be read", true);
    return;
  }
  const bool request = in.kind == frame_kind::request;
  if (request) {
    const auto slot = channel.begin_request(in.id, now(), hub->options.limits.request_slots);
    if (slot == link_channel::slot::duplicate || (in.id & ~caf::message_id::request_id_mask) != 0) {
      socket.connection.end(goodbye_reason::violation, "a request id twice or out of range", true);
      return;
    }
    if (slot == link_channel::slot::none_free) {
      ++counters.messages_refused;
      socket.consumption->add(in.wire_bytes);
      channel.refuse(socket.connection.own_hello().link, in.id,
                     caf::make_error(link_errc::queue_full, "too many requests of this host are unanswered there"));
      return;
    }
  }
  const auto result = inbound->deliver(in, socket.sink, socket.consumption);
  if (!result.refused) {
    ++counters.messages_in;
    return;
  }
  ++counters.messages_refused;
  if (result.violation)
    socket.connection.end(goodbye_reason::violation, describe(result.refused), true);
  else if (request)
    channel.refuse(socket.connection.own_hello().link, in.id, result.refused);
}

void link_broker_state::grant(socket_entry& socket) {
  if (socket.consumption)
    socket.connection.consumed(socket.consumption->take());
}

void link_broker_state::flush(socket_entry& socket) {
  if (socket.fd < 0)
    return;
  const auto watermark = hub->options.limits.write_watermark;
  auto& buffer = self->wr_buf(socket.handle);
  const auto before = buffer.size();
  socket.connection.take_output(buffer);
  while (socket.connection.is_open() && socket.peer->channel->has_waiting() &&
         socket.backlog + buffer.size() - before < watermark) {
    frames.clear();
    socket.peer->channel->take(frames, watermark, socket.connection.credit());
    if (frames.empty())
      break;
    socket.connection.write({frames.data(), frames.size()});
    socket.connection.take_output(buffer);
  }
  if (frames.capacity() > 4 * watermark)
    byte_buffer().swap(frames);
  const auto added = buffer.size() - before;
  if (added == 0)
    return;
  if (socket.backlog == 0)
    socket.last_progress = now();
  socket.backlog += added;
  counters.bytes_out += added;
  self->flush(socket.handle);
}

void link_broker_state::on_written(const caf::io::data_transferred_msg& written) {
  const auto it = sockets.find(written.handle);
  if (it == sockets.end())
    return;
  auto& socket = *it->second;
  socket.backlog = written.remaining;
  socket.last_progress = now();
  if (!socket.abort_at)
    flush(socket);
  else if (socket.backlog == 0)
    finish_goodbye(socket);
}

void link_broker_state::on_closed(connection_handle handle) {
  const auto it = sockets.find(handle);
  if (it == sockets.end())
    return;
  auto& socket = *it->second;
  socket.fd = -1; // CAF's to close, and soon another one's
  if (!socket.abort_at) {
    socket.connection.lost(socket.was_open ? "the connection was closed"
                                           : "the connection was refused or closed before hello");
    frame ignored;
    if (socket.connection.next(ignored, now()) == link_input::ended)
      on_ended(socket);
  }
  sockets.erase(handle); // on_ended may have erased it: not by iterator
}

void link_broker_state::count_end(const socket_entry& socket) {
  const auto& connection = socket.connection;
  if (!socket.was_open)
    ++(connection.is_dialer() ? counters.dials_failed : counters.handshake_failed);
  counters.violations += connection.violated() ? 1 : 0;
  if (connection.peer_said_goodbye())
    return;
  switch (connection.end_reason()) {
  case goodbye_reason::not_member:
    ++counters.not_member;
    break;
  case goodbye_reason::stale_life:
    ++counters.stale_life;
    break;
  case goodbye_reason::duplicate:
    ++counters.duplicate;
    break;
  case goodbye_reason::timeout:
    counters.timeouts += connection.end_text().rfind("the connection", 0) == 0 ? 0 : 1;
    break;
  default:
    break;
  }
}

/// The connection said its last word. Its socket stays until that left, at most for `goodbye`.
void link_broker_state::on_ended(socket_entry& socket) {
  const auto& connection = socket.connection;
  count_end(socket);
  if (!socket.was_open)
    --handshakes;
  if (!connection.is_dialer())
    last_refusal = connection.end_text();
  socket.abort_at = now() + hub->options.timeouts.goodbye;
  if (auto* entry = std::exchange(socket.peer, nullptr)) {
    if (entry->link == &socket)
      link_ended(*entry, connection.end_text(), false);
    else if (entry->dialing == &socket)
      dial_ended(*entry, connection.end_text(), connection.end_reason() == goodbye_reason::duplicate);
  }
  flush(socket);
  if (socket.backlog == 0)
    finish_goodbye(socket);
}

void link_broker_state::link_ended(peer_entry& entry, const std::string& reason, bool restarted) {
  if (entry.link == nullptr)
    return;
  entry.link->peer = nullptr;
  entry.link->sink = nullptr;
  entry.link = nullptr;
  entry.failure = reason;
  entry.peer.on_down(now(), static_cast<std::uint32_t>(random()));
  entry.channel->down(restarted ? link_errc::peer_restarted : link_errc::link_lost, reason, now());
  ++counters.links_down;
  publish(link_down{entry.channel->host(), reason});
}

void link_broker_state::dial_ended(peer_entry& entry, const std::string& reason, bool duplicate) {
  entry.dialing = nullptr;
  entry.peer.on_dial_failed(now(), duplicate, static_cast<std::uint32_t>(random()));
  if (duplicate)
    return;
  entry.failure = entry.address + ": " + reason;
  entry.channel->unreachable(entry.failure);
}

/// All that was to be said is with the kernel. A known peer reads it and closes; strangers must not hold connections.
void link_broker_state::finish_goodbye(socket_entry& socket) {
  if (socket.fd < 0 || socket.connection.peer_said_goodbye() || socket.connection.peer_host().empty())
    drop(socket);
  else
    end_writing(socket.fd);
}

/// Closes at once. shutdown() first: CAF keeps a socket with unsent data for ever otherwise.
void link_broker_state::drop(socket_entry& socket) {
  const auto handle = socket.handle;
  abort_socket(socket.fd);
  self->close(handle);
  sockets.erase(handle);
}

void link_broker_state::on_wake() {
  hub->wakeup->seen();
  for (auto& [host, entry] : peers)
    if (entry->link != nullptr) {
      auto& socket = *entry->link;
      grant(socket);
      flush(socket);
    }
}

void link_broker_state::on_tick() {
  const auto time = now();
  std::vector<connection_handle> handles;
  handles.reserve(sockets.size());
  for (const auto& [handle, socket] : sockets)
    handles.push_back(handle);
  for (const auto& handle : handles) {
    const auto it = sockets.find(handle);
    if (it == sockets.end())
      continue;
    auto& socket = *it->second;
    if (socket.abort_at) {
      if (time >= *socket.abort_at)
        drop(socket);
      continue;
    }
    if (socket.backlog > 0 && time - socket.last_progress >= hub->options.timeouts.stall)
      socket.connection.end(goodbye_reason::timeout,
                            "the peer read nothing for " + std::to_string(hub->options.timeouts.stall.count()) + " ms");
    grant(socket);
    socket.connection.tick(time);
    pump(socket);
  }
  for (auto& [host, entry] : peers) {
    const auto freed = entry->channel->expire(time);
    for (std::uint32_t i = 0; entry->link != nullptr && i < freed; ++i)
      entry->link->connection.credit().free_slot();
    if (!stopping && entry->peer.should_dial(time))
      dial(*entry);
  }
  if (stopping && (sockets.empty() || time >= finish_at))
    finish();
}

void link_broker_state::on_set_peers(const std::vector<link_peer_address>& members) {
  hub->set_members(members);
  std::map<std::string, std::string> wanted;
  for (const auto& member : members)
    if (member.host != hub->options.host)
      wanted[member.host] = member.address;
  for (auto it = peers.begin(); it != peers.end();) {
    if (wanted.count(it->first) > 0) {
      ++it;
      continue;
    }
    auto& entry = *it->second;
    const auto text = "it is not a member of this site any more";
    for (auto* socket : {std::exchange(entry.dialing, nullptr), entry.link}) {
      if (socket == nullptr)
        continue;
      socket->connection.end(goodbye_reason::not_member, text);
      pump(*socket);
    }
    entry.channel->unreachable(text);
    for (auto& [handle, socket] : sockets)
      if (socket->peer == &entry) // accepted, before hello
        socket->connection.end(goodbye_reason::not_member, text), socket->peer = nullptr;
    it = peers.erase(it);
  }
  for (const auto& [host, address] : wanted) {
    auto& entry = peers[host];
    if (entry) {
      entry->address = address;
      continue;
    }
    entry = std::make_unique<peer_entry>(link_peer(hub->options.host, host, hub->options.timeouts), address,
                                         hub->channel(host));
    entry->channel->connecting(now());
    if (!stopping)
      dial(*entry);
  }
}

void link_broker_state::on_subscribe(const caf::actor& subscriber) {
  if (!subscriber || std::find(subscribers.begin(), subscribers.end(), subscriber) != subscribers.end())
    return;
  self->monitor(subscriber);
  subscribers.push_back(subscriber);
  for (const auto& [host, entry] : peers)
    if (entry->link != nullptr)
      self->send(subscriber, link_up{host, entry->peer.incarnation()});
}

void link_broker_state::on_exit_request(const caf::error& reason) {
  if (stopping)
    return;
  stopping = true;
  exit_reason = reason;
  self->close(doorman);
  std::vector<connection_handle> handles;
  for (const auto& [handle, socket] : sockets)
    handles.push_back(handle);
  for (const auto& handle : handles)
    if (const auto it = sockets.find(handle); it != sockets.end() && !it->second->abort_at) {
      it->second->connection.end(goodbye_reason::stopping, "the links of this host stopped");
      pump(*it->second);
    }
  finish_at = now() + hub->options.timeouts.goodbye;
}

void link_broker_state::finish() {
  while (!sockets.empty())
    drop(*sockets.begin()->second);
  self->quit(exit_reason);
}

link_status link_broker_state::status(bool with_peers) const {
  link_status result;
  result.host = hub->options.host;
  result.listen = listening;
  result.incarnation = hub->options.incarnation;
  result.connections = sockets.size();
  result.counters = counters;
  result.counters.sends_dropped = hub->shared_counters->sends_dropped;
  result.counters.requests_failed = hub->shared_counters->requests_failed;
  result.counters.answers_late = hub->shared_counters->answers_late;
  result.last_refusal = last_refusal;
  if (!with_peers)
    return result;
  for (const auto& [host, entry] : peers) {
    const auto shared = entry->channel->snapshot();
    link_peer_status peer;
    peer.host = host;
    peer.address = entry->address;
    peer.state = shared.state;
    peer.reason = shared.reason;
    peer.incarnation = entry->peer.incarnation();
    peer.waiting_bytes = shared.waiting_bytes;
    peer.unanswered = shared.unanswered;
    peer.in_flight = shared.in_flight;
    if (entry->link != nullptr)
      peer.round_trip_us = entry->link->connection.round_trip().count();
    result.peers.push_back(std::move(peer));
  }
  return result;
}

caf::behavior link_broker_state::start(std::shared_ptr<link_hub> shared) {
  hub = std::move(shared);
  inbound.emplace(hub->system, hub->options);
  std::string problem;
  if (!listen(problem)) {
    self->quit(caf::make_error(link_errc::host_unreachable, problem));
    return {};
  }
  spawn_ticker(hub->system, hub->wakeup, hub->wakeup->attach(caf::actor_cast<caf::actor>(self)),
               hub->options.timeouts.tick);
  self->set_exit_handler([this](caf::exit_msg& message) { on_exit_request(message.reason); });
  self->set_down_handler([this](caf::down_msg& message) {
    subscribers.erase(std::remove_if(subscribers.begin(), subscribers.end(),
                                     [&](const caf::actor& it) { return it.address() == message.source; }),
                      subscribers.end());
  });
  on_set_peers(hub->members());
  return {
      [this](const caf::io::new_connection_msg& accepted) { on_accepted(accepted.handle); },
      [this](const caf::io::new_data_msg& data) { on_data(data); },
      [this](const caf::io::data_transferred_msg& written) { on_written(written); },
      [this](const caf::io::connection_closed_msg& closed) { on_closed(closed.handle); },
      [this](const caf::io::acceptor_closed_msg&) {
        if (!stopping)
          self->quit(caf::make_error(link_errc::host_unreachable, "the listening socket of the links was closed"));
      },
      [this](link_wake) { on_wake(); },
      [this](link_tick) { on_tick(); },
      [this](const set_peers& members) { on_set_peers(members.peers); },
      [this](const subscribe_links& message) { on_subscribe(message.subscriber); },
      [this](const get_link_status& message) { return status(message.peers); },
  };
}

} // namespace

caf::actor spawn_link_broker(std::shared_ptr<link_hub> hub) {
  auto& system = hub->system;
  return system.middleman().spawn_broker(
      [](caf::stateful_actor<link_broker_state, caf::io::broker>* self, std::shared_ptr<link_hub> shared) {
        return self->state.start(std::move(shared));
      },
      std::move(hub));
}

} // namespace prunella::net
