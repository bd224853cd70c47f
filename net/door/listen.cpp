// The ports a door listens on: its published ones, and the one for other doors.

#include <algorithm>
#include <utility>

#include "net/door/core.hpp"
#include "net/door/datagrams.hpp"

namespace prunella::net {

namespace {

constexpr std::chrono::milliseconds longest_retry{30'000};

std::string problem_text(const error_code& error, const std::string& where) {
  if (error == asio::error::address_in_use)
    return where + " is in use on this host; stop what listens there, or publish another port";
  if (error == asio::error::access_denied)
    return where + " needs root or CAP_NET_BIND_SERVICE; run the agent with it, or publish a port from 1024 on";
  return where + " cannot be listened on: " + error.message();
}

std::string where_text(const asio::ip::address& address, std::uint16_t port) {
  const auto host = address.is_v6() ? '[' + address.to_string() + ']' : address.to_string();
  return host + ':' + std::to_string(port);
}

error_code listen_for_connections(published_port& port, const asio::ip::address& address) {
  error_code error;
  auto acceptor = std::make_shared<tcp::acceptor>(port.core.io);
  const tcp::endpoint endpoint(address, port.service.port);
  acceptor->open(endpoint.protocol(), error);
  if (!error)
    acceptor->set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && address.is_v6())
    acceptor->set_option(asio::ip::v6_only(!address.is_unspecified()), error);
  if (!error)
    acceptor->set_option(shared_number{true}, error);
  if (!error)
    error = taken_by_others(port, endpoint);
  if (!error)
    acceptor->bind(endpoint, error);
  if (!error)
    acceptor->listen(asio::socket_base::max_listen_connections, error);
  if (!error)
    port.acceptors.push_back(std::move(acceptor));
  return error;
}

/// Whether a machine does not have this kind of address at all.
bool is_unknown_family(const error_code& error) {
  return error == asio::error::address_family_not_supported || error == boost::system::errc::address_not_available;
}

} // namespace

std::vector<asio::ip::address> listen_addresses(const door_options& options, const door_service& service) {
  error_code error;
  if (service.is_named) {
    const auto only = asio::ip::make_address(service.address, error);
    return error ? std::vector<asio::ip::address>{} : std::vector{only};
  }
  const auto own = asio::ip::make_address(options.address, error);
  if (!error && own.is_loopback())
    return {own};
  if (service.scope == config::publish_scope::loopback)
    return {asio::ip::address_v4::loopback(), asio::ip::address_v6::loopback()};
  return {asio::ip::address_v6::any()};
}

void door_core::listen(published_port& port) {
  auto addresses = listen_addresses(options, port.service);
  if (port.service.protocol == config::port_protocol::udp)
    port.datagrams = std::make_shared<datagram_port>(port);
  std::string problem;
  for (std::size_t i = 0; i < addresses.size() && problem.empty(); ++i) {
    const auto address = addresses[i];
    const auto error = port.datagrams ? port.datagrams->listen(address) : listen_for_connections(port, address);
    if (!error)
      port.addresses.push_back(where_text(address, port.service.port));
    else if (address.is_v6() && address.is_unspecified() && is_unknown_family(error))
      addresses.push_back(asio::ip::address_v4::any()); // a machine without IPv6
    else if (!(address.is_v6() && i > 0 && is_unknown_family(error)))
      problem = problem_text(error, where_text(address, port.service.port) + '/' + std::string{config::to_text(port.service.protocol)});
  }
  const bool is_news = problem != port.problem;
  port.problem = problem;
  if (is_news && options.on_listener)
    options.on_listener({port.service.name, port.service.port, port.service.protocol, problem});
  const auto self = port.shared_from_this();
  if (problem.empty()) {
    port.retry_after = std::chrono::milliseconds{0};
    for (const auto& acceptor : port.acceptors)
      accept(self, acceptor);
    return;
  }
  stop_listening(port);
  port.retry_after = std::clamp(2 * port.retry_after, options.listen_retry, longest_retry);
  port.retry.expires_after(port.retry_after);
  port.retry.async_wait([this, self](error_code error) {
    if (!error && !self->is_closed)
      listen(*self);
  });
}

bool door_core::shares_number(const published_port& port) const {
  return std::any_of(ports.begin(), ports.end(), [&](const auto& x) {
    return x.second && x.second.get() != &port && x.second->is_listening() && x.second->service.port == port.service.port
           && x.second->service.protocol == port.service.protocol;
  });
}

void door_core::stop_listening(published_port& port) {
  error_code ignored;
  for (const auto& acceptor : port.acceptors)
    acceptor->close(ignored);
  port.acceptors.clear();
  port.addresses.clear();
  if (const auto datagrams = std::exchange(port.datagrams, nullptr))
    datagrams->close();
}

void door_core::accept(const std::shared_ptr<published_port>& port, const std::shared_ptr<tcp::acceptor>& acceptor) {
  acceptor->async_accept([this, port, acceptor](error_code error, tcp::socket socket) {
    if (error == asio::error::operation_aborted || port->is_closed)
      return;
    if (!error)
      start_session(std::move(socket), port);
    // As many as there may be are open, or the process has no more descriptors: the next clients wait in the kernel.
    if (error || !has_room(*port))
      paused_acceptors.emplace_back(port, acceptor);
    else
      accept(port, acceptor);
  });
}

void door_core::resume_accepting() {
  for (const auto& [port, acceptor] : std::exchange(paused_acceptors, {}))
    if (acceptor->is_open() && has_room(*port))
      accept(port, acceptor);
    else if (acceptor->is_open())
      paused_acceptors.emplace_back(port, acceptor);
}

} // namespace prunella::net
