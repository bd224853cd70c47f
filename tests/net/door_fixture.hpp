#pragma once

// Doors of a site on loopback, and sockets as clients and instances have them: blocking, with 10 s for everything.

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <future>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "net/door/door.hpp"
#include "net/link_socket.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace prunella::tests {

/// The same bytes each time, and not the same ones over and over.
inline std::string many_bytes(std::size_t size, unsigned seed) {
  std::minstd_rand random(seed);
  std::string bytes(size, '\0');
  for (auto& c : bytes)
    c = static_cast<char>(random());
  return bytes;
}

inline net::socket_address socket_address_of(const std::string& address) {
  net::socket_address parsed;
  std::string problem;
  if (!net::parse_socket_address(address, parsed, problem))
    throw std::runtime_error(problem);
  return parsed;
}

class test_socket {
public:
  explicit test_socket(int fd) : fd_(fd) {
    if (fd_ < 0)
      throw std::runtime_error("no socket: " + std::string(std::strerror(errno)));
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  test_socket(test_socket&& x) noexcept : fd_(std::exchange(x.fd_, -1)) {}
  test_socket& operator=(test_socket&& x) noexcept {
    std::swap(fd_, x.fd_);
    return *this;
  }
  ~test_socket() {
    if (fd_ >= 0)
      ::close(fd_);
  }

  int fd() const { return fd_; }
  std::string address() const { return net::bound_address(fd_); }

  bool send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent < 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }
  void end_of_sending() const { ::shutdown(fd_, SHUT_WR); }

  /// Exactly `size` bytes, fewer if it ended before; throws if nothing comes for 10 s or it is reset.
  std::string receive(std::size_t size) const {
    std::string bytes(size, '\0');
    std::size_t got = 0;
    while (got < size) {
      const auto n = ::recv(fd_, bytes.data() + got, size - got, 0);
      if (n < 0)
        throw std::runtime_error(std::string("receive: ") + std::strerror(errno));
      if (n == 0)
        break;
      got += static_cast<std::size_t>(n);
    }
    bytes.resize(got);
    return bytes;
  }
  std::string receive_to_end() const {
    std::string all;
    for (std::string part = receive(65'536); !part.empty(); part = receive(65'536))
      all += part;
    return all;
  }
  /// One datagram.
  std::string receive_datagram() const {
    std::string bytes(65'536, '\0');
    const auto n = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (n < 0)
      throw std::runtime_error(std::string("receive: ") + std::strerror(errno));
    bytes.resize(static_cast<std::size_t>(n));
    return bytes;
  }
  /// Whether it ended by a reset, within 10 s.
  bool is_reset() const {
    char byte = 0;
    return ::recv(fd_, &byte, 1, 0) < 0 && errno == ECONNRESET;
  }

private:
  int fd_;
};

inline test_socket connect_to(const std::string& address, int type = SOCK_STREAM) {
  const auto to = socket_address_of(address);
  test_socket socket(::socket(to.storage.ss_family, type | SOCK_CLOEXEC, 0));
  if (::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&to.storage), to.size) != 0)
    throw std::runtime_error("cannot connect to " + address + ": " + std::strerror(errno));
  return socket;
}

/// What an instance does: listens on a free port of `host`.
class test_listener {
public:
  explicit test_listener(const std::string& address = "127.0.0.1:0") : socket_(open(address, SOCK_STREAM)) {
    ::listen(socket_.fd(), 64);
  }
  std::string address() const { return socket_.address(); }
  test_socket accept() const { return test_socket(::accept4(socket_.fd(), nullptr, nullptr, SOCK_CLOEXEC)); }

  /// Bound, not listening.
  static test_socket open(const std::string& address, int type) {
    const auto at = socket_address_of(address);
    test_socket socket(::socket(at.storage.ss_family, type | SOCK_CLOEXEC, 0));
    const int on = 1;
    if (type == SOCK_STREAM)
      ::setsockopt(socket.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&at.storage), at.size) != 0)
      throw std::runtime_error("cannot bind " + address + ": " + std::strerror(errno));
    return socket;
  }

private:
  test_socket socket_;
};

