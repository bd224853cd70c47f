#include "net/door/core.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/post.hpp>

#include "net/door/datagrams.hpp"
#include "net/door/tunnel.hpp"
#include "net/link_socket.hpp"

namespace prunella::net {

namespace {

constexpr std::chrono::seconds sweep_every{1};
constexpr std::chrono::seconds keep_idle_tunnels{60};

/// Descriptors that the rest of the process may need.
constexpr std::size_t reserved_files = 256;

/// A connection takes two descriptors, here or at both doors.
std::size_t connections_within_limit(std::size_t wanted) {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return wanted;
  const auto files = static_cast<std::size_t>(limit.rlim_cur);
  return std::min(wanted, files > 2 * reserved_files ? (files - reserved_files) / 3 : 64);
}

} // namespace

published_port::published_port(door_core& c, door_service s)
  : core(c), service(std::move(s)), backends(c.options.balance), retry(c.io) {}

void door_core::start() {
  options.max_connections = connections_within_limit(options.max_connections);
  options.max_tunnels = connections_within_limit(options.max_tunnels);
  std::string host;
  std::uint16_t port = 0;
  error_code error;
  if (!split_address(options.tunnel, host, port))
    error = asio::error::invalid_argument;
  const auto address = error ? asio::ip::address{} : asio::ip::make_address(host, error);
  const tcp::endpoint endpoint(address, port);
  if (!error)
    tunnel_acceptor.open(endpoint.protocol(), error);
  if (!error)
    tunnel_acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error)
    tunnel_acceptor.bind(endpoint, error);
  if (!error)
    tunnel_acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    throw std::runtime_error("the front door cannot listen on " + options.tunnel + " for other hosts: " + error.message()
                             + "; stop what listens there, or give the host another `door` in the site's document");
  tunnel_port = tunnel_acceptor.local_endpoint().port();
  accept_tunnels(*this);
  sweep();
  watch_ready.assign(::dup(watch->fd()), error); // it closes what it has
  if (error)
    throw std::runtime_error("the front door has no file descriptor left: " + error.message() + "; let the agent open more files");
  tell_sockets();
}

void door_core::tell_sockets() {
  watch_ready.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (error)
      return;
    watch->run();
    tell_sockets();
  });
}

void door_core::apply(door_plan next) {
  peers = std::move(next.peers);
  locals.clear();
  std::set<port_id> wanted;
  for (auto& service : next.services) {
    const auto id = published_port::id_of(service);
    if (!wanted.insert(id).second)
      continue;
    auto& port = ports[id];
    const bool is_new = !port || port->service.name != service.name || port->service.scope != service.scope
                        || port->service.address != service.address;
    if (is_new && port)
      close(*port);
    if (is_new)
      port = std::make_shared<published_port>(*this, service);
    port->service = service;
    port->backends.set(service.backends);
    for (const auto& backend : service.backends)
      if (backend.is_local())
        locals[{service.protocol, port->target(), backend.instance}] = backend;
    if (is_new)
      listen(*port);
    // They may find the way now.
    const auto waiting = port->waiting;
    for (const auto& [ticket, wake] : waiting)
      wake();
  }
  for (auto it = ports.begin(); it != ports.end();) {
    if (wanted.count(it->first) == 0) {
      close(*it->second);
      it = ports.erase(it);
    } else {
      ++it;
    }
  }
  end_lost_tunnels();
}

void door_core::close(published_port& port) {
  port.is_closed = true;
  port.retry.cancel();
  stop_listening(port);
  port.backends.set({});
}

void door_core::end_lost_tunnels() {
  const auto is_lost = [&](const std::string& host) {
    const auto peer = peers.find(host);
    return peer == peers.end() || peer->second.is_lost;
  };
  for (auto it = idle_tunnels.begin(); it != idle_tunnels.end();) {
    if (!is_lost(it->first)) {
      ++it;
      continue;
    }
    for (const auto& idle : it->second)
      idle->close();
    it = idle_tunnels.erase(it);
  }
  const auto all = lives;
  for (const auto& life : all)
    if (const auto host = life->remote_host(); !host.empty() && is_lost(host))
      life->abort();
}

