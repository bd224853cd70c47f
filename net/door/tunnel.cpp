#include "net/door/tunnel.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>

namespace prunella::net {

namespace {

constexpr std::size_t chunk = 16 * 1024; ///< of a stream in one frame: a TLS record, and the least that readers ask for

/// A peer that lost its power says nothing: its connections end after about ten seconds.
void set_keep_alive(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  const auto set = [&](int name, int value) { ::setsockopt(socket.native_handle(), IPPROTO_TCP, name, &value, sizeof value); };
  set(TCP_KEEPIDLE, 4);
  set(TCP_KEEPINTVL, 2);
  set(TCP_KEEPCNT, 3);
  set(TCP_USER_TIMEOUT, 10'000);
}

} // namespace

tunnel::tunnel(door_core& core, tcp::socket socket, tls_role role) : core_(core), socket_(std::move(socket)), tls_(core.tls, role) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  set_keep_alive(socket_);
}

void tunnel::shake_hands(std::function<void(const std::string& problem)> done) {
  on_hands_shaken_ = std::move(done);
  advance();
}

/// One step of the handshake, after bytes came.
void tunnel::advance() {
  tls_.take_output(outbox_);
  flush();
  if (tls_.current() == tls_session::state::failed)
    fail(tls_.problem());
  if (is_broken_ || tls_.current() == tls_session::state::open) {
    if (const auto done = std::exchange(on_hands_shaken_, nullptr))
      done(is_broken_ ? problem_ : std::string{});
    return;
  }
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    if (!error)
      self->on_handshake_readable();
    else if (const auto done = std::exchange(self->on_hands_shaken_, nullptr))
      done("the connection was closed");
  });
}

void tunnel::on_handshake_readable() {
  const auto got = ::recv(socket_.native_handle(), core_.buffer.data(), chunk, 0);
  if (got == 0 || (got < 0 && errno != EAGAIN))
    fail("the peer closed the connection before it had shown who it is");
  else if (got > 0)
    tls_.feed({core_.buffer.data(), static_cast<std::size_t>(got)});
  advance();
}

void tunnel::fail(std::string why) {
  if (is_broken_)
    return;
  is_broken_ = true;
  problem_ = std::move(why);
}

void tunnel::send(door_frame_type type, std::string_view payload) {
  last_used_ = door_core::now();
  std::string bytes;
  bytes.reserve(door_frame_header + payload.size());
  append_frame(bytes, type, payload);
  tls_.write(bytes);
  if (sent_ > max_waiting / 2) {
    outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(sent_));
    sent_ = 0;
  }
  tls_.take_output(outbox_);
  if (tls_.current() != tls_session::state::open)
    fail(tls_.problem());
  flush();
}

void tunnel::flush() {
  while (!is_broken_ && sent_ < outbox_.size()) {
    const auto wrote = ::send(socket_.native_handle(), outbox_.data() + sent_, outbox_.size() - sent_, MSG_NOSIGNAL);
    if (wrote < 0 && errno == EAGAIN)
      return wait_socket_writable();
    if (wrote < 0)
      return fail("the peer closed the connection");
    sent_ += static_cast<std::size_t>(wrote);
  }
  outbox_.clear();
  sent_ = 0;
  if (outbox_.capacity() > max_waiting)
    byte_buffer{}.swap(outbox_);
}

void tunnel::wait_socket_writable() {
  if (std::exchange(waits_for_writing_, true))
    return;
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](error_code error) {
    self->waits_for_writing_ = false;
    if (error)
      self->fail("the connection was closed");
    self->flush();
    if (self->is_broken_ || !self->is_full())
      if (const auto ready = std::exchange(self->room_waiter_, nullptr))
        ready();
  });
}

frame_state tunnel::next(door_frame& out) {
  auto state = read_frame(std::string_view{inbox_}.substr(read_), out);
  if (state == frame_state::partial && receive())
    state = read_frame(std::string_view{inbox_}.substr(read_), out);
  if (state == frame_state::bad)
    fail("it sent what no door sends");
  return state == frame_state::partial && is_broken_ ? frame_state::bad : state;
}

/// Takes what has come, up to the bound of the inbox; true if there is more in it than before.
bool tunnel::receive() {
  inbox_.erase(0, read_);
  read_ = 0;
  const auto before = inbox_.size();
  decrypt(); // with the end of the handshake the first frame may have come
  std::array<char, chunk> cipher; // the core's buffer is the caller's
  while (!is_broken_ && inbox_.size() < max_waiting) {
    const auto got = ::recv(socket_.native_handle(), cipher.data(), cipher.size(), 0);
    if (got < 0 && errno == EAGAIN)
      break;
    if (got <= 0) {
      fail("the peer closed the connection");
      break;
    }
    tls_.feed({cipher.data(), static_cast<std::size_t>(got)});
    decrypt();
    last_used_ = door_core::now();
    if (static_cast<std::size_t>(got) < cipher.size())
      break; // most likely that was all; the next wait finds out
  }
  tls_.take_output(outbox_); // a key update asks for one
  flush();
  return inbox_.size() > before;
}

