#pragma once

// Input on its way to a command, numbered by its bytes, so that what a client sends again is taken once. A value.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace prunella::actors {

inline constexpr std::size_t max_waiting_input = 64 * 1024; ///< for a command that does not read

class input_window {
public:
  /// As `session_source::write`: `bytes` begin at byte `from`, counted from the first; how many have been taken now.
  std::uint64_t add(std::uint64_t from, std::string_view bytes) {
    if (from > end_ || is_over_)
      return end_; // something before it was lost: to be sent again
    bytes.remove_prefix(static_cast<std::size_t>(std::min<std::uint64_t>(end_ - from, bytes.size())));
    bytes = bytes.substr(0, max_waiting_input - std::min(waiting_.size(), max_waiting_input));
    waiting_.append(bytes);
    end_ += bytes.size();
    return end_;
  }

  void end() { is_over_ = true; }

  const std::string& waiting() const { return waiting_; }
  /// The first `count` bytes that waited were given on.
  void pop(std::size_t count) { waiting_.erase(0, count); }
  void drop() { waiting_.clear(); }
  /// All was given on, and no more comes.
  bool is_done() const { return is_over_ && waiting_.empty(); }

private:
  std::string waiting_;
  std::uint64_t end_ = 0;
  bool is_over_ = false;
};

} // namespace prunella::actors
