#pragma once

// A consensus group for scenarios written by hand: messages wait until `deliver`, links are cut by name, disks answer
// when told to. Nothing is random but the election timeouts, and those only if a test asks for them.

#include <cstdint>
#include <deque>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runtime/consensus/raft.hpp"

namespace prunella::tests {

using namespace runtime;

class hand_driven_group {
public:
  struct member {
    std::unique_ptr<raft> core;
    bool disk_answers = true; // false: writes wait in `writes`
    std::deque<write_request> writes;
    std::vector<log_entry> applied; // commands only
    std::vector<read_state> reads;
    std::vector<std::string> refusals; // of `step`
    shared_snapshot restored;
  };

  /// Members 1 … `voters` found the group; `learners` follow; `adjust` may change each member's options.
  explicit hand_driven_group(std::uint64_t voters, std::function<void(raft_options&)> adjust = {}) : adjust_(adjust) {
    for (member_id id = 1; id <= voters; ++id)
      founding_.voters.push_back(id);
    for (member_id id = 1; id <= voters; ++id)
      add(id, true);
    settle();
  }

  /// A member that starts empty (or from `restored`); `founding` ones know the first membership.
  void add(member_id id, bool founding, restored_state restored = {}) {
    raft_options options;
    options.self = id;
    if (founding)
      options.initial = founding_;
    options.random = [] { return 1u; }; // every timeout is election_ticks + 1: leases end one tick before elections
    if (adjust_)
      adjust_(options);
    auto& m = members_[id];
    m.core = std::make_unique<raft>(std::move(options), std::move(restored));
  }

  raft& core(member_id id) { return *members_.at(id).core; }
  raft& operator[](member_id id) { return core(id); }
  member& at(member_id id) { return members_.at(id); }

  /// Takes everything out of a member: messages to the network, writes to its disk, entries to its state machine.
  void drain(member_id id) {
    auto& m = members_.at(id);
    for (m.core->send_commit_notices(); m.core->has_ready(); m.core->send_commit_notices()) {
      auto out = m.core->ready();
      for (auto& message : out.messages)
        network_.push_back(std::move(message));
      if (out.write.ticket != 0)
        m.writes.push_back(std::move(out.write));
      if (out.restore)
        m.restored = out.restore;
      for (const auto& entry : out.committed)
        if (entry->kind == entry_kind::command)
          m.applied.push_back(*entry);
      m.reads.insert(m.reads.end(), out.reads.begin(), out.reads.end());
      if (m.disk_answers)
        sync(id);
    }
  }

  /// The disk of `id` has done everything it was handed.
  void sync(member_id id) {
    auto& m = members_.at(id);
    if (m.writes.empty())
      return;
    const auto ticket = m.writes.back().ticket;
    for (auto& write : m.writes)
      std::move(write.promises.begin(), write.promises.end(), std::back_inserter(network_));
    m.writes.clear();
    m.core->persisted(ticket);
  }

  /// Delivers until nobody has anything to say. Messages over cut links are lost.
  void settle() {
    for (int rounds = 0; rounds < 10000; ++rounds) {
      for (auto& item : members_)
        drain(item.first);
      if (network_.empty())
        return;
      auto message = std::move(network_.front());
      network_.pop_front();
      const auto found = members_.find(message.to);
      if (cut_.count({message.from, message.to}) != 0 || found == members_.end() || (lost && lost(message)))
        continue;
      auto why = found->second.core->step(std::move(message));
      if (!why.empty())
        found->second.refusals.push_back(std::move(why));
    }
    throw std::runtime_error("the group never falls silent");
  }

  /// Lets `ticks` pass at one member, delivering everything in between.
  void tick(member_id id, std::uint32_t ticks) {
    for (; ticks > 0; --ticks) {
      core(id).tick();
      settle();
    }
  }
  void tick_all(std::uint32_t ticks) {
    for (; ticks > 0; --ticks) {
      for (auto& item : members_)
        item.second.core->tick();
      settle();
    }
  }

  void elect(member_id id) {
    core(id).campaign();
    settle();
  }
  /// `from` is cut off, the others stop believing in it, and `to` stands for election.
  void take_over(member_id from, member_id to) {
    isolate(from);
    for (auto& item : members_)
      for (int i = 0; item.first != from && i < 10; ++i)
        item.second.core->tick();
    elect(to);
  }
  proposal propose(member_id id, std::string data) {
    auto result = core(id).propose(std::move(data));
    settle();
    return result;
  }
  proposal change(member_id id, membership_change_kind kind, member_id who) {
    auto result = core(id).propose_membership({kind, who});
    settle();
    return result;
  }

  void cut(member_id a, member_id b) {
    cut_.insert({a, b});
    cut_.insert({b, a});
  }
  void isolate(member_id id) {
    for (auto& item : members_)
      if (item.first != id)
        cut(id, item.first);
  }
  void heal() { cut_.clear(); }

  raft_role role(member_id id) { return core(id).soft().role; }
  std::vector<std::string> applied(member_id id) {
    std::vector<std::string> result;
    for (const auto& entry : members_.at(id).applied)
      result.push_back(entry.data);
    return result;
  }

  std::function<bool(const raft_message&)> lost; ///< loses what it returns true for
  std::deque<raft_message>& network() { return network_; }

private:
  std::function<void(raft_options&)> adjust_;
  raft_membership founding_;
  std::map<member_id, member> members_;
  std::deque<raft_message> network_;
  std::set<std::pair<member_id, member_id>> cut_;
};

/// A log of commands with these terms, from index 1, as read from a disk.
inline restored_state log_of_terms(const std::vector<std::uint64_t>& terms, const raft_membership& members,
                                   std::uint64_t term) {
  restored_state restored;
  restored.state = {term, 0, 1};
  for (auto t : terms) {
    const auto index = restored.entries.size() + 1;
    restored.entries.emplace_back(index == 1 ? log_entry{t, 1, entry_kind::membership, encode_membership(members)}
                                             : log_entry{t, index, entry_kind::command, "e" + std::to_string(index)});
  }
  return restored;
}

/// The first `count` entries of `whole`, as a disk that lost the rest.
inline restored_state start_of_log(const raft& whole, std::uint64_t count) {
  restored_state restored;
  restored.state = {whole.term(), 0, 1};
  for (std::uint64_t i = 1; i <= count; ++i)
    restored.entries.push_back(whole.log().at(i));
  return restored;
}

/// A message with these fields and nothing else.
inline raft_message message(raft_message_type type, member_id from, member_id to, std::uint64_t term) {
  raft_message m;
  m.type = type;
  m.group = 1;
  m.from = from;
  m.to = to;
  m.term = term;
  return m;
}

inline raft_membership voters(std::vector<member_id> ids) {
  return {std::move(ids), {}};
}

/// What `id` would send now, taken out of it.
inline std::vector<raft_message> outbox(hand_driven_group& group, member_id id) {
  return group.core(id).ready().messages;
}

} // namespace prunella::tests
