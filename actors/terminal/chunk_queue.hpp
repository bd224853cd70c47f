#pragma once

// Output on its way to a reader: in numbered chunks, each kept until the reader confirmed it. A value; one thread at a time.

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "actors/terminal/terminal_messages.hpp"

namespace prunella::actors {

class chunk_queue {
public:
  /// `bytes` is not empty.
  void push(bool is_error, std::string bytes) {
    waiting_bytes_ += bytes.size();
    chunks_.push_back({++last_, is_error, std::move(bytes)});
  }

  /// The chunks behind number `confirmed`, which is the last that the reader has; forgets those up to it.
  std::vector<terminal_chunk> read(std::uint64_t confirmed) {
    while (!chunks_.empty() && chunks_.front().number <= confirmed) {
      waiting_bytes_ -= chunks_.front().bytes.size();
      chunks_.pop_front();
    }
    return {chunks_.begin(), chunks_.end()};
  }

  /// Nothing comes that the reader does not have, unless more is pushed.
  bool is_read(std::uint64_t confirmed) const { return confirmed >= last_; }

  std::size_t waiting_bytes() const { return waiting_bytes_; }

  /// Forgets all, also the numbers.
  void clear() { *this = {}; }

private:
  std::deque<terminal_chunk> chunks_;
  std::uint64_t last_ = 0;
  std::size_t waiting_bytes_ = 0;
};

} // namespace prunella::actors
