#pragma once

// What members of a consensus group say to each other. One flat struct, as in etcd's raft: which fields count is said
// per type below; the others stay zero and cost a few bytes.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/fields.hpp"
#include "storage/raft_types.hpp"

namespace prunella::runtime {

using storage::entry_kind;
using storage::hard_state;
using storage::log_entry;
using storage::member_id;
using storage::raft_membership;
using storage::raft_snapshot;

/// A log entry that log, messages and disk writes hold together: its bytes exist once per process. Never null unless
/// default-constructed, which reads as an empty entry.
class shared_entry {
public:
  shared_entry() = default;
  explicit shared_entry(log_entry entry) : value_(std::make_shared<const log_entry>(std::move(entry))) {}

  const log_entry& operator*() const { return value_ ? *value_ : nothing(); }
  const log_entry* operator->() const { return &**this; }
  const std::shared_ptr<const log_entry>& pointer() const { return value_; }

  /// What an entry weighs against every byte limit: its data and a fixed part for term, index and kind.
  std::uint64_t bytes() const { return (*this)->data.size() + 32; }

  friend bool operator==(const shared_entry& a, const shared_entry& b) { return *a == *b; }
  friend bool operator!=(const shared_entry& a, const shared_entry& b) { return !(a == b); }

  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, shared_entry& x) {
    if constexpr (Inspector::reads_state) {
      return f(
          const_cast<log_entry&>(*x)); // an inspector that reads state takes a mutable reference and leaves it alone
    } else {
      auto loaded = std::make_shared<log_entry>();
      auto& target = *loaded;
      x.value_ = std::move(loaded);
      return f(target);
    }
  }

  template <class Archive>
  void save(Archive& archive) const {
    archive(**this);
  }
  template <class Archive>
  void load(Archive& archive) {
    auto loaded = std::make_shared<log_entry>();
    archive(*loaded);
    value_ = std::move(loaded);
  }

private:
  static const log_entry& nothing() {
    static const log_entry empty;
    return empty;
  }

  std::shared_ptr<const log_entry> value_;
};

using shared_snapshot = std::shared_ptr<const raft_snapshot>;

enum class raft_message_type : std::uint8_t {
  pre_vote = 0,        ///< "would you vote for me in `term`?"; `log_index`, `log_term`: the asker's last entry
  pre_vote_reply = 1,  ///< `reject`; granted: `term` is the asked one, refused: the answerer's own
  vote = 2,            ///< like pre_vote, in earnest; `force`: a leadership transfer, leases do not count
  vote_reply = 3,      ///< `reject`
  append = 4,          ///< `entries` follow (`log_index`, `log_term`); `commit` of the leader; `round`: its epoch of
                       ///< the receiver's log
  append_reply = 5,    ///< the log agrees up to `log_index` and is on disk; `reject`: it did not fit at `log_index`,
                       ///< and `hint`, `log_term` name the last entry that may agree; `round` as it came;
                       ///< `force`: the sender's log was repaired, its word counts for nothing
  heartbeat = 6,       ///< `commit` that the receiver may take; `round` of reads to confirm
  heartbeat_reply = 7, ///< `round` as it came; `log_index`: where the log ends; `force` as of append_reply
  snapshot = 8,        ///< a piece of the snapshot at (`log_index`, `log_term`): `members`, `hint` = offset, `total`,
                       ///< `chunk`; `round` as of an append
  snapshot_reply = 9, ///< `hint` bytes of the snapshot at `log_index` have arrived
  timeout_now = 10,   ///< the leader hands over: start an election at once
  read_request = 11,  ///< a follower asks for a read index; `round` is its context
  read_reply = 12,    ///< `log_index` to wait for before the read `round` may be served
  commit_notice = 13, ///< `commit` that the receiver may take; like a heartbeat's, but nobody waits for an answer
};
inline constexpr std::uint8_t raft_message_types = 14;

struct raft_message {
  raft_message_type type = raft_message_type::heartbeat;
  std::uint64_t group = 0; ///< of whom the sender takes itself to be a member; foreign groups are refused
  member_id from = 0;
  member_id to = 0;
  std::uint64_t term = 0;
  std::uint64_t log_index = 0;
  std::uint64_t log_term = 0;
  std::uint64_t commit = 0;
  std::uint64_t hint = 0;
  std::uint64_t round = 0;
  bool reject = false;
  bool force = false;
  std::vector<shared_entry> entries;
  raft_membership members;
  std::uint64_t total = 0; ///< bytes of the whole snapshot
  std::string chunk;

  PRUNELLA_FIELDS(raft_message, type, group, from, to, term, log_index, log_term, commit, hint, round, reject, force,
                  entries, members, total, chunk)
};

/// Bytes of entries one append may carry at most, whatever the sender's options are.
inline constexpr std::uint64_t append_bytes_ceiling = 64ull << 20;
/// Terms and indexes above this are taken for damage: reaching it honestly takes ages, and arithmetic stays safe below.
inline constexpr std::uint64_t number_ceiling = 1ull << 62;

/// Why `message` cannot come from a sound member, as a sentence; empty if nothing is wrong with it by itself (whether
/// it fits the receiver's log is the receiver's business). Checks numbers, order and terms of entries, memberships,
/// sizes.
std::string find_fault(const raft_message& message, std::uint64_t max_snapshot_bytes);

/// "append", "vote reply", …; "unknown" for a number outside the enum.
const char* to_text(raft_message_type type);

} // namespace prunella::runtime