/// A port that nobody uses on `host` now.
inline std::uint16_t free_port(const std::string& host, int type = SOCK_STREAM) {
  const auto address = test_listener::open(host + ":0", type).address();
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

/// Some hosts with a door each, on addresses 127.x.y.1 … of this fixture alone.
class test_doors {
public:
  explicit test_doors(int hosts, void (*change)(net::door_options&) = [](net::door_options&) {}) : change_(change) {
    std::random_device random;
    network_ = "127." + std::to_string(1 + random() % 254) + '.' + std::to_string(random() % 256) + '.';
    std::vector<std::string> ids;
    for (int i = 1; i <= hosts; ++i)
      ids.push_back(id(i));
    net::create_site_identity(folder_ / "site", "market", ids);
    for (int i = 1; i <= hosts; ++i)
      open(i);
  }

  static std::string id(int host) { return "host-" + std::to_string(host); }
  std::string address(int host) const { return network_ + std::to_string(host); }
  net::host_identity identity(int host) const {
    return net::load_identity(net::host_identity_dir(folder_ / "site", id(host)), id(host));
  }

  void open(int host) {
    net::door_options options;
    options.host = id(host);
    options.address = address(host);
    options.tunnel = address(host) + ":0";
    options.identity = identity(host);
    change_(options);
    doors_.resize(std::max(doors_.size(), static_cast<std::size_t>(host)));
    doors_[static_cast<std::size_t>(host - 1)] = net::make_front_door(options);
  }
  void close(int host) { doors_[static_cast<std::size_t>(host - 1)].reset(); }
  net::front_door& door(int host) { return *doors_[static_cast<std::size_t>(host - 1)]; }
  std::string tunnel(int host) { return address(host) + ':' + std::to_string(door(host).tunnel_port()); }

  /// Returns when it is in force: `status` is served behind it.
  std::vector<net::door_listener_status> apply(int host, std::vector<net::door_service> services, const std::string& lost = {}) {
    net::door_plan plan;
    plan.services = std::move(services);
    for (std::size_t other = 1; other <= doors_.size(); ++other)
      if (const auto number = static_cast<int>(other); number != host)
        plan.peers[id(number)] = {doors_[other - 1] ? tunnel(number) : std::string{}, id(number) == lost};
    door(host).apply(std::move(plan));
    return all(host);
  }

  std::vector<net::door_listener_status> all(int host) {
    std::promise<std::vector<net::door_listener_status>> answer;
    door(host).status([&](auto rows) { answer.set_value(std::move(rows)); });
    return answer.get_future().get();
  }
  net::door_listener_status status(int host) { return all(host).at(0); }

private:
  temporary_folder folder_;
  void (*change_)(net::door_options&);
  std::string network_;
  std::vector<std::unique_ptr<net::front_door>> doors_;
};

/// One exchange through `door`, whichever of the instances answers with its letter; '-' if the connection failed.
inline char ask_once(const std::string& address) {
  try {
    const auto client = connect_to(address);
    const auto answer = client.receive(1);
    return answer.empty() ? '-' : answer[0];
  } catch (const std::runtime_error&) {
    return '-';
  }
}

/// An instance that says its letter to each connection and ends it.
class letter_server {
public:
  explicit letter_server(char letter, const std::string& address = "127.0.0.1:0")
    : listener_(std::make_unique<test_listener>(address)), address_(listener_->address()), thread_([this, letter] {
        for (;;) {
          const auto client = listener_->accept();
          if (is_over_)
            return;
          client.send({&letter, 1});
        }
      }) {}
  ~letter_server() {
    is_over_ = true;
    try {
      connect_to(address_);
    } catch (const std::runtime_error&) {
    }
    thread_.join();
  }
  std::string address() const { return address_; }

private:
  std::atomic<bool> is_over_{false};
  std::unique_ptr<test_listener> listener_;
  std::string address_;
  std::thread thread_;
};

inline net::door_backend local_backend(const std::string& instance, const std::string& address, int host = 1) {
  return {instance, 1, test_doors::id(host), {address}};
}

inline net::door_backend remote_backend(const std::string& instance, int host) {
  return {instance, 1, test_doors::id(host), {}};
}

inline net::door_service service_on(std::uint16_t port, std::vector<net::door_backend> backends,
                                    config::port_protocol protocol = config::port_protocol::tcp) {
  return {"default.shop.web", port, protocol, config::publish_scope::all, std::move(backends)};
}

} // namespace prunella::tests
