#include "net/link_queue.hpp"

namespace prunella::net {

namespace {

/// Capacity that a drained queue keeps.
constexpr std::size_t kept_capacity = 1024 * 1024;

} // namespace

void link_queue::commit(std::uint64_t request) {
  entries_.push_back({static_cast<std::uint32_t>(bytes_.size() - committed_), request});
  committed_ = bytes_.size();
}

void link_queue::drop_front() {
  head_ += entries_.front().bytes;
  entries_.pop_front();
  if (entries_.empty()) {
    head_ = committed_ = 0;
    bytes_.clear();
    if (bytes_.capacity() > kept_capacity)
      byte_buffer().swap(bytes_);
  } else if (head_ >= kept_capacity && head_ >= bytes_.size() / 2) {
    // The live half moves at most once for each byte taken, so this stays linear.
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(head_));
    committed_ -= head_;
    head_ = 0;
  }
}

std::size_t link_queue::clear() {
  std::size_t plain = 0;
  for (const auto& [bytes, request] : entries_)
    plain += request == 0 ? 1 : 0;
  entries_.clear();
  byte_buffer().swap(bytes_);
  head_ = committed_ = 0;
  return plain;
}

} // namespace prunella::net
