#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "runtime/consensus/raft_message.hpp"
#include "storage/errors.hpp"

namespace prunella::runtime {

/// What a log is applied to. Called by the consensus actor only, one call at a time; each call is quick (it delays the
/// member's heartbeats). Deterministic: the same entries give the same state and results on every member. An error
/// stops the member; it starts again from `applied_index()`.
class replicated_state_machine {
public:
  virtual ~replicated_state_machine() = default;

  /// Everything up to here is in the state. It may fall back in a crash, but not below the last `take_snapshot`.
  virtual std::uint64_t applied_index() const = 0;

  /// Applies consecutive entries; the first is `applied_index() + 1`. Only commands carry data, the others just move
  /// the index. One result per entry, handed to who proposed it (that of other kinds is ignored).
  virtual storage::result<std::vector<std::string>> apply(const std::vector<shared_entry>& entries) = 0;

  /// The state after `applied_index()`, as bytes. When it returns, the state itself is durable up to there as well: the
  /// log before it goes.
  virtual storage::result<std::string> take_snapshot() = 0;

  /// The state becomes what `snapshot` says, durably, whatever it was.
  virtual storage::result<void> restore(const raft_snapshot& snapshot) = 0;
};

} // namespace prunella::runtime
