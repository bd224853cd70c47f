#include "net/door/tunnel.hpp"

#include <algorithm>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/post.hpp>

namespace prunella::net {

namespace {

constexpr std::size_t chunk = 16 * 1024;      ///< of a stream in one frame: a TLS record, and the least that readers ask for
constexpr std::size_t max_unsent = 128 * 1024; ///< more than anybody adds who looks at `unsent`, the longest datagram included

/// A peer that lost its power says nothing: its idle connections end after about ten seconds, and the others when the site gives it
/// up (`end_lost_tunnels`). No TCP_USER_TIMEOUT: since Linux 5.10 it also ends connections whose reader pauses (a window of zero).
void set_keep_alive(int fd) {
  const auto set = [&](int name, int value) { ::setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value); };
  set(TCP_KEEPIDLE, 4);
  set(TCP_KEEPINTVL, 2);
  set(TCP_KEEPCNT, 3);
}

} // namespace

tunnel::tunnel(door_core& core, tcp::socket socket, tls_role role)
  : core_(core), socket_(core.watch, core.io, std::move(socket)), tls_(core.tls, role) {
  set_keep_alive(socket_.fd());
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
  socket_.wait_read([self = shared_from_this()] { self->on_handshake_readable(); });
}

void tunnel::on_handshake_readable() {
  const auto got = socket_.read(core_.buffer.data(), chunk);
  if (got == 0 || got == watched_socket::broken)
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
  if (is_broken_)
    return;
  is_warm_ = true;
  last_used_ = door_core::now();
  std::string bytes;
  bytes.reserve(door_frame_header + payload.size());
  append_frame(bytes, type, payload);
  tls_.write(bytes);
  outbox_.erase(outbox_.begin(), outbox_.begin() + static_cast<std::ptrdiff_t>(sent_));
  sent_ = 0;
  tls_.take_output(outbox_);
  if (tls_.current() != tls_session::state::open)
    fail(tls_.problem());
  flush();
}

void tunnel::flush() {
  while (!is_broken_ && sent_ < outbox_.size()) {
    const auto wrote = socket_.write(outbox_.data() + sent_, outbox_.size() - sent_);
    if (wrote == watched_socket::again)
      return unsent() > max_unsent ? fail("the peer asks and does not take the answers") : wait_socket_writable();
    if (wrote < 0)
      return fail("the peer closed the connection");
    sent_ += static_cast<std::size_t>(wrote);
  }
  outbox_.clear();
  sent_ = 0;
}

void tunnel::wait_socket_writable() {
  if (std::exchange(waits_for_writing_, true))
    return;
  socket_.wait_write([self = shared_from_this()] {
    self->waits_for_writing_ = false;
    self->flush();
    if (self->is_broken_ || self->unsent() == 0)
      if (const auto ready = std::exchange(self->room_waiter_, nullptr))
        ready();
  });
}

frame_state tunnel::next(door_frame& out) {
  auto state = read_frame(std::string_view{inbox_}.substr(read_), out);
  while (state == frame_state::partial && receive())
    state = read_frame(std::string_view{inbox_}.substr(read_), out);
  if (state == frame_state::bad)
    fail("it sent what no door sends");
  return state == frame_state::partial && is_broken_ ? frame_state::bad : state;
}

void tunnel::consume(const door_frame& frame) {
  read_ += door_frame_header + frame.payload.size();
  if (read_ < inbox_.size())
    return;
  inbox_.clear();
  read_ = 0;
}

/// Takes what has come, once; false: nothing, or it broke. What the caller has no use for yet stays in the kernel, whose
/// full buffer stops the sender.
bool tunnel::receive() {
  inbox_.erase(0, read_);
  read_ = 0;
  const auto before = inbox_.size();
  decrypt(); // with the end of the handshake the first frame may have come
  if (is_broken_ || inbox_.size() > before)
    return !is_broken_;
  std::array<char, chunk> cipher; // the core's buffer is the caller's
  const auto got = socket_.read(cipher.data(), cipher.size());
  if (got == watched_socket::again)
    return false;
  if (got <= 0) {
    fail("the peer closed the connection");
    return false;
  }
  tls_.feed({cipher.data(), static_cast<std::size_t>(got)});
  decrypt();
  is_warm_ = true;
  last_used_ = door_core::now();
  tls_.take_output(outbox_); // a key update asks for one
  flush();
  return true;
}

void tunnel::decrypt() {
  std::array<char, chunk> plain;
  while (const auto more = tls_.read(plain.data(), plain.size()))
    inbox_.append(plain.data(), more);
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
  socket_.wait_read([self = shared_from_this()] {
    self->waits_for_reading_ = false;
    door_frame frame;
    if (self->next(frame) == frame_state::partial) {
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
  if (unsent() > 0 && !is_broken_)
    return wait_socket_writable();
  asio::post(core_.io, [self = shared_from_this()] {
    if (const auto ready_now = std::exchange(self->room_waiter_, nullptr))
      ready_now();
  });
}

void tunnel::give_back() {
  if (!std::exchange(is_warm_, false))
    return;
  if (inbox_.empty())
    std::string{}.swap(inbox_);
  if (outbox_.empty())
    byte_buffer{}.swap(outbox_);
  tls_.give_back();
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
  socket_.close();
}

void tunnel::reset() {
  fail("it was closed");
  frame_waiter_ = nullptr;
  room_waiter_ = nullptr;
  on_hands_shaken_ = nullptr;
  socket_.reset();
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
    while (done < size && tunnel_->unsent() == 0 && !tunnel_->is_broken()) {
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
  void give_back() override { tunnel_->give_back(); }
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
