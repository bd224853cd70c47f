#include "net/door/datagrams.hpp"

#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>

#include <sys/socket.h>

#include "net/door/datagram_link.hpp"
#include "net/door/held_datagrams.hpp"

namespace prunella::net {

namespace {

constexpr int datagrams_at_once = 32;

in6_addr mapped(in_addr address) {
  in6_addr result{};
  result.s6_addr[10] = result.s6_addr[11] = 0xff;
  std::memcpy(result.s6_addr + 12, &address, sizeof address);
  return result;
}

} // namespace

bool datagram_client::operator<(const datagram_client& x) const {
  const auto order = std::memcmp(&local.ipi6_addr, &x.local.ipi6_addr, sizeof local.ipi6_addr);
  return std::tie(from, order) < std::tuple{x.from, 0};
}

// -- flows ---------------------------------------------------------------------------------------------------------------

/// What one client says to one instance, and back. Without a datagram it ends; the next one finds another instance.
class datagram_flow : public door_life, public std::enable_shared_from_this<datagram_flow> {
public:
  datagram_flow(std::shared_ptr<published_port> port, std::size_t socket, datagram_client client)
    : core_(port->core), port_(std::move(port)), socket_(socket), client_(client), held_(core_.held_datagram_bytes) {}

  void start() {
    ++core_.flows;
    ++port_->accepted;
    core_.add(shared_from_this());
  }

  void on_client(std::string_view payload) {
    last_move_ = door_core::now();
    if (link_ && !port_->backends.is_ready(key_))
      leave(); // it is being stopped
    if (!link_ && !is_opening_)
      open();
    if (link_)
      link_->send(payload);
    else if (is_opening_)
      held_.add(payload);
  }

  void sweep(door_time now) override {
    if (now - last_move_ > core_.options.flow_timeout)
      abort();
  }

  void abort() override {
    if (std::exchange(is_over_, true))
      return;
    leave();
    --core_.flows;
    const auto self = shared_from_this();
    if (port_->datagrams)
      port_->datagrams->forget(socket_, client_);
    core_.remove(self);
  }

private:
  datagram_link::events events() {
    const std::weak_ptr<datagram_flow> weak = shared_from_this();
    return {[weak](std::string_view payload) {
              if (const auto self = weak.lock())
                self->on_backend(payload);
            },
            [weak] {
              if (const auto self = weak.lock())
                self->on_lost();
            }};
  }

  void open() {
    const auto now = door_core::now();
    const auto* backend = port_->backends.choose(now);
    if (backend == nullptr) {
      ++port_->unserved;
      return;
    }
    key_ = backend->key();
    has_backend_ = true;
    if (backend->is_local()) {
      link_ = link_local(core_, backend->addresses.front(), events());
      if (!link_)
        on_lost();
      return;
    }
    is_opening_ = true;
    const door_request request{port_->service.protocol, port_->target(), backend->generation, backend->instance};
    open_tunnel(core_, backend->host, request, now + core_.options.attempt.connect_timeout,
                [self = shared_from_this()](std::shared_ptr<tunnel> granted, const std::string&) {
                  self->on_tunnel(std::move(granted));
                });
  }

  void on_tunnel(std::shared_ptr<tunnel> granted) {
    is_opening_ = false;
    if (is_over_ && granted)
      return granted->reset();
    if (is_over_)
      return;
    if (!granted) {
      on_lost();
      if (!held_.empty() && !std::exchange(has_tried_again_, true)) { // another instance may have them
        open();
        flush();
      }
      if (!is_opening_)
        held_.clear();
      return;
    }
    link_ = link_tunnel(std::move(granted), events());
    flush();
  }

  void flush() {
    while (link_ && !held_.empty())
      link_->send(held_.take());
  }

  void on_backend(std::string_view payload) {
    last_move_ = door_core::now();
    has_tried_again_ = false;
    port_->backends.connected(key_);
    if (port_->datagrams)
      port_->datagrams->answer(socket_, client_, payload);
  }

  void on_lost() {
    link_ = nullptr;
    if (std::exchange(has_backend_, false))
      port_->backends.failed(key_, door_core::now());
  }

