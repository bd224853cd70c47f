#include "actors/instance/engine/load_turns.hpp"

namespace prunella::actors {

load_turns::turn::~turn() {
  if (of_ == nullptr)
    return;
  {
    const std::lock_guard lock{of_->mutex_};
    of_->loading_.erase(image_);
  }
  of_->changed_.notify_all();
}

std::optional<load_turns::turn> load_turns::take(const std::string& image, std::chrono::milliseconds patience) {
  std::unique_lock lock{mutex_};
  if (!changed_.wait_for(lock, patience, [&] { return loading_.size() < most && loading_.count(image) == 0; }))
    return std::nullopt;
  loading_.insert(image);
  return turn{*this, image};
}

} // namespace prunella::actors
