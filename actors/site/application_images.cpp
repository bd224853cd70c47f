#include "actors/site/application_images.hpp"

#include <set>

#include "storage/images/reference.hpp"

namespace prunella::actors {

namespace {

void add_images(const std::vector<config::container_spec>& containers, std::set<std::string>& found) {
  for (const auto& container : containers)
    if (!container.image.empty())
      if (const auto reference = storage::parse_reference(container.image))
        found.insert(reference->text());
}

} // namespace

std::vector<std::string> images_of(const config::service_spec& service) {
  std::set<std::string> found;
  add_images(service.init_containers, found);
  add_images(service.containers, found);
  return {found.begin(), found.end()};
}

std::vector<std::string> images_of(const config::application_spec& application) {
  std::set<std::string> found;
  for (const auto& service : application.services) {
    add_images(service.init_containers, found);
    add_images(service.containers, found);
  }
  return {found.begin(), found.end()};
}

} // namespace prunella::actors
