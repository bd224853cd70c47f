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

} // namespace prunella::actors
