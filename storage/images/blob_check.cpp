#include "storage/images/blob_check.hpp"

#include <algorithm>
#include <utility>

namespace prunella::storage {

bool blob_check::doubt(const digest& blob) {
  const bool was_idle = is_idle();
  if (doubted_.size() >= most_doubted || std::find(doubted_.begin(), doubted_.end(), blob) != doubted_.end())
    return false;
  doubted_.push_back(blob);
  return was_idle;
}

std::optional<digest> blob_check::step(const blob_store& blobs) {
  if (is_idle())
    return std::nullopt;
  const auto bytes = blobs.read(doubted_.front(), offset_, max_read_bytes);
  if (bytes && !bytes->empty()) {
    if (offset_ == 0)
      hash_.begin();
    hash_.add(*bytes);
    offset_ += bytes->size();
    return std::nullopt;
  }
  const auto blob = std::move(doubted_.front());
  doubted_.pop_front();
  if (std::exchange(offset_, 0) == 0 && bytes)
    hash_.begin();
  if (!bytes || to_digest(hash_.finish()) == blob)
    return std::nullopt;
  return blob;
}

} // namespace prunella::storage