void door_core::remove(const std::shared_ptr<door_life>& life) {
  lives.erase(life);
}

void door_core::end_connection(published_port& port) {
  --connections;
  --port.open;
  resume_accepting();
}

const door_backend* door_core::find_local(const door_request& request) const {
  const auto it = locals.find({request.protocol, request.port, request.instance});
  return it != locals.end() && it->second.generation == request.generation ? &it->second : nullptr;
}

std::shared_ptr<void> door_core::use_local(const backend_key& key) {
  ++local_uses[key].connections;
  return {nullptr, [this, key](std::nullptr_t) {
            const auto it = local_uses.find(key);
            if (--it->second.connections != 0)
              return;
            const auto waiting = std::move(it->second.waiting);
            local_uses.erase(it);
            for (const auto& done : waiting)
              done();
          }};
}

void door_core::when_unused(const backend_key& key, std::function<void()> done) {
  if (const auto it = local_uses.find(key); it != local_uses.end())
    it->second.waiting.push_back(std::move(done));
  else
    done();
}

void door_core::sweep() {
  const auto time = now();
  const auto all = lives;
  for (const auto& life : all)
    life->sweep(time);
  for (auto& [host, idle] : idle_tunnels) {
    while (!idle.empty() && time - idle.front()->last_used() > keep_idle_tunnels) {
      idle.front()->close();
      idle.erase(idle.begin());
    }
    for (const auto& kept : idle)
      kept->give_back();
  }
  resume_accepting();
  if (std::exchange(are_tunnels_paused, false))
    accept_tunnels(*this);
  sweep_timer.expires_after(sweep_every);
  sweep_timer.async_wait([this](error_code error) {
    if (!error)
      sweep();
  });
}

std::vector<door_listener_status> door_core::status() const {
  std::vector<door_listener_status> result;
  for (const auto& [id, port] : ports) {
    if (port->service.is_named)
      continue;
    door_listener_status x;
    x.service = port->service.name;
    x.port = port->service.port;
    x.protocol = port->service.protocol;
    x.addresses = port->addresses;
    x.problem = port->problem;
    x.accepted = port->accepted;
    x.unserved = port->unserved;
    for (const auto& use : port->backends.uses())
      x.backends.push_back({use.backend.instance, use.backend.generation, use.backend.host, use.is_ready, use.open});
    result.push_back(std::move(x));
  }
  return result;
}

void door_core::stop() {
  io.stop();
  if (thread.joinable())
    thread.join();
  for (auto& [instance, use] : local_uses)
    use.waiting.clear();
  const auto all = lives;
  for (const auto& life : all)
    life->abort();
  lives.clear();
  for (const auto& [id, port] : ports) {
    close(*port);
    port->waiting.clear();
  }
  ports.clear();
  for (const auto& [host, idle] : idle_tunnels)
    for (const auto& kept : idle)
      kept->reset();
  idle_tunnels.clear();
  paused_acceptors.clear();
}

// -- the interface -------------------------------------------------------------------------------------------------------

namespace {

class real_door : public front_door {
public:
  explicit real_door(door_options options) : core_(std::make_unique<door_core>(std::move(options))) {
    core_->start();
    core_->thread = std::thread([core = core_.get()] { core->io.run(); });
  }

  ~real_door() override { core_->stop(); }

  void apply(door_plan plan) override {
    asio::post(core_->io, [core = core_.get(), plan = std::move(plan)]() mutable { core->apply(std::move(plan)); });
  }

  void when_unused(const backend_key& instance, std::function<void()> done) override {
    asio::post(core_->io, [core = core_.get(), instance, done = std::move(done)]() mutable {
      core->when_unused(instance, std::move(done));
    });
  }

  std::uint16_t tunnel_port() const override { return core_->tunnel_port; }

  void status(std::function<void(std::vector<door_listener_status>)> done) const override {
    asio::post(core_->io, [core = core_.get(), done = std::move(done)] { done(core->status()); });
  }

private:
  std::unique_ptr<door_core> core_;
};

} // namespace

std::unique_ptr<front_door> make_front_door(door_options options) {
  return std::make_unique<real_door>(std::move(options));
}

} // namespace prunella::net
