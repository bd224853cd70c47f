#pragma once

// Datagrams of a flow that wait while the way to its instance is made: few, as a client without an answer asks again. A
// value without I/O; private to net/door.

#include <cstddef>
#include <deque>
#include <string>
#include <string_view>
#include <utility>

namespace prunella::net {

class held_datagrams {
public:
  static constexpr std::size_t max_count = 16;
  static constexpr std::size_t max_bytes = 64 * 1024;       ///< of a flow: the longest datagram fits
  static constexpr std::size_t max_total = 4 * 1024 * 1024; ///< of all flows of a door

  /// `total`: bytes that all flows hold; outlives this.
  explicit held_datagrams(std::size_t& total) : total_(total) {}
  held_datagrams(const held_datagrams&) = delete;
  held_datagrams& operator=(const held_datagrams&) = delete;
  ~held_datagrams() { clear(); }

  bool empty() const { return held_.empty(); }

  /// Holds it too; false: it is lost, as in a full queue of any router.
  bool add(std::string_view payload) {
    if (held_.size() >= max_count || bytes_ + payload.size() > max_bytes || total_ + payload.size() > max_total)
      return false;
    held_.emplace_back(payload);
    bytes_ += payload.size();
    total_ += payload.size();
    return true;
  }

  /// The oldest one. Not if it is empty.
  std::string take() {
    auto first = std::move(held_.front());
    held_.pop_front();
    bytes_ -= first.size();
    total_ -= first.size();
    return first;
  }

  void clear() {
    held_.clear();
    total_ -= bytes_;
    bytes_ = 0;
  }

private:
  std::size_t& total_;
  std::size_t bytes_ = 0;
  std::deque<std::string> held_;
};

} // namespace prunella::net
