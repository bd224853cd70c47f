#pragma once

// The names that a host answers for. Pure. `SERVICE.APPLICATION` is looked up among the applications of who asks, by its
// tenant; `SERVICE.APPLICATION.TENANT` is the same for everybody. `_PORT._tcp.SERVICE.APPLICATION` (SRV) gives the number of
// a port by its name. What is below no application is none of ours.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"
#include "config/spec.hpp"
#include "net/names/dns_message.hpp"

namespace prunella::net {

struct named_port {
  std::string name;
  config::port_protocol protocol = config::port_protocol::tcp;
  std::uint16_t port = 0;

  PRUNELLA_FIELDS(named_port, name, protocol, port)
};

struct named_service {
  std::uint32_t address = 0; ///< IPv4, where this host answers for it
  std::vector<named_port> ports;

  PRUNELLA_FIELDS(named_service, address, ports)
};

using named_application = std::map<std::string, named_service>;    ///< by service
using named_tenant = std::map<std::string, named_application>;     ///< by application

struct name_table {
  std::map<std::string, named_tenant> tenants;
  std::map<std::uint32_t, std::string> tenant_of; ///< who asks, by IPv4 address
  std::string other_tenant = "default";           ///< of those that are not in there

  PRUNELLA_FIELDS(name_table, tenants, tenant_of, other_tenant)
};

/// Answers are remembered so long: a name leads to the same address for as long as its service is there.
inline constexpr std::uint32_t name_lifetime_s = 5;

/// The answer to `query` of `client`; nothing: the name is none of ours, another server knows.
std::optional<dns_answer> answer_by(const name_table& table, const dns_query& query, std::uint32_t client);

} // namespace prunella::net
