// Sockets of the broker, from accept or dial until they are dropped: bytes in, bytes out, goodbye.

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "net/link_broker_state.hpp"
#include "net/link_socket.hpp"

namespace prunella::net {

namespace {

/// What one read takes before hello: a stranger gets little.
constexpr std::size_t stranger_read_bytes = 4 * 1024;
/// What is encrypted at a time: four TLS records, in memory twice.
constexpr std::size_t slice_bytes = 64 * 1024;
/// What one read of a link takes, after one that left nothing behind and after one that did: CAF fills its buffer with zeros
/// before each read, which costs more than a heartbeat's decryption if it is long.
constexpr std::size_t idle_read_bytes = 2 * 1024;
constexpr std::size_t busy_read_bytes = 64 * 1024;

} // namespace

link_broker_state::socket_entry& link_broker_state::add_socket(link_connection connection, connection_handle handle,
                                                               int fd, peer_entry* peer) {
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
  hurry();
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
  hurry();
  ++counters.dialed;
  socket_address address;
  std::string no_number;
  if (parse_socket_address(entry.address, address, no_number))
    return connect(entry, address);
  if (!entry.lookup) // else: the one under way will do
    entry.lookup.emplace(entry.address, hub->options.look_up ? hub->options.look_up : look_up_host,
                         [wakeup = hub->wakeup] { wakeup->wake(); });
}

void link_broker_state::on_looked_up(peer_entry& entry) {
  const auto lookup = *entry.lookup;
  entry.lookup.reset();
  if (!entry.peer.is_dialing() || entry.dialing != nullptr || stopping)
    return; // the peer came to us meanwhile
  if (lookup.address() != entry.address)
    return dial(entry);
  const auto& found = lookup.found();
  if (!found.empty())
    return connect(entry, found[entry.peer.failures() % found.size()]); // each attempt tries the next one
  ++counters.dials_failed;
  report_problem(entry, lookup.problem());
  dial_ended(entry, lookup.problem(), false);
}

void link_broker_state::connect(peer_entry& entry, const socket_address& address) {
  std::string problem;
  const int fd = start_connect(address, problem);
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
  choose_read_size(socket, data.buf.size());
  const auto& limits = hub->options.limits;
  // Messages wait in their channel above the watermark; only answers to what the peer itself sends come on top.
  if (socket.backlog > limits.write_watermark + 2 * limits.max_frame)
    socket.connection.end(goodbye_reason::violation, "the peer asks for more than it reads", true);
  else
    socket.connection.receive({data.buf.data(), data.buf.size()}, now());
  pump(socket);
}

void link_broker_state::choose_read_size(socket_entry& socket, std::size_t got) {
  if (!socket.was_open)
    return;
  const auto wanted = got >= socket.read_bytes ? busy_read_bytes : got < idle_read_bytes ? idle_read_bytes : socket.read_bytes;
  if (std::exchange(socket.read_bytes, wanted) != wanted)
    self->configure_read(socket.handle, caf::io::receive_policy::at_most(wanted));
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

/// Encrypts what is to be said until `buffer` and what CAF holds already reach the watermark.
void link_broker_state::take_output(socket_entry& socket, byte_buffer& buffer) {
  const auto before = buffer.size();
  socket.connection.take_output(buffer);
  while (socket.connection.is_open() && socket.peer->channel->has_waiting() &&
         socket.backlog + buffer.size() - before < hub->options.limits.write_watermark) {
    frames.clear();
    socket.peer->channel->take(frames, slice_bytes, socket.connection.credit());
    if (frames.empty())
      break;
    socket.connection.write({frames.data(), frames.size()});
    socket.connection.take_output(buffer);
  }
  if (frames.capacity() > 4 * slice_bytes)
    byte_buffer().swap(frames);
}

void link_broker_state::flush(socket_entry& socket) {
  if (socket.fd < 0)
    return;
  auto& buffer = self->wr_buf(socket.handle);
  const auto before = buffer.size();
  take_output(socket, buffer);
  // What fits into the kernel's buffer goes there at once. CAF would write it in its next turn, after two changes of what
  // epoll watches, and tell of it in a message.
  if (socket.backlog == 0 && before == 0 && !buffer.empty() && socket.connection.is_open()) {
    const auto written = write_now(socket.fd, {buffer.data(), buffer.size()});
    counters.bytes_out += written;
    buffer.erase(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(written));
    if (buffer.empty())
      take_output(socket, buffer); // only what was beyond the watermark
  }
  const auto added = buffer.size() - before;
  if (added == 0)
    return;
  if (socket.backlog == 0)
    socket.last_progress = now();
  socket.backlog += added;
  counters.bytes_out += added;
  self->flush(socket.handle);
}

void link_broker_state::grant(socket_entry& socket) {
  if (socket.consumption)
    socket.connection.consumed(socket.consumption->take());
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
                                           : "the connection was refused, or closed before that host had said who it is");
    frame ignored;
    if (socket.connection.next(ignored, now()) == link_input::ended)
      on_ended(socket);
  }
  sockets.erase(handle); // on_ended may have erased it: not by iterator
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
  hurry();
  if (auto* entry = std::exchange(socket.peer, nullptr)) {
    if (entry->link == &socket)
      link_ended(*entry, connection.end_text(), false);
    else if (entry->dialing == &socket)
      dial_ended(*entry, connection);
  }
  flush(socket);
  if (socket.backlog == 0)
    finish_goodbye(socket);
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

} // namespace prunella::net
