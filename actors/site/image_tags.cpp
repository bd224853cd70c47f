#include "actors/site/image_tags.hpp"

#include <algorithm>

#include "actors/names.hpp"
#include "actors/site/update.hpp"

namespace prunella::actors {

namespace {

const tag_found* find_tag(const image_report& report, const std::string& tag, std::uint64_t since) {
  const auto found = std::find_if(report.tags.begin(), report.tags.end(),
                                  [&](const auto& x) { return x.reference == tag && x.since >= since; });
  return found == report.tags.end() ? nullptr : &*found;
}

} // namespace

std::optional<decide_images> decide_tags(const site_state& state, const image_reports& reports) {
  for (const auto& [key, record] : state.applications) {
    decide_images next;
    for (const auto& tag : record.open_tags)
      for (const auto& [host, report] : reports)
        if (const auto* found = find_tag(report, tag, record.open_since)) {
          next.digests.emplace(tag, found->digest);
          if (next.found_at.empty())
            next.found_at = host;
          break;
        }
    if (next.digests.empty())
      continue;
    next.key = key;
    next.since = record.open_since;
    return next;
  }
  return std::nullopt;
}

tag_meaning meaning_of(const site_state& state, const std::string& container, const std::string& tag) {
  const auto x = state.assignments.find(container.substr(0, container.rfind('.')));
  if (x == state.assignments.end())
    return {};
  const auto record = state.applications.find(application_key(x->second.tenant, x->second.application));
  if (record == state.applications.end())
    return {};
  const auto& digests = digests_of(digests_of(record->second, x->second), x->second.service);
  const auto digest = digests.find(tag);
  return digest == digests.end() ? tag_meaning{true, {}} : tag_meaning{false, digest->second};
}

} // namespace prunella::actors
