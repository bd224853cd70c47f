#include "net/link_queue.hpp"

#include <algorithm>

namespace prunella::net {

namespace {

/// The one block that an empty queue keeps has this many bytes.
constexpr std::size_t block_bytes = 64 * 1024;

} // namespace

byte_buffer& link_queue::buffer(std::size_t bytes) {
  if (blocks_.empty() || blocks_.back().capacity() - blocks_.back().size() < bytes) {
    if (!blocks_.empty() && entries_.empty()) // a kept one, too small
      blocks_.clear();
    blocks_.emplace_back().reserve(std::max(block_bytes, bytes));
    committed_ = 0;
  }
  return blocks_.back();
}

void link_queue::commit(std::uint64_t request) {
  const auto bytes = blocks_.back().size() - committed_;
  committed_ = blocks_.back().size();
  entries_.push_back({static_cast<std::uint32_t>(bytes), request});
  waiting_ += bytes;
  cost_ += cost_of(bytes, request != 0);
}

void link_queue::drop_front() {
  const auto [bytes, request] = entries_.front();
  entries_.pop_front();
  head_ += bytes;
  waiting_ -= bytes;
  cost_ -= cost_of(bytes, request != 0);
  if (head_ < blocks_.front().size())
    return;
  head_ = 0;
  if (!entries_.empty() || blocks_.front().capacity() > block_bytes) {
    blocks_.pop_front();
    return;
  }
  blocks_.front().clear();
  committed_ = 0;
}

std::size_t link_queue::clear() {
  const auto plain = std::count_if(entries_.begin(), entries_.end(), [](const entry& x) { return x.request == 0; });
  entries_.clear();
  entries_.shrink_to_fit();
  blocks_.clear();
  head_ = committed_ = waiting_ = cost_ = 0;
  return static_cast<std::size_t>(plain);
}

} // namespace prunella::net
