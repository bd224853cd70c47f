// The answering side of tunnels: other doors ask for an instance of this host.

#include <algorithm>
#include <utility>

#include "net/door/datagrams.hpp"
#include "net/door/tunnel.hpp"

namespace prunella::net {

namespace {

using namespace std::chrono_literals;

constexpr auto handshake_timeout = 5s;
constexpr auto open_timeout = 1s;    ///< for a local instance
constexpr auto idle_timeout = 120s;  ///< between connections; longer than the asker keeps it
constexpr std::size_t max_shown_problem = 200;

/// One tunnel of another door, from its handshake to its end.
class served_tunnel : public door_life, public std::enable_shared_from_this<served_tunnel> {
public:
  served_tunnel(door_core& core, tcp::socket socket)
    : core_(core), tunnel_(std::make_shared<tunnel>(core, std::move(socket), tls_role::server)) {}

  void start() {
    ++core_.tunnels_in;
    core_.add(shared_from_this());
    tunnel_->shake_hands([self = shared_from_this()](const std::string& problem) {
      if (self->is_over_)
        return;
      // Membership is what revokes: a certificate alone opens nothing.
      if (!problem.empty() || self->core_.peers.count(self->tunnel_->peer()) == 0)
        return self->abort();
      self->wait();
    });
  }

  void sweep(door_time now) override {
    const auto limit = tunnel_->peer().empty() ? handshake_timeout : idle_timeout;
    if (!is_carrying_ && now - since_ > limit)
      return abort();
    if (!is_carrying_)
      tunnel_->give_back();
  }

  void abort() override {
    if (std::exchange(is_over_, true))
      return;
    --core_.tunnels_in;
    tunnel_->reset();
    core_.remove(shared_from_this());
  }

private:
  void wait() {
    is_carrying_ = false;
    since_ = door_core::now();
    tunnel_->wait_frame([self = shared_from_this()] { self->on_request(); });
  }

  void on_request() {
    if (is_over_)
      return;
    door_frame frame;
    if (tunnel_->next(frame) != frame_state::complete || frame.type != door_frame_type::open)
      return abort();
    const auto request = decode_request(frame.payload);
    if (!request)
      return abort();
    tunnel_->consume(frame);
    const auto* backend = core_.find_local(*request);
    if (backend == nullptr)
      return refuse(request->instance + " is not ready on " + core_.options.host);
    is_carrying_ = true;
    if (request->protocol == config::port_protocol::udp)
      return carry_datagrams(backend->addresses.front());
    connect_local(core_, backend->addresses, door_core::now() + open_timeout,
                  [self = shared_from_this(), use = core_.use_local(backend->key())](std::unique_ptr<byte_end> reached,
                                                                                    const std::string& why) {
                    if (self->is_over_ && reached)
                      return reached->abort();
                    if (!self->is_over_)
                      reached ? self->carry(std::move(reached), use) : self->refuse(why);
                  });
  }

  void refuse(const std::string& why) {
    tunnel_->send(door_frame_type::refused, std::string_view{why}.substr(0, max_shown_problem));
    wait();
  }

  void carry(std::unique_ptr<byte_end> reached, std::shared_ptr<void> use) {
    tunnel_->send(door_frame_type::opened, {});
    auto end = make_tunnel_end(tunnel_, [](std::shared_ptr<tunnel>) {});
    std::make_shared<relay>(core_, std::move(end), std::move(reached),
                            [self = shared_from_this(), use = std::move(use)](relay_end how) {
                              self->on_carried(how == relay_end::clean);
                            })
      ->start();
  }

  void carry_datagrams(const std::string& address) {
    tunnel_->send(door_frame_type::opened, {});
    serve_datagrams(core_, tunnel_, address, [self = shared_from_this()](bool is_clean) { self->on_carried(is_clean); });
  }

  void on_carried(bool is_clean) {
    if (is_over_)
      return;
    if (!is_clean)
      return abort();
    wait();
  }

  door_core& core_;
  std::shared_ptr<tunnel> tunnel_;
  door_time since_ = door_core::now();
  bool is_carrying_ = false;
  bool is_over_ = false;
};

} // namespace

void accept_tunnels(door_core& core) {
  core.tunnel_acceptor.async_accept([&core](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted)
      return;
    if (!error && core.tunnels_in < core.options.max_tunnels)
      std::make_shared<served_tunnel>(core, std::move(socket))->start();
    else if (error) // out of file descriptors, mostly: the next sweep asks again
      return void(core.are_tunnels_paused = true);
    accept_tunnels(core);
  });
}

} // namespace prunella::net
