#pragma once

// Which names a host answers for, and at which of its own addresses. Pure.

#include <cstdint>
#include <map>
#include <string>

#include "actors/messages.hpp"
#include "actors/site/site_state.hpp"
#include "config/networks.hpp"
#include "net/names/name_table.hpp"

namespace prunella::actors {

/// By `tenant.application.service`.
using service_addresses = std::map<std::string, std::uint32_t>;

/// An address of `range` for each service of `state` that has a name (`site/service_ports.hpp`); without the first and the
/// last of the range. Who has one in `before` keeps it; another gets the one that its name stands for, or the next that is
/// free, so that as a rule it is the same after a restart. Where the range is full, services are left without.
service_addresses place_services(const site_state& state, const config::ipv4_network& range, const service_addresses& before);

/// The table for clients on this host: `own` are the reports of its instances.
net::name_table make_name_table(const site_state& state, const service_addresses& addresses,
                                const std::map<std::string, instance_report>& own);

} // namespace prunella::actors
