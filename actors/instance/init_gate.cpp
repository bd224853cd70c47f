#include "actors/instance/init_gate.hpp"

#include <algorithm>
#include <utility>

namespace prunella::actors {

bool init_gate::is_open(const std::string& container, std::function<void()> on_change) {
  const std::lock_guard lock{mutex_};
  const auto end = std::find(inits_.begin(), inits_.end(), container); // of any other container: all
  if (std::all_of(inits_.begin(), end, [&](const std::string& init) { return passed_.count(init) != 0; }))
    return true;
  waiting_.push_back(std::move(on_change));
  return false;
}

std::string init_gate::awaited_by(const std::string& container) const {
  const std::lock_guard lock{mutex_};
  const auto end = std::find(inits_.begin(), inits_.end(), container);
  const auto first = std::find_if(inits_.begin(), end, [&](const std::string& init) { return passed_.count(init) == 0; });
  return first == end ? std::string{} : *first;
}

void init_gate::begin(const std::string& init) {
  const std::lock_guard lock{mutex_};
  passed_.erase(init);
}

void init_gate::pass(const std::string& init) {
  std::vector<std::function<void()>> waiting;
  {
    const std::lock_guard lock{mutex_};
    passed_.insert(init);
    waiting = std::exchange(waiting_, {});
  }
  for (const auto& on_change : waiting)
    on_change();
}

} // namespace prunella::actors
