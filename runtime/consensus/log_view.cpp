#include "runtime/consensus/log_view.hpp"

#include <algorithm>

#include "runtime/consensus/membership.hpp"

namespace prunella::runtime {

std::string find_fault(const raft_snapshot& snapshot, entry_id compacted, const std::vector<shared_entry>& entries) {
  static const std::string remedy = "; the log is damaged, restore this member from the others";
  if (compacted.index > snapshot.index)
    return "the log begins behind entry " + std::to_string(compacted.index) + ", but its snapshot ends at " +
           std::to_string(snapshot.index) + remedy;
  auto before = compacted;
  for (const auto& entry : entries) {
    if (entry->index != before.index + 1)
      return "log entry " + std::to_string(before.index) + " is followed by " + std::to_string(entry->index) + remedy;
    if (entry->term == 0 || entry->term < before.term)
      return "log entry " + std::to_string(entry->index) + " has a lower term than the entry before it" + remedy;
    if (entry->kind == entry_kind::membership && !decode_membership(entry->data))
      return "log entry " + std::to_string(entry->index) + " is not a readable membership" + remedy;
    if (entry->index == snapshot.index && entry->term != snapshot.term)
      return "log entry " + std::to_string(entry->index) + " contradicts the snapshot" + remedy;
    before = {entry->index, entry->term};
  }
  if (!entries.empty() && before.index < snapshot.index)
    return "the log ends at entry " + std::to_string(before.index) + " before its snapshot" + remedy;
  return {};
}

log_view::log_view(shared_snapshot snapshot, entry_id compacted, std::vector<shared_entry> entries)
    : snapshot_(std::move(snapshot)) {
  offset_ = entries.empty() ? entry_id{snapshot_->index, snapshot_->term} : compacted;
  entries_.assign(std::make_move_iterator(entries.begin()), std::make_move_iterator(entries.end()));
  persisted_ = last_index();
  next_to_write_ = persisted_ + 1;
  highest_written_ = persisted_;
}

std::optional<std::uint64_t> log_view::term_at(std::uint64_t index) const {
  if (index == offset_.index)
    return offset_.term;
  if (index < offset_.index || index > last_index())
    return std::nullopt;
  return at(index)->term;
}

bool log_view::is_behind_or_equal(entry_id last) const {
  return last.term > last_term() || (last.term == last_term() && last.index >= last_index());
}

entry_id log_view::last_possible_match(std::uint64_t index, std::uint64_t term) const {
  index = std::min(index, last_index());
  while (index > offset_.index && at(index)->term > term)
    --index;
  if (index > offset_.index)
    return {index, at(index)->term};
  // At the offset the term is known; below it nothing is, and the asker learns that by the term 0.
  return index == offset_.index && offset_.term <= term ? offset_ : entry_id{index, 0};
}

std::vector<shared_entry> log_view::slice(std::uint64_t from, std::uint64_t to, std::uint64_t max_bytes) const {
  std::vector<shared_entry> result;
  to = std::min(to, last_index());
  if (from <= offset_.index || from > to)
    return result;
  std::uint64_t bytes = 0;
  for (auto index = from; index <= to; ++index) {
    const auto& entry = at(index);
    bytes += entry.bytes();
    if (bytes > max_bytes && !result.empty())
      break;
    result.push_back(entry);
  }
  return result;
}

void log_view::append(shared_entry entry) {
  entries_.push_back(std::move(entry));
}

void log_view::truncate_from(std::uint64_t index) {
  entries_.resize(static_cast<std::size_t>(index - offset_.index - 1));
  persisted_ = std::min(persisted_, index - 1);
  next_to_write_ = std::min(next_to_write_, index);
}

void log_view::restart_from(shared_snapshot snapshot, std::uint64_t valid_up_to) {
  snapshot_ = std::move(snapshot);
  offset_ = {snapshot_->index, snapshot_->term};
  entries_.clear();
  persisted_ = std::min(persisted_, valid_up_to);
  next_to_write_ = snapshot_->index + 1;
}

void log_view::take_snapshot(shared_snapshot snapshot, std::uint64_t keep_after) {
  snapshot_ = std::move(snapshot);
  keep_after = std::min({keep_after, snapshot_->index, persisted_});
  if (keep_after <= offset_.index)
    return;
  offset_ = {keep_after, *term_at(keep_after)};
  while (!entries_.empty() && entries_.front()->index <= keep_after)
    entries_.pop_front();
}

log_view::unwritten log_view::take_unwritten() {
  unwritten result;
  result.entries = slice(next_to_write_, last_index(), ~std::uint64_t{0});
  if (!result.entries.empty())
    result.truncates = result.entries.front()->index <= highest_written_;
  next_to_write_ = last_index() + 1;
  if (!result.entries.empty())
    highest_written_ = last_index();
  return result;
}

void log_view::persisted_up_to(std::uint64_t index) {
  persisted_ = std::max(persisted_, std::min(index, last_index()));
}

} // namespace prunella::runtime
