#include "actors/host/image_events.hpp"

#include <cstdint>
#include <utility>

#include "config/quantity.hpp"
#include "storage/images/reference.hpp"

namespace prunella::actors {

namespace {

/// As the journal has it: `new image sha256:0123… from host-3, 12 MiB`.
std::string new_image_text(const fetched_image& x) {
  return "new image " + x.manifest.substr(0, 19) + " from " + x.from + ", " + config::shown_bytes(static_cast<std::int64_t>(x.bytes));
}

std::string name_for_people(const std::string& reference) {
  const auto read = storage::parse_reference(reference);
  return read && read->is_pinned() && !read->tag.empty() ? read->name() + ':' + read->tag : reference;
}

} // namespace

storage::journal_event image_event(const std::string& reference, const std::string& from, const std::string& to,
                                   const std::string& reason) {
  return {"", 0, 0, "image/" + name_for_people(reference), from, to, reason, ""};
}

std::optional<storage::journal_event> image_events::from(const std::string& reference, const std::string& source) {
  if (source.empty() || !sources_told_[reference].insert(source).second) // several that fail are tried by turns
    return std::nullopt;
  return image_event(reference, "", "fetching", "from " + source);
}

std::vector<storage::journal_event> image_events::fetched(const std::string& reference, const fetch_outcome& outcome) {
  forget(reference);
  std::vector<storage::journal_event> events;
  for (const auto& why : outcome.peers_failed)
    events.push_back(image_event(reference, "fetching", "fetching", why));
  if (!outcome.image.was_there)
    events.push_back(image_event(reference, "fetching", "present", new_image_text(outcome.image)));
  return events;
}

std::optional<storage::journal_event> image_events::failed(const std::string& reference, const image_failure& why) {
  if (std::exchange(reasons_told_[reference], why.message) == why.message)
    return std::nullopt;
  return image_event(reference, "fetching", "failed", "image " + reference + " could not be fetched: " + why.message);
}

void image_events::forget(const std::string& reference) {
  sources_told_.erase(reference);
  reasons_told_.erase(reference);
}

} // namespace prunella::actors
