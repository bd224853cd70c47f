#pragma once

// A TCP client that sends what it is told, byte by byte, so that tests can be clients no library would be.

#include <cerrno>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

namespace prunella::tests {

class raw_client {
public:
  /// Connects to 127.0.0.1:port. Reads that wait longer than 10 s throw, so a hanging server fails the test.
  explicit raw_client(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval limit{10, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      throw std::runtime_error("raw_client: cannot connect");
  }
  ~raw_client() { ::close(fd_); }
  raw_client(const raw_client&) = delete;
  raw_client& operator=(const raw_client&) = delete;

  /// False if the server has closed meanwhile.
  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0)
        return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  void end_of_sending() { ::shutdown(fd_, SHUT_WR); }

  /// One answer: header and the body that `Content-Length` announces; what came before the end if the server closed.
  std::string read_answer(bool without_body = false) {
    for (;;) {
      const auto end = received_.find("\r\n\r\n");
      if (end != std::string::npos) {
        const auto size = end + 4 + (without_body ? 0 : content_length(received_.substr(0, end)));
        if (received_.size() >= size) {
          auto answer = received_.substr(0, size);
          received_.erase(0, size);
          return answer;
        }
      }
      if (!read_more())
        return take();
    }
  }

  /// Everything up to the close by the server.
  std::string read_to_end() {
    while (read_more()) {
    }
    return take();
  }

private:
  static std::size_t content_length(const std::string& header) {
    const auto at = header.find("Content-Length: ");
    return at == std::string::npos ? 0 : std::stoul(header.substr(at + 16));
  }

  bool read_more() {
    char bytes[4096];
    const auto size = ::recv(fd_, bytes, sizeof bytes, 0);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
      throw std::runtime_error("raw_client: the server neither answered nor closed within 10 s");
    if (size <= 0)
      return false;
    received_.append(bytes, static_cast<std::size_t>(size));
    return true;
  }

  std::string take() {
    auto all = std::move(received_);
    received_.clear();
    return all;
  }

  int fd_;
  std::string received_;
};

} // namespace prunella::tests
