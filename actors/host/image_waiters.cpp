#include "actors/host/image_waiters.hpp"

#include <algorithm>
#include <iterator>

namespace prunella::actors {

image_waiter image_waiters::admit(std::string holder, caf::typed_response_promise<provided_image> promise) {
  ++count_;
  return {std::move(holder), std::move(promise)};
}

std::vector<image_waiter> image_waiters::take(const std::string& reference) {
  auto waiting = for_image_.extract(reference);
  return waiting ? std::move(waiting.mapped()) : std::vector<image_waiter>{};
}

std::vector<image_waiters::decided>
image_waiters::take_decided(const std::function<bool(const std::string& holder, const std::string& tag)>& is_open) {
  std::vector<decided> all;
  for (auto it = for_decision_.begin(); it != for_decision_.end();) {
    const auto& tag = it->first;
    auto& waiting = it->second;
    const auto first = std::stable_partition(waiting.begin(), waiting.end(), [&](const auto& x) { return is_open(x.holder, tag); });
    decided one{tag, {std::make_move_iterator(first), std::make_move_iterator(waiting.end())}, first == waiting.begin()};
    waiting.erase(first, waiting.end());
    it = one.was_last ? for_decision_.erase(it) : std::next(it);
    if (!one.waiters.empty())
      all.push_back(std::move(one));
  }
  return all;
}

void image_waiters::refuse(const std::string& reference, const caf::error& why) {
  for (auto* list : {&for_image_, &for_decision_})
    if (auto waiting = list->extract(reference))
      for (auto& x : waiting.mapped())
        answer(x, why);
}

void image_waiters::end_all(const caf::error& why) {
  for (auto* list : {&for_image_, &for_decision_})
    for (auto& [reference, waiting] : std::exchange(*list, {}))
      for (auto& x : waiting)
        answer(x, why);
}

} // namespace prunella::actors
