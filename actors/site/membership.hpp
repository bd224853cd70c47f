#pragma once

// Who of a site's hosts votes, and under which number. Pure; every host of a site comes to the same answer.

#include <map>
#include <string>
#include <vector>

#include "config/spec.hpp"
#include "storage/raft_types.hpp"

namespace prunella::actors {

/// The number of a host in the site's consensus group: the first 8 bytes of SHA-256 of its id, never 0. Stable across
/// restarts and independent of the order in the site's document.
storage::member_id member_id_of(const std::string& host_id);

/// Ids of the hosts that vote: those that say `controller: yes`, filled up from the `auto` ones in order of id to 5 if
/// the site has 5 or more of both, else to 3, else to 1. Sorted. An even number is left as the user asked for it.
std::vector<std::string> controllers_of(const std::vector<config::host_spec>& hosts);

/// The consensus group of a site at its start: controllers vote, all others follow the log.
storage::raft_membership initial_membership(const std::vector<config::host_spec>& hosts);

/// `member_id_of` the other way round, as messages of consensus name their senders.
using hosts_by_member = std::map<storage::member_id, std::string>;
hosts_by_member by_member(const std::vector<config::host_spec>& hosts);

/// Empty if there is no such member.
inline std::string host_of(storage::member_id member, const hosts_by_member& hosts) {
  const auto it = hosts.find(member);
  return it == hosts.end() ? std::string{} : it->second;
}

} // namespace prunella::actors
