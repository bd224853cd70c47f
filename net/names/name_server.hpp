#pragma once

// Answers DNS on one address of this host, over UDP and TCP: names of the table itself, all others as the host's own
// resolvers do, which it asks on behalf of the client. Only clients of one network are answered, so it is no open resolver.
//
// One thread of its own. Bounded: `max_questions` at other servers at a time, `max_questions_of_client` for one client (beyond that
// SERVFAIL: a container that asks for what nobody answers takes no names from the others), `max_connections` over
// TCP (beyond that they wait in the kernel); a question or a connection that gets nowhere ends within seconds.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/networks.hpp"
#include "net/names/name_table.hpp"

namespace prunella::net {

struct name_server_options {
  std::string address;          ///< numeric IPv4
  std::uint16_t port = 53;      ///< 0: a free one, the same for both protocols
  config::ipv4_network clients; ///< who is answered
  std::string resolver_file = "/etc/resolv.conf"; ///< names the host's resolvers; read again when it changes
  std::uint16_t resolver_port = 53;
  std::chrono::milliseconds patience{1'500};      ///< for each resolver
  std::chrono::milliseconds idle_timeout{10'000}; ///< of a TCP connection
  std::size_t max_questions = 256;
  std::size_t max_questions_of_client = 32;       ///< by address
  std::size_t max_connections = 64;
};

class name_server {
public:
  virtual ~name_server() = default;

  /// Takes `table` in place of the last one. Any thread.
  virtual void set(name_table table) = 0;

  virtual std::uint16_t port() const = 0;
};

/// Starts the thread; its end closes everything. Throws std::runtime_error with a sentence and a next step when the address
/// cannot be listened on.
std::unique_ptr<name_server> make_name_server(name_server_options options);

/// The resolvers that the text of a resolv.conf(5) names, at most three, without `own`.
std::vector<std::string> resolvers_in(std::string_view text, const std::string& own);

} // namespace prunella::net
