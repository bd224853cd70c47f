// Bytes from one side of a connection to the other.
//
// All connections share one buffer: what was read is written at once, and only what the other side does not take then is
// kept, with reading stopped until it is gone. So an idle connection costs no buffer, and a stalled one at most one; what a
// tunnel keeps beside that is in net/README.md.

#include "net/door/byte_end.hpp"

namespace prunella::net {

namespace {

/// Then others have their turn.
constexpr int rounds_at_once = 8;

constexpr std::chrono::seconds idle_after{1}; ///< then it gives its memory back

class socket_end : public byte_end {
public:
  socket_end(door_core& core, tcp::socket socket) : socket_(core.watch, core.io, std::move(socket)) {}

  ssize_t read(char* data, std::size_t size) override { return socket_.read(data, size); }
  ssize_t write(const char* data, std::size_t size) override { return socket_.write(data, size); }
  void wait_read(std::function<void()> ready) override { socket_.wait_read(std::move(ready)); }
  void wait_write(std::function<void()> ready) override { socket_.wait_write(std::move(ready)); }
  void end_writing() override { socket_.end_writing(); }
  void finish() override { socket_.close(); }
  void abort() override { socket_.reset(); }

private:
  watched_socket socket_;
};

} // namespace

std::unique_ptr<byte_end> make_socket_end(door_core& core, tcp::socket socket) {
  return std::make_unique<socket_end>(core, std::move(socket));
}

void reset_socket(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

relay::relay(door_core& core, std::unique_ptr<byte_end> a, std::unique_ptr<byte_end> b, std::function<void(relay_end)> on_end)
  : core_(core), a_(std::move(a)), b_(std::move(b)), on_end_(std::move(on_end)), last_move_(door_core::now()) {
  there_.from = back_.to = a_.get();
  there_.to = back_.from = b_.get();
}

void relay::start() {
  core_.add(shared_from_this());
  run(there_);
  run(back_);
}

void relay::wait_read(pump& x) {
  x.from->wait_read([self = shared_from_this(), &x] { self->run(x); });
}

void relay::wait_write(pump& x) {
  x.to->wait_write([self = shared_from_this(), &x] { self->run(x); });
}

void relay::run(pump& x) {
  last_move_ = door_core::now();
  for (int round = 0; round < rounds_at_once; ++round) {
    if (is_over_ || !drain(x) || x.has_ended || !take(x))
      return;
  }
  asio::post(core_.io, [self = shared_from_this(), &x] { self->run(x); });
}

/// Writes what is left; true if nothing is any more.
bool relay::drain(pump& x) {
  while (x.sent < x.left.size()) {
    const auto wrote = x.to->write(x.left.data() + x.sent, x.left.size() - x.sent);
    if (wrote == byte_end::again) {
      wait_write(x);
      return false;
    }
    if (wrote < 0) {
      lose(x.to);
      return false;
    }
    x.sent += static_cast<std::size_t>(wrote);
  }
  std::string{}.swap(x.left);
  x.sent = 0;
  return true;
}

/// Reads once and writes it; false: something is waited for, or it is over.
bool relay::take(pump& x) {
  const auto size = core_.buffer_size();
  const auto got = x.from->read(core_.buffer.data(), size);
  if (got == byte_end::again) {
    wait_read(x);
    return false;
  }
  if (got < 0) {
    lose(x.from);
    return false;
  }
  has_answer_ |= x.from == b_.get();
  if (got == 0) {
    x.has_ended = true;
    x.to->end_writing();
    if (there_.has_ended && back_.has_ended)
      end(relay_end::clean);
    return false;
  }
  const auto count = static_cast<std::size_t>(got);
  const auto wrote = x.to->write(core_.buffer.data(), count);
  if (wrote == byte_end::broken) {
    lose(x.to);
    return false;
  }
  const auto done = wrote == byte_end::again ? 0 : static_cast<std::size_t>(wrote);
  if (done < count) {
    x.left.assign(core_.buffer.data() + done, count - done);
    return true; // `drain` finds out whether it has to wait
  }
  if (count == size)
    return true;
  wait_read(x); // most likely that was all
  return false;
}

void relay::sweep(door_time now) {
  const auto limit = there_.has_ended || back_.has_ended ? core_.options.half_closed_timeout : core_.options.idle_timeout;
  if (now - last_move_ > limit)
    return end(relay_end::broken);
  if (now - last_move_ > idle_after)
    for (auto* side : {a_.get(), b_.get()})
      side->give_back();
}

void relay::abort() {
  end(relay_end::broken);
}

void relay::lose(const byte_end* side) {
  end(side == b_.get() && !has_answer_ ? relay_end::unanswered : relay_end::broken);
}

void relay::end(relay_end how) {
  if (is_over_)
    return;
  is_over_ = true;
  const auto self = shared_from_this();
  for (auto* side : {a_.get(), b_.get()})
    how == relay_end::clean ? side->finish() : side->abort();
  core_.remove(self);
  on_end_(how);
  on_end_ = nullptr;
}

} // namespace prunella::net
