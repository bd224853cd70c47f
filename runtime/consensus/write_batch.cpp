#include "runtime/consensus/write_batch.hpp"

#include <algorithm>

namespace prunella::runtime {

namespace {

void merge_into(storage::raft_log_batch& batch, const write_request& request) {
  if (request.truncate_from != 0) {
    const bool inside = !batch.entries.empty() && request.truncate_from > batch.entries.front().index;
    while (!batch.entries.empty() && batch.entries.back().index >= request.truncate_from)
      batch.entries.pop_back();
    if (!inside)
      batch.truncate_from =
          batch.truncate_from == 0 ? request.truncate_from : std::min(batch.truncate_from, request.truncate_from);
  }
  batch.entries.reserve(batch.entries.size() + request.entries.size());
  for (const auto& entry : request.entries)
    batch.entries.push_back(*entry);
  if (request.has_state) {
    batch.has_state = true;
    batch.state = request.state;
  }
}

} // namespace

std::vector<log_step> merge(const std::vector<write_request>& requests) {
  std::vector<log_step> steps;
  for (const auto& request : requests) {
    if (steps.empty() || request.snapshot) {
      steps.emplace_back();
      steps.back().snapshot = request.snapshot;
      steps.back().compact_to = request.compact_to;
    }
    merge_into(steps.back().batch, request);
  }
  return steps;
}

std::uint64_t compaction_piece(std::uint64_t first_index, std::uint64_t goal, std::size_t entries) {
  if (goal < first_index)
    return 0;
  const std::uint64_t most = 64 + 2 * static_cast<std::uint64_t>(entries);
  return std::min(goal, first_index - 1 + most);
}

} // namespace prunella::runtime
