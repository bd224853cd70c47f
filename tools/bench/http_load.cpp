#include "tools/bench/http_load.hpp"

#include <array>
#include <memory>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace prunella::bench {

namespace {

using clock_type = std::chrono::steady_clock;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "bench_http: %s\n", why.c_str());
  std::exit(1);
}

/// The length of the whole answer at the front of `text`; 0 while its header is not complete.
std::size_t answer_length(std::string_view text) {
  const auto end = text.find("\r\n\r\n");
  if (end == std::string_view::npos)
    return 0;
  if (text.substr(0, 12) != "HTTP/1.1 200")
    stop("an answer was not 200: " + std::string(text.substr(0, 400)));
  constexpr std::string_view name = "\r\nContent-Length: ";
  const auto at = text.find(name);
  if (at == std::string_view::npos || at > end)
    stop("an answer has no Content-Length");
  return end + 4 + std::strtoul(text.data() + at + name.size(), nullptr, 10);
}

class connection {
public:
  connection(std::uint16_t port, const std::string& request) : request_(request) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd_ < 0 || ::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
      stop("cannot connect to port " + std::to_string(port));
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() { ::close(fd_); }

  int fd() const { return fd_; }

  void send() {
    sent_at_ = clock_type::now();
    if (::send(fd_, request_.data(), request_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request_.size()))
      stop("a connection ended");
  }

  /// Reads once; microseconds since the request if that completed its answer, otherwise a negative number.
  double receive() {
    std::array<char, 16 * 1024> part;
    const auto got = ::recv(fd_, part.data(), part.size(), 0);
    if (got <= 0)
      stop("a connection ended");
    text_.append(part.data(), static_cast<std::size_t>(got));
    if (length_ == 0)
      length_ = answer_length(text_);
    if (length_ == 0 || text_.size() < length_)
      return -1;
    if (text_.size() > length_)
      stop("more than one answer to one request");
    text_.clear();
    length_ = 0;
    return std::chrono::duration<double, std::micro>(clock_type::now() - sent_at_).count();
  }

private:
  const std::string& request_;
  int fd_ = -1;
  std::string text_;
  std::size_t length_ = 0;
  clock_type::time_point sent_at_;
};

} // namespace

http_load_result run_http_load(const http_load_options& options) {
  const auto shown = options.token.empty() ? std::string{} : "Authorization: Bearer " + options.token + "\r\n";
  const std::string request =
    "GET " + options.target + " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(options.port) + "\r\n" + shown + "Accept: */*\r\n\r\n";
  const int poller = ::epoll_create1(EPOLL_CLOEXEC);
  std::vector<std::unique_ptr<connection>> connections;
  for (int i = 0; i < options.connections; ++i) {
    connections.push_back(std::make_unique<connection>(options.port, request));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = connections.back().get();
    ::epoll_ctl(poller, EPOLL_CTL_ADD, connections.back()->fd(), &event);
  }
  http_load_result result;
  const auto start = clock_type::now();
  const auto end = start + std::chrono::duration_cast<clock_type::duration>(options.length);
  for (auto& each : connections)
    each->send();
  for (int waiting = options.connections; waiting > 0;) {
    std::array<epoll_event, 64> events;
    const int ready = ::epoll_wait(poller, events.data(), static_cast<int>(events.size()), 10'000);
    if (ready <= 0)
      stop("no answer within 10 s");
    for (int i = 0; i < ready; ++i) {
      auto& each = *static_cast<connection*>(events[static_cast<std::size_t>(i)].data.ptr);
      const auto latency = each.receive();
      if (latency < 0)
        continue;
      result.latencies_us.push_back(latency);
      if (clock_type::now() < end)
        each.send();
      else
        --waiting;
    }
  }
  const std::chrono::duration<double> took = clock_type::now() - start;
  result.requests_per_second = static_cast<double>(result.latencies_us.size()) / took.count();
  ::close(poller);
  return result;
}

} // namespace prunella::bench
