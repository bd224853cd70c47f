// Ways to an instance: of another host through a tunnel to its door, of this one directly.

#include <utility>

#include <boost/asio/connect.hpp>

#include "net/door/tunnel.hpp"
#include "net/link_socket.hpp"

namespace prunella::net {

namespace {

constexpr std::size_t idle_per_peer = 32;

/// Numeric ADDRESS:PORT; port 0 if it is not.
tcp::endpoint endpoint_of(const std::string& address) {
  std::string host;
  std::uint16_t port = 0;
  error_code error;
  if (!split_address(address, host, port))
    return {};
  const auto parsed = asio::ip::make_address(host, error);
  return error ? tcp::endpoint{} : tcp::endpoint{parsed, port};
}

/// One try to get a tunnel for one connection: an idle one, and if that turns out to be gone, a new one.
class tunnel_opening : public door_life, public std::enable_shared_from_this<tunnel_opening> {
public:
  using handler = std::function<void(std::shared_ptr<tunnel>, const std::string&)>;

  tunnel_opening(door_core& core, std::string host, const door_request& request, door_time until, handler done)
    : core_(core), host_(std::move(host)), request_(encode(request)), done_(std::move(done)), timer_(core.io), socket_(core.io) {
    timer_.expires_at(until);
  }

  void sweep(door_time) override {} // its timer is exact
  void abort() override { end(nullptr, "the site gave its host up"); }
  std::string remote_host() const override { return host_; }

  void start() {
    core_.add(shared_from_this());
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error)
        self->end(nullptr, "no answer in time");
    });
    auto& idle = core_.idle_tunnels[host_];
    while (!idle.empty()) {
      auto last = std::move(idle.back());
      idle.pop_back();
      door_frame frame;
      if (last->next(frame) == frame_state::partial)
        return ask(std::move(last), true);
      last->close();
    }
    dial();
  }

private:
  void dial() {
    const auto peer = core_.peers.find(host_);
    const auto endpoint = peer == core_.peers.end() ? tcp::endpoint{} : endpoint_of(peer->second.tunnel);
    if (endpoint.port() == 0)
      return end(nullptr, "it is not known where its door is");
    socket_.async_connect(endpoint, [self = shared_from_this()](error_code error) {
      if (!self->done_)
        return;
      if (error)
        return self->end(nullptr, error.message());
      self->shake_hands();
    });
  }

  void shake_hands() {
    tunnel_ = std::make_shared<tunnel>(core_, std::move(socket_), tls_role::client);
    tunnel_->shake_hands([self = shared_from_this()](const std::string& problem) {
      if (!self->done_)
        return;
      if (!problem.empty())
        return self->end(nullptr, problem);
      if (self->tunnel_->peer() != self->host_)
        return self->end(nullptr, "another host answers there: " + self->tunnel_->peer());
      self->ask(self->tunnel_, false);
    });
  }

  void ask(std::shared_ptr<tunnel> over, bool was_idle) {
    tunnel_ = std::move(over);
    tunnel_->send(door_frame_type::open, request_);
    tunnel_->wait_frame([self = shared_from_this(), was_idle] { self->on_answer(was_idle); });
  }

  void on_answer(bool was_idle) {
    if (!done_)
      return;
    door_frame frame;
    const auto state = tunnel_->next(frame);
    if (state == frame_state::bad && was_idle) { // its peer had ended it meanwhile
      tunnel_->reset();
      return dial();
    }
    if (state != frame_state::complete)
      return end(nullptr, "the connection to its door was lost");
    const auto type = frame.type;
    const std::string why{frame.payload};
    tunnel_->consume(frame);
    if (type == door_frame_type::opened)
      return end(std::exchange(tunnel_, nullptr), {});
    if (type == door_frame_type::refused && tunnel_->is_idle())
      keep_tunnel(core_, std::exchange(tunnel_, nullptr));
    end(nullptr, type == door_frame_type::refused ? why : "its door answers what no door does");
  }

  void end(std::shared_ptr<tunnel> granted, const std::string& why) {
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    if (tunnel_)
      std::exchange(tunnel_, nullptr)->reset();
    core_.remove(shared_from_this());
    if (const auto done = std::exchange(done_, nullptr))
      done(std::move(granted), why);
  }

  door_core& core_;
  std::string host_;
  std::string request_;
  handler done_;
  asio::steady_timer timer_;
  tcp::socket socket_;
  std::shared_ptr<tunnel> tunnel_;
};

} // namespace

void open_tunnel(door_core& core, const std::string& host, const door_request& request, door_time until,
                 std::function<void(std::shared_ptr<tunnel>, const std::string& why)> done) {
  std::make_shared<tunnel_opening>(core, host, request, until, std::move(done))->start();
}

void keep_tunnel(door_core& core, std::shared_ptr<tunnel> idle) {
  auto& kept = core.idle_tunnels[idle->peer()];
  if (!idle->is_idle() || kept.size() >= idle_per_peer)
    return idle->close();
  kept.push_back(std::move(idle));
}

// -- a local instance ----------------------------------------------------------------------------------------------------

namespace {

class local_opening : public std::enable_shared_from_this<local_opening> {
public:
  using handler = std::function<void(std::unique_ptr<byte_end>, const std::string&)>;

  local_opening(door_core& core, std::vector<std::string> addresses, door_time until, handler done)
    : core_(core), addresses_(std::move(addresses)), done_(std::move(done)), timer_(core.io), socket_(core.io) {
    timer_.expires_at(until);
  }

  void start() {
    timer_.async_wait([self = shared_from_this()](error_code error) {
      if (!error)
        self->end(nullptr, "no answer in time");
    });
    next("it has no address");
  }

private:
  void next(const std::string& why) {
    if (!done_)
      return;
    if (tried_ == addresses_.size())
      return end(nullptr, why);
    error_code ignored;
    socket_.close(ignored);
    socket_.async_connect(endpoint_of(addresses_[tried_++]), [self = shared_from_this()](error_code error) {
      if (error)
        self->next(error.message());
      else
        self->end(make_socket_end(self->core_, std::move(self->socket_)), {});
    });
  }

  void end(std::unique_ptr<byte_end> reached, const std::string& why) {
    timer_.cancel();
    error_code ignored;
    socket_.close(ignored);
    if (const auto done = std::exchange(done_, nullptr))
      done(std::move(reached), why);
    else if (reached)
      reached->abort();
  }

  door_core& core_;
  std::vector<std::string> addresses_;
  std::size_t tried_ = 0;
  handler done_;
  asio::steady_timer timer_;
  tcp::socket socket_;
};

} // namespace

void connect_local(door_core& core, std::vector<std::string> addresses, door_time until,
                   std::function<void(std::unique_ptr<byte_end>, const std::string& why)> done) {
  std::make_shared<local_opening>(core, std::move(addresses), until, std::move(done))->start();
}

} // namespace prunella::net
