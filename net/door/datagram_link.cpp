#include "net/door/datagram_link.hpp"

#include <cerrno>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/ip/udp.hpp>

#include "net/link_socket.hpp"

namespace prunella::net {

namespace {

constexpr int datagrams_at_once = 32;
constexpr std::size_t max_unsent = 32 * 1024; ///< then further ones are lost, as in a full queue of any router

class local_link : public datagram_link, public std::enable_shared_from_this<local_link> {
public:
  local_link(door_core& core, asio::ip::udp::socket socket, events e)
    : core_(core), socket_(std::move(socket)), events_(std::move(e)) {}

  void wait() {
    socket_.async_wait(asio::ip::udp::socket::wait_read, [self = shared_from_this()](error_code error) {
      if (!error)
        self->receive();
    });
  }

  void send(std::string_view payload) override {
    if (::send(socket_.native_handle(), payload.data(), payload.size(), MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
      lose();
  }

  void close() override {
    events_ = {};
    error_code ignored;
    socket_.close(ignored);
  }

private:
  void receive() {
    const auto self = shared_from_this();
    for (int i = 0; i < datagrams_at_once && events_.on_datagram; ++i) {
      const auto got = ::recv(socket_.native_handle(), core_.buffer.data(), core_.buffer.size(), 0);
      if (got < 0 && errno == ECONNREFUSED) // ICMP: nobody listens there
        return lose();
      if (got < 0)
        break;
      events_.on_datagram({core_.buffer.data(), static_cast<std::size_t>(got)});
    }
    if (events_.on_datagram)
      wait();
  }

  void lose() {
    const auto lost = std::move(events_.on_lost);
    close();
    if (lost)
      lost();
  }

  door_core& core_;
  asio::ip::udp::socket socket_;
  events events_;
};

class tunnel_link : public datagram_link, public std::enable_shared_from_this<tunnel_link> {
public:
  tunnel_link(std::shared_ptr<tunnel> carrier, events e) : tunnel_(std::move(carrier)), events_(std::move(e)) {}

  void wait() {
    tunnel_->wait_frame([self = shared_from_this()] { self->receive(); });
  }

  void send(std::string_view payload) override {
    if (tunnel_->unsent() <= max_unsent)
      tunnel_->send(door_frame_type::data, payload);
  }

  void close() override {
    events_ = {};
    tunnel_->reset();
  }

private:
  void receive() {
    door_frame frame;
    while (events_.on_datagram) {
      const auto state = tunnel_->next(frame);
      if (state == frame_state::partial)
        return wait();
      if (state != frame_state::complete || frame.type != door_frame_type::data)
        break;
      const std::string payload{frame.payload};
      tunnel_->consume(frame);
      events_.on_datagram(payload);
    }
    const auto lost = std::move(events_.on_lost);
    close();
    if (lost)
      lost();
  }

  std::shared_ptr<tunnel> tunnel_;
  events events_;
};

} // namespace

std::shared_ptr<datagram_link> link_local(door_core& core, const std::string& address, datagram_link::events events) {
  socket_address parsed;
  std::string problem;
  if (!parse_socket_address(address, parsed, problem))
    return nullptr;
  const int family = parsed.storage.ss_family;
  const int fd = ::socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return nullptr;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&parsed.storage), parsed.size) != 0) {
    ::close(fd);
    return nullptr;
  }
  asio::ip::udp::socket socket(core.io, family == AF_INET6 ? asio::ip::udp::v6() : asio::ip::udp::v4(), fd);
  auto link = std::make_shared<local_link>(core, std::move(socket), std::move(events));
  link->wait();
  return link;
}

std::shared_ptr<datagram_link> link_tunnel(std::shared_ptr<tunnel> carrier, datagram_link::events events) {
  auto link = std::make_shared<tunnel_link>(std::move(carrier), std::move(events));
  link->wait();
  return link;
}

} // namespace prunella::net
