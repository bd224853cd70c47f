#pragma once

// Group commit as a value: many write requests become few calls of the log.

#include <cstdint>
#include <vector>

#include "runtime/consensus/raft.hpp"
#include "storage/raft_log.hpp"

namespace prunella::runtime {

/// One step of writing: a snapshot first, if there is one, then the batch in one transaction.
struct log_step {
  shared_snapshot snapshot;     ///< null: none
  std::uint64_t compact_to = 0; ///< after the snapshot; 0: nothing to drop
  storage::raft_log_batch batch;
};

/// The steps that leave the log as if `requests` had been written one by one, in order. Consecutive requests without a
/// snapshot become one step; entries that a later request replaces are never written.
std::vector<log_step> merge(const std::vector<write_request>& requests);

/// Up to where a batch of `entries` entries drops old ones on the way to `goal`; 0: nothing to drop. A few for each new
/// one, so that no write waits for the thousands that a snapshot makes superfluous at once. `first_index`: of the log.
std::uint64_t compaction_piece(std::uint64_t first_index, std::uint64_t goal, std::size_t entries);

} // namespace prunella::runtime
