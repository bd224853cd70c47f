#include "runtime/consensus/raft_message.hpp"

#include <array>

#include "runtime/consensus/membership.hpp"

namespace prunella::runtime {

namespace {

std::string fault_of_entries(const raft_message& message) {
  auto expected_index = message.log_index;
  auto lowest_term = message.log_term;
  std::uint64_t bytes = 0;
  for (const auto& entry : message.entries) {
    const auto where = "entry " + std::to_string(entry->index);
    if (entry->index != ++expected_index)
      return where + " stands where " + std::to_string(expected_index) + " belongs";
    if (entry->term < lowest_term || entry->term == 0)
      return where + " has term " + std::to_string(entry->term) + ", lower than the entry before it";
    if (entry->term > message.term)
      return where + " has term " + std::to_string(entry->term) + ", higher than its leader's";
    if (entry->kind > entry_kind::barrier)
      return where + " is of an unknown kind";
    if (entry->kind == entry_kind::membership && !decode_membership(entry->data))
      return where + " is not a readable membership";
    lowest_term = entry->term;
    bytes += entry.bytes();
  }
  return bytes > append_bytes_ceiling ? "its entries are larger than " + std::to_string(append_bytes_ceiling) + " bytes"
                                      : "";
}

std::string fault_of_snapshot(const raft_message& message, std::uint64_t max_snapshot_bytes) {
  if (message.log_index == 0 || message.log_term == 0 || message.log_term > message.term)
    return "a snapshot stands at an index and term that exist, and not above its leader's term";
  if (message.total > max_snapshot_bytes)
    return "a snapshot of " + std::to_string(message.total) + " bytes is above the limit of " +
           std::to_string(max_snapshot_bytes);
  if (message.hint > message.total || message.chunk.size() > message.total - message.hint)
    return "a piece of a snapshot lies outside the snapshot";
  if (message.members.voters.empty())
    return "a snapshot names at least one voter";
  return find_fault(message.members);
}

} // namespace

std::string find_fault(const raft_message& message, std::uint64_t max_snapshot_bytes) {
  if (static_cast<std::uint8_t>(message.type) >= raft_message_types)
    return "its type is unknown";
  if (message.from == 0 || message.to == 0)
    return "it names nobody as sender or receiver";
  if (message.term == 0)
    return "it has term 0, which no member is in";
  for (auto number : {message.term, message.log_index, message.log_term, message.commit, message.hint})
    if (number >= number_ceiling)
      return "it has a term or index beyond any that exists";
  if (message.type == raft_message_type::append)
    return message.log_term > message.term ? "it continues an entry of a term above its own"
                                           : fault_of_entries(message);
  if (!message.entries.empty())
    return "only appends carry entries";
  if (message.type == raft_message_type::snapshot)
    return fault_of_snapshot(message, max_snapshot_bytes);
  return message.chunk.empty() ? "" : "only snapshots carry pieces of a snapshot";
}

const char* to_text(raft_message_type type) {
  static constexpr std::array<const char*, raft_message_types> texts = {
      "pre-vote",        "pre-vote reply", "vote",           "vote reply",  "append",       "append reply", "heartbeat",
      "heartbeat reply", "snapshot",       "snapshot reply", "timeout now", "read request", "read reply",
      "commit notice"};
  const auto number = static_cast<std::size_t>(type);
  return number < texts.size() ? texts[number] : "unknown";
}

} // namespace prunella::runtime
