// The server: listens, accepts, counts and stops. What happens on a connection is in http_session.cpp.

#include "net/http_server.hpp"

#include <stdexcept>
#include <utility>

#include <sys/resource.h>

#include <boost/asio/ip/address.hpp>

#include "net/http_guard.hpp"
#include "net/http_server_core.hpp"

namespace prunella::net {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using error_code = boost::system::error_code;

void http_server_core::listen() {
  const auto where = parse_loopback_address(options.address);
  const tcp::endpoint endpoint(asio::ip::make_address(where.address), where.port);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error)
    acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error)
    acceptor.bind(endpoint, error);
  if (!error)
    acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error == asio::error::address_in_use)
    throw std::runtime_error("the API cannot listen on `" + options.address +
                             "`: the port is in use, perhaps by another agent; stop it or choose another port "
                             "(port 0 takes a free one)");
  if (error)
    throw std::runtime_error("the API cannot listen on `" + options.address + "`: " + error.message());
  local = acceptor.local_endpoint();
}

void http_server_core::accept() {
  acceptor.async_accept([this](error_code error, tcp::socket socket) { on_accept(error, std::move(socket)); });
}

void http_server_core::on_accept(error_code error, tcp::socket socket) {
  if (error == asio::error::operation_aborted)
    return;
  if (error) { // out of file descriptors, mostly: asking again at once would spin
    accept_pause.expires_after(std::chrono::milliseconds(100));
    accept_pause.async_wait([this](error_code stopped) {
      if (!stopped)
        accept();
    });
    return;
  }
  ++counters.connections;
  if (sessions.size() >= options.max_connections) {
    ++counters.refused_connections;
    refuse_http_connection(socket);
  } else {
    socket.set_option(tcp::no_delay(true), error);
    start_http_session(std::move(socket), *this);
  }
  accept();
}

void http_server_core::stop() {
  const std::lock_guard<std::mutex> guard(stopping);
  io.stop();
  if (!thread.joinable())
    return;
  thread.join();
  error_code ignored;
  acceptor.close(ignored);
  for (const auto& session : sessions)
    close_http_session(*session);
  sessions.clear();
  handler = nullptr;
}

http_server::http_server(http_server_options options, http_handler handler)
    : core_(std::make_shared<http_server_core>(std::move(options), std::move(handler))) {
  core_->listen();
  core_->accept();
  core_->thread = std::thread([core = core_.get()] {
    if (core->options.niceness > 0)
      ::setpriority(PRIO_PROCESS, 0, core->options.niceness); // of this thread only (setpriority(2), "C library/kernel differences")
    core->io.run();
  });
}

http_server::~http_server() {
  stop();
}

void http_server::stop() {
  core_->stop();
}

std::uint16_t http_server::port() const {
  return core_->local.port();
}

std::string http_server::url() const {
  const auto address = core_->local.address();
  const auto host = address.is_v6() ? "[" + address.to_string() + "]" : address.to_string();
  return "http://" + host + ":" + std::to_string(port());
}

http_server_counters http_server::counters() const {
  const auto& c = core_->counters;
  return {c.connections,      c.refused_connections, c.open_connections, c.requests,
          c.refused_requests, c.missed_deadlines,    c.timed_out_clients};
}

} // namespace prunella::net
