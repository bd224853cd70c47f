#pragma once

// What a Raft log keeps on disk (Ongaro 2014, "Consensus: Bridging Theory and Practice", figure 3.1, and chapter 5 for
// snapshots). Plain data shared by the log store here and the pure core in runtime/consensus.

#include <cstdint>
#include <string>
#include <vector>

#include "config/fields.hpp"

namespace prunella::storage {

/// Identifies a member of a consensus group; 0 is nobody.
using member_id = std::uint64_t;

enum class entry_kind : std::uint8_t {
  command = 0,    ///< opaque bytes for the state machine
  membership = 1, ///< a `raft_membership`, cereal-encoded
  barrier = 2,    ///< empty; a new leader's first entry, by which it learns what is committed
};

struct log_entry {
  std::uint64_t term = 0;
  std::uint64_t index = 0; ///< first entry of a log has index 1
  entry_kind kind = entry_kind::command;
  std::string data;

  PRUNELLA_FIELDS(log_entry, term, index, kind, data)
};

/// What a member must not forget across a crash. `commit` is a hint that may lag.
struct hard_state {
  std::uint64_t term = 0;
  member_id voted_for = 0;
  std::uint64_t commit = 0;

  PRUNELLA_FIELDS(hard_state, term, voted_for, commit)
};

/// Who votes and who follows the log without a vote. Both sorted, without duplicates, disjoint.
struct raft_membership {
  std::vector<member_id> voters;
  std::vector<member_id> learners;

  PRUNELLA_FIELDS(raft_membership, voters, learners)
};

/// The state machine's state after applying entry `index` of `term`; replaces all entries up to it. index 0: none.
struct raft_snapshot {
  std::uint64_t index = 0;
  std::uint64_t term = 0;
  raft_membership members;
  std::string data;

  PRUNELLA_FIELDS(raft_snapshot, index, term, members, data)
};

} // namespace prunella::storage
