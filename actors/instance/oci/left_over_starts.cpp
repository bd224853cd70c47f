#include "actors/instance/oci/left_over_starts.hpp"

#include <algorithm>
#include <utility>

namespace prunella::actors {

void left_over_starts::add(start_of_container start) {
  const std::lock_guard lock{mutex_};
  left_.push_back(std::move(start));
}

std::optional<start_of_container> left_over_starts::take(const std::string& name) {
  const std::lock_guard lock{mutex_};
  const auto found = std::find_if(left_.begin(), left_.end(), [&](const auto& x) { return name.empty() || x.name == name; });
  if (found == left_.end())
    return std::nullopt;
  auto taken = std::move(*found);
  left_.erase(found);
  ending_.insert(taken.name);
  return taken;
}

void left_over_starts::ended(const start_of_container& taken) {
  {
    const std::lock_guard lock{mutex_};
    ending_.erase(ending_.find(taken.name));
  }
  changed_.notify_all();
}

std::vector<std::string> left_over_starts::names() const {
  const std::lock_guard lock{mutex_};
  std::vector<std::string> all{ending_.begin(), ending_.end()};
  for (const auto& start : left_)
    all.push_back(start.name);
  return all;
}

void left_over_starts::await(const std::string& name) {
  std::unique_lock lock{mutex_};
  changed_.wait(lock, [&] { return ending_.count(name) == 0; });
}

} // namespace prunella::actors
