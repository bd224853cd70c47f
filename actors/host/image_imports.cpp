#include "actors/host/image_imports.hpp"

#include <iterator>
#include <utility>

#include "actors/instance/image_error.hpp"

namespace prunella::actors {

void image_imports::tell(const import& x, promise& asker) {
  if (x.failure)
    asker.deliver(to_error(*x.failure));
  else
    asker.deliver(x.result);
}

bool image_imports::join(const std::string& key, promise asker, runtime::instant now) {
  for (auto it = imports_.begin(); it != imports_.end();)
    it = it->second.is_over && now >= it->second.forget_at ? imports_.erase(it) : std::next(it);
  const auto known = imports_.find(key);
  if (known == imports_.end())
    return false;
  if (known->second.is_over)
    tell(known->second, asker);
  else
    known->second.waiting.push_back(std::move(asker));
  return true;
}

void image_imports::begin(const std::string& key, promise asker) {
  imports_[key].waiting.push_back(std::move(asker));
}

void image_imports::set_name(const std::string& key, const std::string& reference) {
  imports_.at(key).reference = reference;
}

void image_imports::refuse(const std::string& key, const caf::error& why) {
  auto refused = imports_.extract(key);
  for (auto& asker : refused.mapped().waiting)
    asker.deliver(why);
}

void image_imports::end(const std::string& reference, const fetch_outcome& outcome, runtime::instant now) {
  for (auto& [key, x] : imports_) {
    if (x.reference != reference || x.is_over)
      continue;
    x.is_over = true;
    x.forget_at = now + result_kept_;
    x.result = {reference, outcome.image.manifest, outcome.image.bytes};
    if (outcome.failed)
      x.failure = outcome.failure;
    for (auto& asker : std::exchange(x.waiting, {}))
      tell(x, asker);
  }
}

void image_imports::end_all(const caf::error& why) {
  for (auto& [key, x] : imports_)
    for (auto& asker : std::exchange(x.waiting, {}))
      asker.deliver(why);
}

} // namespace prunella::actors
