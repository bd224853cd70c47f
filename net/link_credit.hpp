#pragma once

// Flow control of a link, as in HTTP/2 (RFC 9113, 5.2): each side may send as many bytes of messages as the other granted,
// and the other grants more as its actors consume them. Answers cost nothing: who asked has room for them.

#include <cstdint>

namespace prunella::net {

/// What the peer still takes.
class send_window {
public:
  send_window() = default;
  send_window(std::uint32_t bytes, std::uint32_t slots) : limit_(bytes), bytes_(bytes), slots_(slots) {}

  bool can_send(std::uint32_t bytes, bool request) const { return bytes <= bytes_ && (!request || slots_ > 0); }

  /// Precondition: `can_send`.
  void spend(std::uint32_t bytes, bool request) {
    bytes_ -= bytes;
    slots_ -= request ? 1 : 0;
  }

  /// False if the peer grants more than was ever spent: a violation.
  bool grant(std::uint64_t bytes) {
    if (bytes > limit_ - bytes_)
      return false;
    bytes_ += static_cast<std::uint32_t>(bytes);
    return true;
  }

  void free_slot() { ++slots_; }

  std::uint32_t bytes() const { return bytes_; }
  std::uint32_t slots() const { return slots_; }

private:
  std::uint32_t limit_ = 0;
  std::uint32_t bytes_ = 0;
  std::uint32_t slots_ = 0;
};

/// What this side granted and the peer has used.
class receive_window {
public:
  explicit receive_window(std::uint32_t bytes) : limit_(bytes) {}

  /// A message of `bytes` arrived. False if the peer had no credit for it: a violation.
  bool take(std::uint32_t bytes) {
    if (bytes > limit_ - used_)
      return false;
    used_ += bytes;
    return true;
  }

  /// `bytes` of what was taken were consumed and are granted again.
  void give_back(std::uint32_t bytes) { used_ -= bytes < used_ ? bytes : used_; }

  std::uint32_t used() const { return used_; }
  /// Whether `consumed` bytes that were not given back are worth a credit frame: a quarter of the window, or the peer could
  /// not send `longest` more bytes. Each message on its own is not, as a frame wakes the peer.
  bool should_grant(std::uint32_t consumed, std::uint32_t longest) const {
    return consumed > 0 && (consumed >= limit_ / 4 || limit_ - used_ < longest);
  }

private:
  std::uint32_t limit_;
  std::uint32_t used_ = 0;
};

} // namespace prunella::net
