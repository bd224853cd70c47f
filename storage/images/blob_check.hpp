#pragma once

// Whether blobs still are what their digests say: those that somebody found to be other bytes. A portion at a time, so that who
// has more to do can look at a blob of many GiB between other things.

#include <cstdint>
#include <deque>
#include <optional>

#include "storage/images/blob_store.hpp"
#include "storage/images/digest.hpp"
#include "storage/sha256.hpp"

namespace prunella::storage {

class blob_check {
public:
  /// `blob` is to be looked at; of more than `most_doubted` at a time the rest is not, as one that is in line already. True: there
  /// was nothing to do until now.
  bool doubt(const digest& blob);

  bool is_idle() const { return doubted_.empty(); }

  /// Reads the next portion. Returns a blob when it was read to its end and is damaged; one that is not here is left out.
  std::optional<digest> step(const blob_store& blobs);

  static constexpr std::size_t most_doubted = 64;

private:
  std::deque<digest> doubted_; ///< the first is being read
  std::uint64_t offset_ = 0;
  sha256 hash_;
};

} // namespace prunella::storage
