#pragma once

// What the server and its connections share; all of it belongs to the server's thread but where noted. Private to net/.

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/http_server.hpp"

namespace prunella::net {

class http_session;

/// Read by any thread.
struct http_atomic_counters {
  std::atomic<std::uint64_t> connections{0}, refused_connections{0}, open_connections{0}, requests{0},
      refused_requests{0}, missed_deadlines{0}, timed_out_clients{0};
};

/// Everything the server's thread works on. Responders hold it weakly: a late answer finds it, or goes nowhere.
struct http_server_core : std::enable_shared_from_this<http_server_core> {
  http_server_core(http_server_options o, http_handler h) : options(std::move(o)), handler(std::move(h)) {}

  void listen();
  void accept();
  void on_accept(boost::system::error_code error, boost::asio::ip::tcp::socket socket);
  void stop();

  http_server_options options;
  http_handler handler;
  http_atomic_counters counters;
  std::set<std::shared_ptr<http_session>> sessions; ///< only touched by the thread, or after it was joined
  boost::asio::ip::tcp::endpoint local;
  std::mutex stopping;
  std::thread thread;
  // Last, so destroyed first: its pending operations hold the sessions, which look at the members above.
  boost::asio::io_context io{1};
  boost::asio::ip::tcp::acceptor acceptor{io};
  boost::asio::steady_timer accept_pause{io};
};

// Connections; in the server's thread.

/// Serves `socket` until it ends; `core.sessions` holds the session meanwhile.
void start_http_session(boost::asio::ip::tcp::socket socket, http_server_core& core);
/// Ends a connection; its pending operation reports it.
void close_http_session(http_session& session);
/// Answers 503 to a connection that is over the limit: best effort, without waiting.
void refuse_http_connection(boost::asio::ip::tcp::socket& socket);

} // namespace prunella::net
