#include "runtime/consensus/membership.hpp"

#include <algorithm>

#include "storage/cereal_bytes.hpp"

namespace prunella::runtime {

namespace {

constexpr std::size_t max_membership_bytes = (max_members + 8) * sizeof(member_id);

bool contains(const std::vector<member_id>& sorted, member_id id) {
  return std::binary_search(sorted.begin(), sorted.end(), id);
}

void insert(std::vector<member_id>& sorted, member_id id) {
  sorted.insert(std::lower_bound(sorted.begin(), sorted.end(), id), id);
}

void erase(std::vector<member_id>& sorted, member_id id) {
  sorted.erase(std::remove(sorted.begin(), sorted.end(), id), sorted.end());
}

bool strictly_ascending(const std::vector<member_id>& ids) {
  return std::adjacent_find(ids.begin(), ids.end(), [](member_id a, member_id b) { return a >= b; }) == ids.end();
}

std::string why_impossible(const raft_membership& now, const membership_change& change) {
  const auto name = "member " + std::to_string(change.member);
  if (change.member == 0)
    return "member 0 is nobody; name a member";
  const bool votes = is_voter(now, change.member);
  const bool learns = is_learner(now, change.member);
  switch (change.kind) {
  case membership_change_kind::add_learner:
    return votes    ? name + " votes already; demote it to make it a learner"
           : learns ? name + " is a learner already"
                    : "";
  case membership_change_kind::add_voter:
    return votes ? name + " votes already" : "";
  case membership_change_kind::demote_voter:
    if (!votes)
      return name + " does not vote";
    return now.voters.size() == 1 ? name + " is the only voter; add another voter first" : "";
  case membership_change_kind::remove:
    if (!votes && !learns)
      return name + " is not a member";
    return votes && now.voters.size() == 1 ? name + " is the only voter; add another voter first" : "";
  }
  return "unknown kind of membership change";
}

} // namespace

changed_membership apply_change(const raft_membership& now, const membership_change& change) {
  changed_membership result{now, why_impossible(now, change)};
  if (!result.fault.empty())
    return result;
  auto& members = result.members;
  erase(members.voters, change.member);
  erase(members.learners, change.member);
  if (change.kind == membership_change_kind::add_voter)
    insert(members.voters, change.member);
  else if (change.kind != membership_change_kind::remove)
    insert(members.learners, change.member);
  result.fault = find_fault(members);
  if (!result.fault.empty())
    members = now;
  return result;
}

bool is_voter(const raft_membership& members, member_id id) {
  return contains(members.voters, id);
}
bool is_learner(const raft_membership& members, member_id id) {
  return contains(members.learners, id);
}
bool is_member(const raft_membership& members, member_id id) {
  return is_voter(members, id) || is_learner(members, id);
}

std::string find_fault(const raft_membership& members) {
  if (members.voters.size() + members.learners.size() > max_members)
    return "a membership has at most " + std::to_string(max_members) + " members";
  if (contains(members.voters, 0) || contains(members.learners, 0))
    return "a membership names member 0, which is nobody";
  if (!strictly_ascending(members.voters) || !strictly_ascending(members.learners))
    return "a membership's voters and learners are sorted and named once";
  for (auto id : members.learners)
    if (contains(members.voters, id))
      return "member " + std::to_string(id) + " is named as voter and as learner";
  return {};
}

std::string encode_membership(const raft_membership& members) {
  return storage::to_bytes(members);
}

std::optional<raft_membership> decode_membership(const std::string& data) {
  raft_membership members;
  if (!storage::from_bytes(data, members, max_membership_bytes) || !find_fault(members).empty())
    return std::nullopt;
  return members;
}

std::uint64_t majority_index(const raft_membership& members, const std::function<std::uint64_t(member_id)>& index_of) {
  if (members.voters.empty())
    return 0;
  std::vector<std::uint64_t> reached;
  reached.reserve(members.voters.size());
  for (auto id : members.voters)
    reached.push_back(index_of(id));
  // Descending, the element at n / 2 is reached by n / 2 + 1 voters: a majority.
  const auto middle = reached.begin() + static_cast<std::ptrdiff_t>(reached.size() / 2);
  std::nth_element(reached.begin(), middle, reached.end(), std::greater<>{});
  return *middle;
}

vote_outcome count_votes(const raft_membership& members, const std::function<int(member_id)>& vote_of) {
  std::size_t granted = 0;
  std::size_t refused = 0;
  for (auto id : members.voters) {
    const auto vote = vote_of(id);
    granted += vote > 0 ? 1 : 0;
    refused += vote < 0 ? 1 : 0;
  }
  const auto majority = members.voters.size() / 2 + 1;
  if (granted >= majority)
    return vote_outcome::won;
  return members.voters.size() - refused < majority ? vote_outcome::lost : vote_outcome::pending;
}

const raft_membership& membership_history::at(std::uint64_t index) const {
  auto after = std::find_if(entries_.begin() + 1, entries_.end(), [&](const item& x) { return x.index > index; });
  return std::prev(after)->members;
}

bool membership_history::truncate_from(std::uint64_t index) {
  bool changed = false;
  while (entries_.size() > 1 && entries_.back().index >= index) {
    entries_.pop_back();
    changed = true;
  }
  return changed;
}

void membership_history::compact(std::uint64_t index) {
  while (entries_.size() > 1 && entries_[1].index <= index)
    entries_.pop_front();
}

} // namespace prunella::runtime
