#include "actors/instance/disk_limit.hpp"

#include <algorithm>

#include "config/quantity.hpp"

namespace prunella::actors {

std::string disk_limit::on_measured(const disk_measured& measured, instant now) {
  const auto bytes = measured.bytes;
  if (measured.is_at_least)
    return "has more files, or deeper folders, than a disk limit can count";
  if (bytes > limit_bytes_)
    return "filled " + config::shown_bytes(bytes) + " of its disk limit of " + config::shown_bytes(limit_bytes_);
  pause_ = shortest_pause;
  if (last_) {
    const auto grown = static_cast<double>(bytes - last_->bytes);
    const auto passed = std::chrono::duration<double, std::milli>(now - last_->at).count();
    const auto left = static_cast<double>(limit_bytes_ - bytes);
    const auto half = grown > 0 && passed > 0 ? left / grown * passed / 2 : static_cast<double>(longest_pause.count());
    const auto most = static_cast<double>(longest_pause.count());
    pause_ = std::max(shortest_pause, std::chrono::milliseconds{static_cast<std::int64_t>(std::min(half, most))});
  }
  last_ = {bytes, now};
  return {};
}

} // namespace prunella::actors
