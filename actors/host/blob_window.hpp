#pragma once

// Which parts of a blob to ask a peer for next, and how large they should be. Pure. The same link carries heartbeats: what
// is under way for images must never keep one waiting for long, so parts shrink until each arrives quickly, whatever the
// line does.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "config/fields.hpp"

namespace prunella::actors {

struct blob_range {
  std::uint64_t offset = 0;
  std::uint32_t bytes = 0;

  PRUNELLA_FIELDS(blob_range, offset, bytes)
};

struct window_options {
  std::uint32_t smallest_part = 16 * 1024;
  std::uint32_t largest_part = 256 * 1024;
  std::size_t most_under_way = 4;              ///< parts
  std::chrono::milliseconds slow_part{100};    ///< a part that took longer is followed by smaller ones …
  std::chrono::milliseconds quick_part{25};    ///< … and one that took less by larger ones

  PRUNELLA_FIELDS(window_options, smallest_part, largest_part, most_under_way, slow_part, quick_part)
};

/// One transfer of a blob, from `offset` (what is there already) to its end; parts are asked for and arrive in order.
/// After a slow part only one is under way at a time.
class blob_window {
public:
  blob_window(std::uint64_t size, std::uint64_t offset, window_options options = {})
    : options_(options), size_(size), asked_(offset), arrived_(offset), part_(options.smallest_part) {}

  /// The next part to ask for; nothing while enough is under way or all was asked for.
  std::optional<blob_range> next() {
    if (asked_ == size_ || under_way_.size() >= (is_slow_ ? 1 : options_.most_under_way))
      return std::nullopt;
    const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(part_, size_ - asked_));
    under_way_.push_back({asked_, bytes});
    asked_ += bytes;
    return under_way_.back();
  }

  /// The oldest part that is under way arrived, `took` after it was asked for. Empty, or a sentence: it is not what was
  /// asked for.
  std::string arrived(std::uint64_t offset, std::uint64_t bytes, std::chrono::microseconds took) {
    if (under_way_.empty() || under_way_.front().offset != offset || under_way_.front().bytes != bytes)
      return "it sent " + std::to_string(bytes) + " bytes from " + std::to_string(offset) + " where "
             + (under_way_.empty() ? std::string{"none were"}
                                   : std::to_string(under_way_.front().bytes) + " from "
                                       + std::to_string(under_way_.front().offset) + " were")
             + " asked for";
    under_way_.pop_front();
    arrived_ += bytes;
    is_slow_ = took > options_.slow_part;
    if (is_slow_)
      part_ = std::max(options_.smallest_part, part_ / 2);
    else if (took < options_.quick_part)
      part_ = std::min(options_.largest_part, part_ * 2);
    return {};
  }

  bool is_done() const { return arrived_ == size_; }
  std::uint32_t part_bytes() const { return part_; }

private:
  window_options options_;
  std::uint64_t size_;
  std::uint64_t asked_;
  std::uint64_t arrived_;
  std::uint32_t part_;
  bool is_slow_ = false;
  std::deque<blob_range> under_way_;
};

} // namespace prunella::actors
