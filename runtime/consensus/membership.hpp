#pragma once

// Who votes: changes of one server at a time (Ongaro 2014, chapter 4), and what majorities of a membership agree on.

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "runtime/consensus/raft_message.hpp"

namespace prunella::runtime {

enum class membership_change_kind : std::uint8_t {
  add_learner = 0,  ///< follows the log without a vote
  add_voter = 1,    ///< also promotes a learner
  demote_voter = 2, ///< a voter becomes a learner
  remove = 3,       ///< voter or learner
};

struct membership_change {
  membership_change_kind kind = membership_change_kind::add_learner;
  member_id member = 0;

  PRUNELLA_FIELDS(membership_change, kind, member)
};

/// `now` after `change`. `fault` is a sentence and `members` equals `now` if the change is impossible (nobody, already
/// so, unknown, or no voter would be left). Any two results one change apart have overlapping majorities.
struct changed_membership {
  raft_membership members;
  std::string fault;
};
changed_membership apply_change(const raft_membership& now, const membership_change& change);

bool is_voter(const raft_membership& members, member_id id);
bool is_learner(const raft_membership& members, member_id id);
bool is_member(const raft_membership& members, member_id id);

/// Why `members` is malformed (unsorted, duplicate, 0, both voter and learner, too many); empty if sound. Having no
/// voter is sound: a member that waits to be added knows nobody.
std::string find_fault(const raft_membership& members);

/// Members beyond this are refused; a site has some dozens of hosts.
inline constexpr std::size_t max_members = 1024;

/// The bytes of a membership entry, and back; nullopt for anything `encode_membership` cannot have written.
std::string encode_membership(const raft_membership& members);
std::optional<raft_membership> decode_membership(const std::string& data);

/// The highest index that a majority of the voters has reached; 0 without voters.
std::uint64_t majority_index(const raft_membership& members, const std::function<std::uint64_t(member_id)>& index_of);

enum class vote_outcome : std::uint8_t { pending, won, lost };

/// `vote_of` says 1 granted, -1 refused, 0 not answered. Without voters: lost.
vote_outcome count_votes(const raft_membership& members, const std::function<int(member_id)>& vote_of);

/// The memberships of a log. A server uses the latest one in its log, committed or not (Ongaro 2014, 4.1), so a
/// truncation takes a membership back.
class membership_history {
public:
  membership_history() : entries_{{0, {}}} {}
  /// `base` holds at `index`, which is committed.
  membership_history(std::uint64_t index, raft_membership base) : entries_{{index, std::move(base)}} {}

  const raft_membership& current() const { return entries_.back().members; }
  /// Index of the entry that made `current()`.
  std::uint64_t current_since() const { return entries_.back().index; }
  /// What held at `index`, which is not below the base.
  const raft_membership& at(std::uint64_t index) const;

  void append(std::uint64_t index, raft_membership members) { entries_.push_back({index, std::move(members)}); }
  /// Forgets entries at and above `index`; the base stays. True if `current()` changed.
  bool truncate_from(std::uint64_t index);
  /// Forgets what no longer holds at `index`.
  void compact(std::uint64_t index);

private:
  struct item {
    std::uint64_t index;
    raft_membership members;
  };
  std::deque<item> entries_; // ascending, never empty
};

} // namespace prunella::runtime