void tunnel::decrypt() {
  std::size_t size = inbox_.size();
  for (std::size_t more = 1; more > 0; size += more) {
    inbox_.resize(size + chunk);
    more = tls_.read(inbox_.data() + size, chunk);
  }
  inbox_.resize(size);
  if (tls_.current() != tls_session::state::open)
    fail(tls_.problem().empty() ? "the peer closed the connection" : tls_.problem());
}

void tunnel::wait_frame(std::function<void()> ready) {
  frame_waiter_ = std::move(ready);
  // Of what is in the inbox already the socket says nothing any more.
  door_frame there;
  if (next(there) != frame_state::partial)
    return asio::post(core_.io, [self = shared_from_this()] {
      if (const auto ready_now = std::exchange(self->frame_waiter_, nullptr))
        ready_now();
    });
  if (std::exchange(waits_for_reading_, true))
    return;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](error_code error) {
    self->waits_for_reading_ = false;
    if (error)
      self->fail("the connection was closed");
    door_frame frame;
    if (!error && self->next(frame) == frame_state::partial) {
      if (self->frame_waiter_)
        self->wait_frame(std::move(self->frame_waiter_));
      return;
    }
    if (const auto ready_now = std::exchange(self->frame_waiter_, nullptr))
      ready_now();
  });
}

void tunnel::wait_room(std::function<void()> ready) {
  room_waiter_ = std::move(ready);
  if (is_full() && !is_broken_)
    return wait_socket_writable();
  asio::post(core_.io, [self = shared_from_this()] {
    if (const auto ready_now = std::exchange(self->room_waiter_, nullptr))
      ready_now();
  });
}

void tunnel::close() {
  if (!is_broken_) {
    tls_.close();
    tls_.take_output(outbox_);
    flush();
  }
  fail("it was closed");
  frame_waiter_ = nullptr;
  room_waiter_ = nullptr;
  error_code ignored;
  socket_.close(ignored);
}

void tunnel::reset() {
  fail("it was closed");
  frame_waiter_ = nullptr;
  room_waiter_ = nullptr;
  on_hands_shaken_ = nullptr;
  reset_socket(socket_);
}

// -- as one side of a connection -----------------------------------------------------------------------------------------

namespace {

class tunnel_end : public byte_end {
public:
  tunnel_end(std::shared_ptr<tunnel> carrier, std::function<void(std::shared_ptr<tunnel>)> on_free)
    : tunnel_(std::move(carrier)), on_free_(std::move(on_free)) {}

  ssize_t read(char* data, std::size_t size) override {
    door_frame frame;
    std::size_t filled = 0;
    for (;;) {
      const auto state = tunnel_->next(frame);
      if (state == frame_state::complete && frame.type == door_frame_type::data && frame.payload.size() <= size) {
        if (frame.payload.size() > size - filled)
          break;
        std::copy(frame.payload.begin(), frame.payload.end(), data + filled);
        filled += frame.payload.size();
        tunnel_->consume(frame);
        continue;
      }
      if (filled > 0)
        break;
      if (state == frame_state::partial)
        return again;
      if (state != frame_state::complete || frame.type != door_frame_type::end)
        return broken;
      tunnel_->consume(frame);
      return 0;
    }
    return static_cast<ssize_t>(filled);
  }

  ssize_t write(const char* data, std::size_t size) override {
    std::size_t done = 0;
    while (done < size && !tunnel_->is_full() && !tunnel_->is_broken()) {
      const auto part = std::min(size - done, chunk - door_frame_header); // with its header one record
      tunnel_->send(door_frame_type::data, {data + done, part});
      done += part;
    }
    if (tunnel_->is_broken())
      return broken;
    return done == 0 ? again : static_cast<ssize_t>(done);
  }

  void wait_read(std::function<void()> ready) override { tunnel_->wait_frame(std::move(ready)); }
  void wait_write(std::function<void()> ready) override { tunnel_->wait_room(std::move(ready)); }
  void end_writing() override { tunnel_->send(door_frame_type::end, {}); }
  void finish() override { on_free_(std::move(tunnel_)); }
  void abort() override { tunnel_->reset(); }
  std::string remote_host() const override { return tunnel_->peer(); }

private:
  std::shared_ptr<tunnel> tunnel_;
  std::function<void(std::shared_ptr<tunnel>)> on_free_;
};

} // namespace

std::unique_ptr<byte_end> make_tunnel_end(std::shared_ptr<tunnel> carrier, std::function<void(std::shared_ptr<tunnel>)> on_free) {
  return std::make_unique<tunnel_end>(std::move(carrier), std::move(on_free));
}

} // namespace prunella::net
