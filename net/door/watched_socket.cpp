#include "net/door/watched_socket.hpp"

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>

namespace prunella::net {

namespace {

constexpr int told_at_once = 128;

ssize_t result(ssize_t got) {
  if (got >= 0)
    return got;
  return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR ? watched_socket::again : watched_socket::broken;
}

} // namespace

// -- the watch -----------------------------------------------------------------------------------------------------------

socket_watch::socket_watch() : fd_(::epoll_create1(EPOLL_CLOEXEC)) {
  if (fd_ < 0)
    throw std::system_error(errno, std::generic_category(), "no epoll for the front door");
}

socket_watch::~socket_watch() { ::close(fd_); }

std::uint64_t socket_watch::add(int fd, watched& socket) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = ++last_;
  if (::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event) != 0)
    return 0;
  sockets_.emplace(last_, &socket);
  return last_;
}

void socket_watch::run() {
  std::array<epoll_event, told_at_once> events;
  const int count = ::epoll_wait(fd_, events.data(), told_at_once, 0);
  for (int i = 0; i < count; ++i)
    tell(events[static_cast<std::size_t>(i)].data.u64, events[static_cast<std::size_t>(i)].events);
}

void socket_watch::tell(std::uint64_t number, std::uint32_t events) {
  const auto find = [&] { // who is told may end any of them
    const auto it = sockets_.find(number);
    return it == sockets_.end() ? nullptr : it->second;
  };
  if (auto* socket = find(); socket != nullptr && (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    socket->is_readable = true;
    socket->has_ended = socket->has_ended || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (const auto reader = std::exchange(socket->reader, nullptr))
      reader();
  }
  if (auto* socket = find(); socket != nullptr && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
    socket->is_writable = true;
    if (const auto writer = std::exchange(socket->writer, nullptr))
      writer();
  }
}

// -- a socket ------------------------------------------------------------------------------------------------------------

watched_socket::watched_socket(std::shared_ptr<socket_watch> watch, boost::asio::io_context& io, boost::asio::ip::tcp::socket socket)
  : watch_(std::move(watch)), io_(io) {
  boost::system::error_code error;
  socket.non_blocking(true, error);
  socket.set_option(boost::asio::ip::tcp::no_delay(true), error);
  socket.set_option(boost::asio::socket_base::keep_alive(true), error);
  error = {};
  fd_ = socket.release(error);
  if (error)
    fd_ = -1;
  if (fd_ >= 0)
    number_ = watch_->add(fd_, *state_);
  if (number_ == 0) // then reads and writes say that it is broken
    close();
}

ssize_t watched_socket::read(char* data, std::size_t size) {
  const auto got = result(::recv(fd_, data, size, 0));
  if (got == again || (got > 0 && static_cast<std::size_t>(got) < size))
    state_->is_readable = false;
  return got;
}

ssize_t watched_socket::write(const char* data, std::size_t size) {
  const auto wrote = result(::send(fd_, data, size, MSG_NOSIGNAL));
  if (wrote == again || (wrote >= 0 && static_cast<std::size_t>(wrote) < size))
    state_->is_writable = false;
  return wrote;
}

void watched_socket::wait_read(std::function<void()> ready) {
  state_->reader = std::move(ready);
  if (state_->is_readable || state_->has_ended)
    post(&socket_watch::watched::reader);
}

void watched_socket::wait_write(std::function<void()> ready) {
  state_->writer = std::move(ready);
  if (state_->is_writable)
    post(&socket_watch::watched::writer);
}

void watched_socket::post(std::function<void()> socket_watch::watched::*waiter) {
  boost::asio::post(io_, [state = state_, waiter] {
    if (const auto ready = std::exchange((*state).*waiter, nullptr))
      ready();
  });
}

void watched_socket::end_writing() { ::shutdown(fd_, SHUT_WR); }

void watched_socket::close() {
  if (number_ != 0)
    watch_->remove(std::exchange(number_, 0));
  if (fd_ >= 0)
    ::close(std::exchange(fd_, -1));
  const auto state = state_; // a waiter may hold the owner of this
  const auto reader = std::exchange(state->reader, nullptr);
  const auto writer = std::exchange(state->writer, nullptr);
}

void watched_socket::reset() {
  const linger none{1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
  close();
}

} // namespace prunella::net
