#include "tests/cluster/image_site.hpp"

#include "actors/instance/container_driver.hpp"
#include "tests/actors/busybox_image.hpp"
#include "tests/storage/outcome.hpp"

namespace prunella::tests {

std::string image_site_obstacle() {
  const auto why = container_obstacle();
  if (!why.empty())
    return why;
  const auto drivers = actors::find_drivers({{config::driver_kind::oci, ""}});
  return drivers.missing.empty() ? std::string{} : drivers.missing.front();
}

void give_image(site_processes& site) {
  site.start_all(); // makes the data directories
  for (const auto& host : site.hosts())
    CHECK(site.end(host) == 0);
  for (const auto& host : site.hosts()) {
    const auto store = must(storage::open_image_store((site.data_dir(host) / "images").string(), {{"market", host}, 0, {}}));
    unpacked_layers(*store, busybox_image());
  }
  site.start_all();
}

config::application_spec image_application(const std::string& name, const std::string& script, unsigned replicas) {
  auto spec = simple_application(name, {"/bin/sh", "-c", script}, replicas);
  auto& made = spec.services[0].containers[0];
  made.image = "busybox";
  made.resources = {500, 16 << 20}; // the runtime itself starts within that share of a core
  return spec;
}

} // namespace prunella::tests
