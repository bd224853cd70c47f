#include "net/link_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <system_error>

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
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

bool split_address(std::string_view text, std::string& host, std::uint16_t& port) {
  const auto colon = std::min(text.rfind(':'), text.size());
  const auto digits = text.substr(std::min(colon + 1, text.size()));
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  host = text.substr(0, colon);
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets)
    host = host.substr(1, host.size() - 2);
  return !host.empty() && code == std::errc{} && end == digits.data() + digits.size() &&
         brackets == (host.find(':') != std::string::npos);
}

std::string join_address(const std::string& host, std::uint16_t port) {
  const bool brackets = host.find(':') != std::string::npos;
  return (brackets ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool parse_socket_address(std::string_view text, socket_address& out, std::string& problem) {
  problem = "'" + std::string(text) + "' is not a numeric address with a port, such as 192.0.2.7:7001 or [2001:db8::7]:7001";
  std::string host;
  std::uint16_t port = 0;
  if (!split_address(text, host, port))
    return false;
  out = socket_address{};
  if (auto* v4 = reinterpret_cast<sockaddr_in*>(&out.storage); ::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    out.size = sizeof *v4;
    return true;
  }
  const auto percent = std::min(host.find('%'), host.size());
  const auto zone = percent < host.size() ? ::if_nametoindex(host.c_str() + percent + 1) : 0;
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&out.storage);
  if (::inet_pton(AF_INET6, host.substr(0, percent).c_str(), &v6->sin6_addr) == 1 && (percent == host.size() || zone != 0)) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    v6->sin6_scope_id = zone;
    out.size = sizeof *v6;
    return true;
  }
  return false;
}

std::string to_text(const socket_address& address) {
  char host[NI_MAXHOST] = {};
  char port[NI_MAXSERV] = {};
  if (::getnameinfo(reinterpret_cast<const sockaddr*>(&address.storage), address.size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "an address that cannot be read";
  return join_address(host, static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10)));
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

std::size_t write_now(int fd, std::string_view bytes) {
  const auto taken = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  return taken > 0 ? static_cast<std::size_t>(taken) : 0;
}

void end_writing(int fd) {
  ::shutdown(fd, SHUT_WR);
}

void abort_socket(int fd) {
  ::shutdown(fd, SHUT_RDWR);
}

} // namespace prunella::net
