#include "actors/host/leftovers.hpp"

#include <algorithm>
#include <set>

namespace prunella::actors {

std::vector<recovered_container> leftovers::take(const std::vector<recovered_container>& found, runtime::instant now) {
  std::vector<recovered_container> to_tell;
  std::map<std::pair<std::string, std::uint64_t>, leftover> still;
  for (const auto& x : found) {
    const std::pair key{x.name, x.generation};
    const auto before = all_.find(key);
    auto& entry = still[key];
    entry = before == all_.end() ? leftover{x.instance, now, {}, false} : before->second;
    if (!entry.is_told)
      to_tell.push_back(x);
  }
  all_ = std::move(still);
  return to_tell;
}

void leftovers::told(const recovered_container& x, std::chrono::milliseconds grace) {
  if (const auto it = all_.find({x.name, x.generation}); it != all_.end()) {
    it->second.grace = grace;
    it->second.is_told = true;
  }
}

void leftovers::failed(const recovered_container& x) {
  if (const auto it = all_.find({x.name, x.generation}); it != all_.end())
    it->second.is_told = false;
}

std::uint64_t leftovers::generation_of(const std::string& instance, runtime::instant now) const {
  std::uint64_t generation = 0;
  for (const auto& [key, x] : all_)
    if (x.instance == instance && counts(x, now))
      generation = std::max(generation, key.second);
  return generation;
}

std::vector<std::string> leftovers::instances(runtime::instant now) const {
  std::set<std::string> names;
  for (const auto& [key, x] : all_)
    if (counts(x, now))
      names.insert(x.instance);
  return {names.begin(), names.end()};
}

} // namespace prunella::actors
