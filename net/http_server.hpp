#pragma once

// HTTP/1.1 server for loopback: the agent's local API. Beast and Asio stay in the source file.
//
// One thread serves all connections and runs the handler, which hands the request on (to a bridge actor, CAF.md §9) and
// returns; the answer may come from any thread. A connection works on one request at a time: what a client pipelines
// behind it waits in the kernel's buffer and is answered in order, so nothing queues in here.
//
// Memory is bounded by max_connections * (max_body_bytes + max_header_bytes + the answer).

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "net/http.hpp"

namespace prunella::net {

struct http_server_options {
  /// `127.0.0.1:PORT`, `[::1]:PORT` or `localhost:PORT`; port 0 takes a free one. There is no TLS here, so any address
  /// that is not loopback is refused.
  std::string address = "127.0.0.1:0";
  std::size_t max_header_bytes = 16 * 1024;       ///< of the first line and all fields; more: 431
  std::size_t max_target_bytes = 8 * 1024;        ///< of path and query; more: 414
  std::size_t max_body_bytes = 1024 * 1024;       ///< more: 413
  std::size_t max_connections = 128;              ///< the next one gets 503 and is closed
  std::chrono::milliseconds idle_timeout{60'000}; ///< between requests; then closed
  std::chrono::milliseconds header_timeout{
      10'000};                                    ///< from a request's first byte to the end of its header; then 408
  std::chrono::milliseconds body_timeout{30'000}; ///< for a request's body; then 408
  std::chrono::milliseconds answer_deadline{10'000}; ///< for the handler's answer; then 504
  std::chrono::milliseconds write_timeout{30'000};   ///< for a client to take an answer; then closed
  /// How much the server's thread gives way to others on this machine when there is not enough CPU: 0 … 19, as in nice(1).
  int niceness = 0;
  /// Names besides `localhost` and loopback addresses that requests may carry as `Host` and `Origin`, without port.
  std::vector<std::string> more_host_names;
  /// The secret that requests must show (`check_token`), but those for `open_paths`; empty: none. Other answers: 401.
  std::string token;
  std::vector<std::string> open_paths;
};

/// Counted since the start; `open_connections` is the present number.
struct http_server_counters {
  std::uint64_t connections = 0;
  std::uint64_t refused_connections = 0; ///< over max_connections
  std::uint64_t open_connections = 0;
  std::uint64_t requests = 0;          ///< given to the handler
  std::uint64_t refused_requests = 0;  ///< answered 4xx here, before the handler
  std::uint64_t missed_deadlines = 0;  ///< answered 504 here
  std::uint64_t timed_out_clients = 0; ///< closed for being silent or slow within a request or an answer
};

struct http_server_core;

class http_server {
public:
  /// Binds, listens and starts the thread. Throws std::runtime_error with a sentence that says what to change when the
  /// address is malformed, is not loopback, or is in use.
  http_server(http_server_options options, http_handler handler);

  /// Same as `stop`.
  ~http_server();

  http_server(const http_server&) = delete;
  http_server& operator=(const http_server&) = delete;

  /// The port it listens on.
  [[nodiscard]] std::uint16_t port() const;

  /// `http://127.0.0.1:PORT`.
  [[nodiscard]] std::string url() const;

  [[nodiscard]] http_server_counters counters() const;

  /// Closes all connections and joins the thread; afterwards the handler is neither running nor kept. Answers that come
  /// later go nowhere. Not to be called from the handler.
  void stop();

private:
  std::shared_ptr<http_server_core> core_;
};

} // namespace prunella::net
