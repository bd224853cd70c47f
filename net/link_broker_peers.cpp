// Peers of the broker: who the members are, whose connection is kept, and what a link carries.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "net/link_broker_state.hpp"
#include "net/link_proxy.hpp"

namespace prunella::net {

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

hello_frame link_broker_state::own_hello(std::uint64_t link, std::uint64_t lost_link) const {
  hello_frame hello;
  hello.incarnation = hub->options.incarnation;
  hello.link = link;
  hello.lost_link = lost_link;
  hello.host = hub->options.host;
  return hello;
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
  entry.problem.clear();
  socket.was_open = true;
  --handshakes;
  entry.peer.on_up(hello, socket.connection.is_dialer(), now());
  entry.channel->up(hello.link, hello.incarnation, hello.max_frame);
  socket.consumption = std::make_shared<link_consumption>(hub->wakeup, hub->options.limits.window_bytes / 4);
  socket.sink = make_answer_sink(hub->system, entry.channel, hello.link);
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
  const auto result = inbound->deliver(channel.host(), in, socket.sink, socket.consumption);
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

void link_broker_state::link_ended(peer_entry& entry, const std::string& reason, bool restarted) {
  if (entry.link == nullptr)
    return;
  entry.link->peer = nullptr;
  entry.link->sink = nullptr;
  entry.link = nullptr;
  entry.peer.on_down(now(), static_cast<std::uint32_t>(random()));
  entry.channel->down(restarted ? link_errc::peer_restarted : link_errc::link_lost, reason, now());
  ++counters.links_down;
  publish(link_down{entry.channel->host(), reason});
}

void link_broker_state::dial_ended(peer_entry& entry, const link_connection& connection) {
  const auto reason = connection.end_reason();
  if (connection.violated() || reason == goodbye_reason::not_member || reason == goodbye_reason::version)
    report_problem(entry, connection.end_text());
  dial_ended(entry, connection.end_text(), reason == goodbye_reason::duplicate);
}

void link_broker_state::dial_ended(peer_entry& entry, const std::string& reason, bool duplicate) {
  entry.dialing = nullptr;
  entry.peer.on_dial_failed(now(), duplicate, static_cast<std::uint32_t>(random()));
  if (!duplicate)
    entry.channel->unreachable(entry.address + ": " + reason);
}

void link_broker_state::report_problem(peer_entry& entry, const std::string& reason) {
  const auto text = entry.address + ": " + reason;
  if (std::exchange(entry.problem, text) != text)
    publish(link_problem{entry.channel->host(), text});
}

} // namespace prunella::net
