#include "actors/site/application_images.hpp"

#include <set>

#include "storage/images/reference.hpp"

namespace prunella::actors {

namespace {

/// Visits each complete reference, and whether it is a tag.
template <class Visit>
void for_each_image(const config::service_spec& service, Visit visit) {
  for (const auto* containers : {&service.init_containers, &service.containers})
    for (const auto& container : *containers)
      if (!container.image.empty())
        if (const auto reference = storage::parse_reference(container.image))
          visit(reference->text(), !reference->is_pinned());
}

std::vector<std::string> sorted(const std::set<std::string>& found) {
  return {found.begin(), found.end()};
}

void add_images(const config::service_spec& service, const tag_digests& decided, std::set<std::string>& found) {
  for_each_image(service, [&](const std::string& reference, bool is_tag) {
    const auto digest = is_tag ? decided.find(reference) : decided.end();
    found.insert(digest == decided.end() ? reference : with_digest(reference, digest->second));
  });
}

void add_tags(const config::service_spec& service, std::set<std::string>& found) {
  for_each_image(service, [&](const std::string& reference, bool is_tag) {
    if (is_tag)
      found.insert(reference);
  });
}

} // namespace

std::vector<std::string> images_of(const config::service_spec& service, const tag_digests& decided) {
  std::set<std::string> found;
  add_images(service, decided, found);
  return sorted(found);
}

std::vector<std::string> images_of(const config::application_spec& application, const image_digests& decided) {
  std::set<std::string> found;
  for (const auto& service : application.services)
    add_images(service, digests_of(decided, service.name), found);
  return sorted(found);
}

std::vector<std::string> tags_of(const config::service_spec& service) {
  std::set<std::string> found;
  add_tags(service, found);
  return sorted(found);
}

std::vector<std::string> tags_of(const config::application_spec& application) {
  std::set<std::string> found;
  for (const auto& service : application.services)
    add_tags(service, found);
  return sorted(found);
}

const tag_digests& digests_of(const image_digests& decided, const std::string& service) {
  static const tag_digests none;
  const auto found = decided.find(service);
  return found == decided.end() ? none : found->second;
}

std::string with_digest(const std::string& tag, const std::string& digest) {
  return tag + '@' + digest;
}

} // namespace prunella::actors