  void leave() {
    if (const auto link = std::exchange(link_, nullptr))
      link->close();
    if (std::exchange(has_backend_, false))
      port_->backends.closed(key_);
  }

  door_core& core_;
  std::shared_ptr<published_port> port_;
  std::size_t socket_;
  datagram_client client_;
  std::shared_ptr<datagram_link> link_;
  backend_key key_;
  held_datagrams held_;
  door_time last_move_ = door_core::now();
  bool has_backend_ = false;
  bool is_opening_ = false;
  bool has_tried_again_ = false;
  bool is_over_ = false;
};

// -- the port ------------------------------------------------------------------------------------------------------------

datagram_port::~datagram_port() = default;

error_code datagram_port::listen(const asio::ip::address& address) {
  error_code error;
  auto socket = std::make_unique<udp::socket>(port_.core.io);
  const udp::endpoint endpoint(address, port_.service.port);
  socket->open(endpoint.protocol(), error);
  const int on = 1;
  if (!error && address.is_v6()) {
    socket->set_option(asio::ip::v6_only(!address.is_unspecified()), error);
    ::setsockopt(socket->native_handle(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  } else if (!error) {
    ::setsockopt(socket->native_handle(), IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  }
  if (!error)
    socket->non_blocking(true, error);
  if (!error)
    socket->set_option(shared_number{true}, error);
  if (!error)
    error = taken_by_others(port_, endpoint);
  if (!error)
    socket->bind(endpoint, error);
  if (error)
    return error;
  sockets_.push_back(std::move(socket));
  wait(sockets_.size() - 1);
  return {};
}

void datagram_port::close() {
  error_code ignored;
  for (auto& socket : sockets_)
    socket->close(ignored);
  const auto all = std::move(flows_);
  flows_.clear();
  for (const auto& [key, flow] : all)
    flow->abort();
}

void datagram_port::wait(std::size_t socket) {
  sockets_[socket]->async_wait(udp::socket::wait_read, [self = shared_from_this(), port = port_.shared_from_this(),
                                                        socket](error_code error) {
    if (!error && self->sockets_[socket]->is_open())
      self->receive(socket);
  });
}

void datagram_port::receive(std::size_t socket) {
  for (int i = 0; i < datagrams_at_once; ++i) {
    datagram_client client;
    auto& buffer = port_.core.buffer;
    iovec part{buffer.data(), buffer.size()};
    alignas(cmsghdr) char control[256];
    msghdr message{};
    message.msg_name = client.from.data();
    message.msg_namelen = static_cast<socklen_t>(client.from.capacity());
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const auto got = ::recvmsg(sockets_[socket]->native_handle(), &message, 0);
    if (got < 0)
      break;
    client.from.resize(message.msg_namelen);
    for (auto* x = CMSG_FIRSTHDR(&message); x != nullptr; x = CMSG_NXTHDR(&message, x)) {
      if (x->cmsg_level == IPPROTO_IPV6 && x->cmsg_type == IPV6_PKTINFO) {
        std::memcpy(&client.local, CMSG_DATA(x), sizeof client.local);
        client.has_local = true;
      } else if (x->cmsg_level == IPPROTO_IP && x->cmsg_type == IP_PKTINFO) {
        in_pktinfo info{};
        std::memcpy(&info, CMSG_DATA(x), sizeof info);
        client.local.ipi6_addr = mapped(info.ipi_spec_dst);
        client.has_local = true;
      }
    }
    client.local.ipi6_ifindex = 0; // the way back may be another
    on_datagram(socket, client, {buffer.data(), static_cast<std::size_t>(got)});
  }
  if (sockets_[socket]->is_open())
    wait(socket);
}

void datagram_port::on_datagram(std::size_t socket, const datagram_client& client, std::string_view payload) {
  auto it = flows_.find({socket, client});
  if (it == flows_.end()) {
    if (!may_take_one_more(flows_.size(), port_.core.flows, port_.core.options.max_flows)) {
      ++port_.unserved;
      return;
    }
    it = flows_.emplace(flow_key{socket, client}, std::make_shared<datagram_flow>(port_.shared_from_this(), socket, client)).first;
    it->second->start();
  }
  const auto flow = it->second; // it may end over it
  flow->on_client(payload);
}

void datagram_port::answer(std::size_t socket, const datagram_client& client, std::string_view payload) {
  if (socket >= sockets_.size())
    return;
  auto to = client.from;
  iovec part{const_cast<char*>(payload.data()), payload.size()}; // sendmsg does not write
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))] = {};
  msghdr message{};
  message.msg_name = to.data();
  message.msg_namelen = static_cast<socklen_t>(to.size());
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (client.has_local) {
    message.msg_control = control;
    const bool is_v4 = to.protocol() == udp::v4();
    message.msg_controllen = is_v4 ? CMSG_SPACE(sizeof(in_pktinfo)) : CMSG_SPACE(sizeof(in6_pktinfo));
    auto* x = CMSG_FIRSTHDR(&message);
    x->cmsg_level = is_v4 ? IPPROTO_IP : IPPROTO_IPV6;
    x->cmsg_type = is_v4 ? IP_PKTINFO : IPV6_PKTINFO;
    if (is_v4) {
      in_pktinfo info{};
      std::memcpy(&info.ipi_spec_dst, client.local.ipi6_addr.s6_addr + 12, sizeof info.ipi_spec_dst);
      x->cmsg_len = CMSG_LEN(sizeof info);
      std::memcpy(CMSG_DATA(x), &info, sizeof info);
    } else {
      x->cmsg_len = CMSG_LEN(sizeof client.local);
      std::memcpy(CMSG_DATA(x), &client.local, sizeof client.local);
    }
  }
  // A full queue loses it, as any network may.
  [[maybe_unused]] const auto sent = ::sendmsg(sockets_[socket]->native_handle(), &message, MSG_NOSIGNAL);
}

void datagram_port::forget(std::size_t socket, const datagram_client& client) {
  flows_.erase({socket, client});
}

// -- for another door ----------------------------------------------------------------------------------------------------

namespace {

class carried_flow : public door_life, public std::enable_shared_from_this<carried_flow> {
public:
  carried_flow(door_core& core, std::function<void(bool)> on_end) : core_(core), on_end_(std::move(on_end)) {}

