#pragma once

// The deadlines of one actor, so that it needs one timer for all of them: a timer of CAF's costs two wake-ups of its clock
// thread and cannot be taken back. A value. Deadlines are not cancelled but asked about: those that nobody awaits any more
// are forgotten when they are met.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/instant.hpp"

namespace prunella::runtime {

class deadlines {
public:
  void add(instant due, std::uint64_t token) {
    heap_.emplace_back(due, token);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }

  /// The earliest one that is awaited.
  template <class IsAwaited>
  std::optional<instant> next(IsAwaited&& is_awaited) {
    while (!heap_.empty() && !is_awaited(heap_.front().second))
      pop();
    return heap_.empty() ? std::nullopt : std::optional{heap_.front().first};
  }

  /// Takes one that is due at `now`, earliest first; none: nothing is.
  std::optional<std::uint64_t> take_due(instant now) {
    if (heap_.empty() || heap_.front().first > now)
      return std::nullopt;
    const auto token = heap_.front().second;
    pop();
    return token;
  }

  /// Forgets all that are not awaited, once there are more than `bound` in all; call it with twice of what can be awaited.
  template <class IsAwaited>
  void keep_below(std::size_t bound, IsAwaited&& is_awaited) {
    if (heap_.size() <= bound)
      return;
    heap_.erase(std::remove_if(heap_.begin(), heap_.end(), [&](const auto& x) { return !is_awaited(x.second); }),
                heap_.end());
    std::make_heap(heap_.begin(), heap_.end(), later);
  }

  std::size_t size() const { return heap_.size(); }

private:
  using entry = std::pair<instant, std::uint64_t>;

  static bool later(const entry& a, const entry& b) { return a > b; }

  void pop() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }

  std::vector<entry> heap_;
};

} // namespace prunella::runtime
