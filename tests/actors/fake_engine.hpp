#pragma once

// A program at a unix socket that answers what a test says, byte by byte, or not at all.

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/storage/temporary_folder.hpp"

namespace prunella::tests {

inline std::string http_text(int status, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

/// What a Docker of this API version says of itself.
inline std::string docker_version(const std::string& api = "1.41") {
  return http_text(200, R"({"Version":"24.0.7","ApiVersion":")" + api + R"(","MinAPIVersion":"1.12"})");
}

class fake_engine {
public:
  /// The bytes to answer a request line (`GET /version`) with, after which the connection ends; nothing: it hangs.
  using script = std::function<std::optional<std::string>(const std::string& line)>;

  explicit fake_engine(script answer) : answer_(std::move(answer)), wake_(::eventfd(0, EFD_CLOEXEC)) {
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket().copy(address.sun_path, sizeof address.sun_path - 1);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 16) != 0)
      throw std::runtime_error("no socket at " + socket());
    thread_ = std::thread{[this] { serve(); }};
  }
  fake_engine(const fake_engine&) = delete;
  fake_engine& operator=(const fake_engine&) = delete;
  ~fake_engine() {
    ::eventfd_write(wake_, 1);
    thread_.join();
    for (const int fd : hung_)
      ::close(fd);
    ::close(listener_);
    ::close(wake_);
  }

  std::string socket() const { return folder_ / "socket"; }
  std::vector<std::string> lines() const {
    const std::lock_guard lock{mutex_};
    return lines_;
  }

private:
  void serve() {
    for (;;) {
      pollfd waiting[2]{{wake_, POLLIN, 0}, {listener_, POLLIN, 0}};
      ::poll(waiting, 2, -1);
      if (waiting[0].revents != 0)
        return;
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      std::string text;
      char buffer[4096];
      while (text.find("\r\n\r\n") == std::string::npos) {
        const auto n = ::read(fd, buffer, sizeof buffer);
        if (n <= 0)
          break;
        text.append(buffer, static_cast<std::size_t>(n));
      }
      auto line = text.substr(0, text.find(" HTTP/"));
      const auto answer = answer_(line);
      {
        const std::lock_guard lock{mutex_};
        lines_.push_back(std::move(line));
      }
      if (!answer) {
        hung_.push_back(fd);
        continue;
      }
      static_cast<void>(::send(fd, answer->data(), answer->size(), MSG_NOSIGNAL));
      ::shutdown(fd, SHUT_WR);
      while (::read(fd, buffer, sizeof buffer) > 0) // what was sent on must not reset what it is to read
        continue;
      ::close(fd);
    }
  }

  temporary_folder folder_;
  const script answer_;
  int wake_;
  int listener_;
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
  std::vector<int> hung_; ///< the thread's own
  std::thread thread_;
};

} // namespace prunella::tests
