#include "actors/site/host_offer.hpp"

#include <algorithm>
#include <utility>

namespace prunella::actors {

namespace {

void bound(std::string& text) {
  text.resize(std::min(text.size(), max_software_bytes));
  std::replace_if(text.begin(), text.end(), [](char c) { return (c >= 0 && c < ' ') || c == 127; }, ' ');
}

} // namespace

host_software bounded(host_software software) {
  software.drivers.resize(std::min(software.drivers.size(), max_software_texts));
  software.without.resize(std::min(software.without.size(), max_software_texts));
  for (auto& text : software.drivers)
    bound(text);
  for (auto& [what, why] : software.without) {
    bound(what);
    bound(why);
  }
  return software;
}

const host_weakness* full_disk_of(const std::vector<host_lack>& lacks, const host_software& software) {
  if (!std::binary_search(lacks.begin(), lacks.end(), host_lack::disk_room))
    return nullptr;
  static const host_weakness untold{std::string{disk_room_word}, "the disk of its data directory is full"};
  const auto told = std::find_if(software.without.begin(), software.without.end(), [](const auto& x) { return x.what == disk_room_word; });
  return told == software.without.end() ? &untold : &*told;
}

} // namespace prunella::actors
