#pragma once

// The few socket calls that links need beside CAF's: none of them blocks.

#include <cstdint>
#include <string>
#include <string_view>

#include <sys/socket.h>

namespace prunella::net {

/// A numeric address with its port.
struct socket_address {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

/// `HOST:PORT` → HOST (without the brackets of an IPv6 address) and port 0 … 65535. False if it is not of
/// that form.
bool split_address(std::string_view text, std::string& host, std::uint16_t& port);
/// Inverse of `split_address`.
std::string join_address(const std::string& host, std::uint16_t port);

/// Reads `1.2.3.4:7001` or `[::1]:7001` (a `%zone` may follow an IPv6 address). False, and why in `problem`, if it is
/// neither.
bool parse_socket_address(std::string_view text, socket_address& out, std::string& problem);
std::string to_text(const socket_address& address);

/// A listening, non-blocking socket that no child process inherits. -1, and why in `problem`, on failure.
int listen_on(const socket_address& address, std::string& problem);
/// The address `fd` is bound to; its port is the one the kernel chose for port 0.
std::string bound_address(int fd);
/// A socket whose connect is under way or done. -1, and why in `problem`, if that failed at once.
int start_connect(const socket_address& address, std::string& problem);
/// Small frames must not wait for Nagle's algorithm.
void set_no_delay(int fd);
/// How many bytes of `bytes` the kernel takes at once; 0 also when it takes none for now or the connection is broken.
std::size_t write_now(int fd, std::string_view bytes);
/// Says that no more bytes come, after those that were written.
void end_writing(int fd);
/// Ends both directions at once. CAF's close() alone keeps a stalled peer's socket and buffer for ever.
void abort_socket(int fd);

} // namespace prunella::net
