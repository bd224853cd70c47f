#pragma once

// Encoded frames that wait for a connection, bounded by bytes. One buffer, so that a burst costs one allocation, not one
// per message.

#include <cstddef>
#include <cstdint>
#include <deque>

#include "net/link_credit.hpp"
#include "net/link_frame.hpp"

namespace prunella::net {

class link_queue {
public:
  explicit link_queue(std::size_t max_bytes) : max_bytes_(max_bytes) {}

  bool has_room(std::size_t bytes) const { return waiting() + bytes <= max_bytes_; }

  /// Append exactly one frame to this, then `commit` it. Precondition: `has_room` for it.
  byte_buffer& buffer() { return bytes_; }
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
        set_frame_incarnation(bytes_.data() + head_, incarnation);
        const auto* from = bytes_.data() + head_;
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
  std::size_t waiting() const { return bytes_.size() - head_; }

private:
  struct entry {
    std::uint32_t bytes;
    std::uint64_t request;
  };

  void drop_front();

  std::size_t max_bytes_;
  byte_buffer bytes_;
  std::size_t head_ = 0;      ///< where the first entry starts in `bytes_`
  std::size_t committed_ = 0; ///< where the next entry will start
  std::deque<entry> entries_;
};

} // namespace prunella::net
