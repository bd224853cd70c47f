#include "actors/site/membership.hpp"

#include <algorithm>
#include <array>

#include <openssl/sha.h>

namespace prunella::actors {

storage::member_id member_id_of(const std::string& host_id) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest{};
  SHA256(reinterpret_cast<const unsigned char*>(host_id.data()), host_id.size(), digest.data());
  storage::member_id id = 0;
  for (std::size_t i = 0; i < sizeof(id); ++i)
    id = (id << 8) | digest[i];
  return id == 0 ? 1 : id;
}

std::vector<std::string> controllers_of(const std::vector<config::host_spec>& hosts) {
  std::vector<std::string> result;
  std::vector<std::string> automatic;
  for (const auto& host : hosts) {
    if (host.controller == config::controller_choice::yes)
      result.push_back(host.id);
    else if (host.controller == config::controller_choice::automatic)
      automatic.push_back(host.id);
  }
  std::sort(automatic.begin(), automatic.end());
  const auto eligible = result.size() + automatic.size();
  const std::size_t wanted = eligible >= 5 ? 5 : eligible >= 3 ? 3 : 1;
  for (auto it = automatic.begin(); it != automatic.end() && result.size() < wanted; ++it)
    result.push_back(*it);
  std::sort(result.begin(), result.end());
  return result;
}

storage::raft_membership initial_membership(const std::vector<config::host_spec>& hosts) {
  const auto controllers = controllers_of(hosts);
  storage::raft_membership members;
  for (const auto& host : hosts) {
    const bool votes = std::binary_search(controllers.begin(), controllers.end(), host.id);
    (votes ? members.voters : members.learners).push_back(member_id_of(host.id));
  }
  std::sort(members.voters.begin(), members.voters.end());
  std::sort(members.learners.begin(), members.learners.end());
  return members;
}

hosts_by_member by_member(const std::vector<config::host_spec>& hosts) {
  hosts_by_member result;
  for (const auto& host : hosts)
    result.emplace(member_id_of(host.id), host.id);
  return result;
}

} // namespace prunella::actors
