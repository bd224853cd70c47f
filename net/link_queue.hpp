#pragma once

// Encoded frames that wait for a connection, bounded by what they cost. They lie one behind the other in blocks: a burst
// costs few allocations, nothing is moved when the queue grows or drains, and what was taken gives its memory back.

#include <cstddef>
#include <cstdint>
#include <deque>

#include "net/link_credit.hpp"
#include "net/link_frame.hpp"

namespace prunella::net {

class link_queue {
public:
  explicit link_queue(std::size_t max_cost) : max_cost_(max_cost) {}

  /// What a waiting frame of `bytes` costs of the bound: itself, what stays unused in its block, and its bookkeeping, which
  /// for a request is who asked.
  static constexpr std::size_t cost_of(std::size_t bytes, bool request) {
    return bytes + bytes / 32 + 16 + (request ? 128 : 0);
  }

  bool has_room(std::size_t bytes, bool request) const { return cost_ + cost_of(bytes, request) <= max_cost_; }

  /// Append exactly one frame, of `bytes`, to this, then `commit` it. Precondition: `has_room` for it.
  byte_buffer& buffer(std::size_t bytes);
  /// `request`: its id; 0 for anything else.
  void commit(std::uint64_t request);

  /// Moves frames in order to `out` until one has no credit or `out` holds `max_bytes`; sets their incarnation. `is_live(id)`
  /// false: the request was given up meanwhile and is left out.
  template <class IsLive>
  std::size_t take(byte_buffer& out, std::size_t max_bytes, send_window& credit, std::uint64_t incarnation,
                   IsLive&& is_live) {
    std::size_t taken = 0;
    while (!entries_.empty() && out.size() < max_bytes) {
      const auto [bytes, request] = entries_.front();
      const bool live = request == 0 || is_live(request);
      if (live && !credit.can_send(bytes, request != 0))
        break;
      if (live) {
        credit.spend(bytes, request != 0);
        auto* from = blocks_.front().data() + head_;
        set_frame_incarnation(from, incarnation);
        out.insert(out.end(), from, from + bytes);
        ++taken;
      }
      drop_front();
    }
    return taken;
  }

  /// Forgets all; returns how many of them were no requests.
  std::size_t clear();

  bool empty() const { return entries_.empty(); }
  std::size_t frames() const { return entries_.size(); }
  std::size_t waiting() const { return waiting_; } ///< bytes of frames
  std::size_t blocks() const { return blocks_.size(); }

private:
  struct entry {
    std::uint32_t bytes;
    std::uint64_t request;
  };

  void drop_front();

  std::size_t max_cost_;
  std::size_t cost_ = 0;
  std::size_t waiting_ = 0;
  std::deque<byte_buffer> blocks_; ///< no frame lies in two
  std::size_t head_ = 0;           ///< where the first entry starts in the first block
  std::size_t committed_ = 0;      ///< where the next entry starts in the last block
  std::deque<entry> entries_;
};

} // namespace prunella::net
