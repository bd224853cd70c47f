#include "actors/instance/disk_limit.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace prunella::actors {

std::string disk_limit::on_measured(const disk_measured& measured, instant now) {
  const auto bytes = measured.bytes;
  if (measured.is_at_least)
    return "has more files, or deeper folders, than a disk limit can count";
  if (bytes > limit_bytes_)
    return "filled " + shown_bytes(bytes) + " of its disk limit of " + shown_bytes(limit_bytes_);
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

std::string shown_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < units.size(); ++unit)
    amount /= 1024;
  std::array<char, 32> text{};
  const bool is_whole = unit == 0 || amount >= 9.95 || amount * 10 - static_cast<double>(static_cast<std::int64_t>(amount)) * 10 < 0.5;
  std::snprintf(text.data(), text.size(), is_whole ? "%.0f %s" : "%.1f %s", amount, units[unit]);
  return text.data();
}

} // namespace prunella::actors
