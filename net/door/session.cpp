// A client's connection: finds an instance that can be reached and passes the bytes on.

#include <utility>

#include "net/door/byte_end.hpp"
#include "net/door/tunnel.hpp"

namespace prunella::net {

namespace {

class door_session : public door_life, public std::enable_shared_from_this<door_session> {
public:
  door_session(tcp::socket client, std::shared_ptr<published_port> port)
    : core_(port->core), port_(std::move(port)), client_(std::move(client)), attempt_(core_.options.attempt, door_core::now()),
      timer_(core_.io) {}

  void start() {
    ++core_.connections;
    ++port_->open;
    ++port_->accepted;
    core_.add(shared_from_this());
    step();
  }

  void sweep(door_time) override {} // its attempt has an end
  void abort() override {
    if (!is_passed_on_)
      end();
  }

private:
  void step() {
    const auto now = door_core::now();
    const auto next = attempt_.next(port_->backends, now);
    switch (next.what) {
    case connect_attempt::move::connect: return connect(next.backend, next.until);
    case connect_attempt::move::wait: return wait(next.until);
    case connect_attempt::move::give_up: ++port_->unserved; return end();
    }
  }

  void connect(const door_backend& backend, door_time until) {
    const auto self = shared_from_this();
    key_ = backend.key();
    if (backend.is_local()) {
      use_ = core_.use_local(key_);
      return connect_local(core_, backend.addresses, until,
                           [self](std::unique_ptr<byte_end> reached, const std::string&) { self->on_reached(std::move(reached)); });
    }
    const door_request request{port_->service.protocol, port_->target(), backend.generation, backend.instance};
    open_tunnel(core_, backend.host, request, until,
                [self](std::shared_ptr<tunnel> granted, const std::string&) { self->on_tunnel(std::move(granted)); });
  }

  void on_tunnel(std::shared_ptr<tunnel> granted) {
    if (!granted)
      return on_reached(nullptr);
    on_reached(make_tunnel_end(std::move(granted), [&core = core_](std::shared_ptr<tunnel> idle) { keep_tunnel(core, std::move(idle)); }));
  }

  void on_reached(std::unique_ptr<byte_end> reached) {
    if (is_over_ && reached)
      reached->abort();
    if (is_over_)
      return port_->backends.closed(key_);
    if (!reached) {
      use_.reset();
      attempt_.failed(port_->backends, door_core::now());
      return step();
    }
    attempt_.connected(port_->backends);
    is_passed_on_ = true;
    core_.remove(shared_from_this());
    std::make_shared<relay>(core_, make_socket_end(core_, std::move(client_)), std::move(reached),
                            [self = shared_from_this()](relay_end how) { self->on_passed(how); })
      ->start();
  }

  void on_passed(relay_end how) {
    use_.reset();
    if (how == relay_end::unanswered)
      port_->backends.broke(key_, door_core::now());
    else
      port_->backends.closed(key_);
    core_.end_connection(*port_);
  }

  void wait(door_time until) {
    const auto ticket = ++core_.next_waiting;
    const auto self = shared_from_this();
    port_->waiting[ticket] = [self] { self->timer_.cancel(); };
    timer_.expires_at(until);
    timer_.async_wait([self, ticket](error_code) {
      self->port_->waiting.erase(ticket);
      if (!self->is_over_)
        self->step();
    });
  }

  void end() {
    if (std::exchange(is_over_, true))
      return;
    reset_socket(client_);
    timer_.cancel();
    core_.remove(shared_from_this());
    core_.end_connection(*port_);
  }

  door_core& core_;
  std::shared_ptr<published_port> port_;
  tcp::socket client_;
  connect_attempt attempt_;
  asio::steady_timer timer_;
  backend_key key_;
  std::shared_ptr<void> use_; ///< of an instance of this host
  bool is_passed_on_ = false;
  bool is_over_ = false;
};

} // namespace

void start_session(tcp::socket client, const std::shared_ptr<published_port>& port) {
  std::make_shared<door_session>(std::move(client), port)->start();
}

} // namespace prunella::net