  void start(std::shared_ptr<tunnel> carrier, const std::string& address) {
    core_.add(shared_from_this());
    const std::weak_ptr<carried_flow> weak = shared_from_this();
    const auto lost = [weak] {
      if (const auto self = weak.lock())
        self->abort();
    };
    const auto pass_to = [weak](std::shared_ptr<datagram_link> carried_flow::*to) {
      return [weak, to](std::string_view payload) {
        const auto self = weak.lock();
        if (!self || !((*self).*to))
          return;
        self->last_move_ = door_core::now();
        ((*self).*to)->send(payload);
      };
    };
    local_ = link_local(core_, address, {pass_to(&carried_flow::remote_), lost});
    remote_ = link_tunnel(std::move(carrier), {pass_to(&carried_flow::local_), lost});
    if (!local_)
      abort();
  }

  /// The asker ends its flow first, unless it is gone.
  void sweep(door_time now) override {
    if (now - last_move_ > 2 * core_.options.flow_timeout)
      abort();
  }

  void abort() override {
    const auto on_end = std::exchange(on_end_, nullptr);
    if (!on_end)
      return;
    const auto self = shared_from_this();
    for (auto* link : {&local_, &remote_})
      if (const auto open = std::exchange(*link, nullptr))
        open->close();
    core_.remove(self);
    on_end(false);
  }

private:
  door_core& core_;
  std::function<void(bool)> on_end_;
  std::shared_ptr<datagram_link> local_;
  std::shared_ptr<datagram_link> remote_;
  door_time last_move_ = door_core::now();
};

} // namespace

void serve_datagrams(door_core& core, std::shared_ptr<tunnel> carrier, const std::string& address,
                     std::function<void(bool is_clean)> on_end) {
  std::make_shared<carried_flow>(core, std::move(on_end))->start(std::move(carrier), address);
}

} // namespace prunella::net
