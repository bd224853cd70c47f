#pragma once

// What a host's door is to do, made of what the host knows. Pure.

#include <map>
#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "actors/site/site_state.hpp"
#include "net/door/door.hpp"

namespace prunella::actors {

/// `next` as the leader sent it, with what `known` says of the hosts that `next` calls silent. A table without a revision
/// says nothing: `known` stays.
ready_table merged(const ready_table& known, ready_table next);

struct door_knowledge {
  const site_state& state;
  std::string host;
  /// Where instances of this host may listen, numeric without port: each is tried while the one before refuses.
  std::vector<std::string> own_addresses;
  const std::map<std::string, instance_report>& own; ///< what runs here, by instance; true at once
  const std::map<std::string, std::uint64_t>& draining; ///< instances here that are being stopped, with their generation
  const ready_table& table;                          ///< what runs elsewhere
  /// Where this host answers for a service by its name, numeric, by `tenant.application.service`; empty: nobody here asks.
  const std::map<std::string, std::string>& service_addresses;
};

/// Each published port with its ready instances, and each port of the services that have names (`site/service_ports.hpp`):
/// those are in the plan of every host, for the doors of hosts where somebody asks. Instances of this host are as its own reports say, others as the table says
/// unless the state knows of a newer generation or has given their host up. No service address is listened on at a port on which
/// an instance in this host's own network does: it takes the port on all addresses, and is who answers there. Of two services that publish one port the one
/// whose application comes first by name has it (the site refuses the other, unless both were asked for at once).
net::door_plan make_door_plan(const door_knowledge& x);

} // namespace prunella::actors
