#pragma once

// A connected socket and the one place that watches all of them. Private to net/door.
//
// epoll beside Asio's: Asio arms a descriptor anew for each wait, which is a call into the kernel per message and, where it was
// ever waited on for writing, an event more. Here a socket is armed once, edge-triggered, and many that are ready cost one call.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <unordered_map>

#include <sys/types.h>

#include <boost/asio/ip/tcp.hpp>

namespace prunella::net {

/// Tells sockets that they can be read or written. One thread; outlived by no socket that holds it.
class socket_watch {
public:
  /// What a socket knows of itself since it was told last, and who waits for more.
  struct watched {
    bool is_readable = true;
    bool is_writable = true;
    bool has_ended = false; ///< for reading: nothing new is told any more
    std::function<void()> reader;
    std::function<void()> writer;
  };

  /// Throws std::system_error where the process has no descriptor left.
  socket_watch();
  socket_watch(const socket_watch&) = delete;
  socket_watch& operator=(const socket_watch&) = delete;
  ~socket_watch();

  /// Readable when a socket has something to be told.
  int fd() const { return fd_; }

  /// Tells those that have something, a bounded number of them.
  void run();

  /// `socket` is told until it is taken out with the number that is returned; 0: the kernel refused.
  std::uint64_t add(int fd, watched& socket);
  void remove(std::uint64_t number) { sockets_.erase(number); }

private:
  void tell(std::uint64_t number, std::uint32_t events);

  int fd_;
  std::uint64_t last_ = 0;
  std::unordered_map<std::uint64_t, watched*> sockets_;
};

/// Owns a connected socket. A waiter is called once, never within `wait_…`, and not any more after `close` or `reset`.
class watched_socket {
public:
  static constexpr ssize_t again = -1;  ///< nothing now: wait
  static constexpr ssize_t broken = -2; ///< the connection was lost

  watched_socket(std::shared_ptr<socket_watch> watch, boost::asio::io_context& io, boost::asio::ip::tcp::socket socket);
  watched_socket(const watched_socket&) = delete;
  watched_socket& operator=(const watched_socket&) = delete;
  ~watched_socket() { close(); }

  int fd() const { return fd_; }
  /// Up to `size` bytes; 0: the peer said its last.
  ssize_t read(char* data, std::size_t size);
  ssize_t write(const char* data, std::size_t size);
  /// After `read` had less than it was asked for.
  void wait_read(std::function<void()> ready);
  /// After `write` took less than it was given.
  void wait_write(std::function<void()> ready);
  /// No more bytes will be written.
  void end_writing();
  void close();
  /// The peer takes notice.
  void reset();

private:
  void post(std::function<void()> socket_watch::watched::*waiter);

  std::shared_ptr<socket_watch> watch_;
  boost::asio::io_context& io_;
  int fd_ = -1;
  std::uint64_t number_ = 0;
  std::shared_ptr<socket_watch::watched> state_ = std::make_shared<socket_watch::watched>();
};

} // namespace prunella::net
