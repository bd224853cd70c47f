#include "net/link_socket.hpp"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <system_error>

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

namespace prunella::net {

namespace {

std::string system_text() {
  return std::generic_category().message(errno);
}

int new_socket(const socket_address& address, std::string& problem) {
  const int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    problem = "cannot make a socket: " + system_text();
  return fd;
}

} // namespace

bool parse_socket_address(std::string_view text, socket_address& out, std::string& problem) {
  const auto refuse = [&] {
    problem = "'" + std::string(text) + "' is not a numeric address with a port, such as 192.0.2.7:7001 or [2001:db8::7]:7001";
    return false;
  };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0)
    return refuse();
  std::uint16_t port = 0;
  const auto digits = text.substr(colon + 1);
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (code != std::errc{} || end != digits.data() + digits.size())
    return refuse();
  const auto host = text.substr(0, colon);
  out = socket_address{};
  if (host.front() == '[' && host.back() == ']') {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out.size = sizeof *v6;
    if (::inet_pton(AF_INET6, std::string(host.substr(1, host.size() - 2)).c_str(), &v6->sin6_addr) != 1)
      return refuse();
    return true;
  }
  auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port);
  out.size = sizeof *v4;
  if (::inet_pton(AF_INET, std::string(host).c_str(), &v4->sin_addr) != 1)
    return refuse();
  return true;
}

std::string to_text(const socket_address& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.storage.ss_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
    return "[" + std::string(text) + "]:" + std::to_string(ntohs(v6->sin6_port));
  }
  const auto* v4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
  ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
  return std::string(text) + ":" + std::to_string(ntohs(v4->sin_port));
}

int listen_on(const socket_address& address, std::string& problem) {
  const int fd = new_socket(address, problem);
  if (fd < 0)
    return -1;
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0 && ::listen(fd, 128) == 0)
    return fd;
  problem = "cannot listen on " + to_text(address) + ": " + system_text();
  ::close(fd);
  return -1;
}

std::string bound_address(int fd) {
  socket_address address;
  address.size = sizeof address.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.size) != 0)
    return {};
  return to_text(address);
}

int start_connect(const socket_address& address, std::string& problem) {
  const int fd = new_socket(address, problem);
  if (fd < 0)
    return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.size) == 0 || errno == EINPROGRESS)
    return fd;
  problem = "cannot connect to " + to_text(address) + ": " + system_text();
  ::close(fd);
  return -1;
}

void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void end_writing(int fd) {
  ::shutdown(fd, SHUT_WR);
}

void abort_socket(int fd) {
  ::shutdown(fd, SHUT_RDWR);
}

} // namespace prunella::net
