#pragma once

// A driver with real runc and conmon, and an image keeper that has one image: `busybox`.

#include <doctest/doctest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <caf/event_based_actor.hpp>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/instance/image_error.hpp"
#include "runtime/exit_reason.hpp"
#include "storage/images/child_process.hpp"
#include "storage/images/root_filesystem.hpp"
#include "storage/mounts.hpp"
#include "tests/actors/busybox_image.hpp"
#include "tests/actors/driver_under_test.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace prunella::tests {

namespace fs = std::filesystem;

/// Answers as the image keeper does, of an image that is there, and of the same as another one: `busybox:other`.
inline caf::behavior one_image(provided_image image) {
  auto other = image;
  other.manifest = "sha256:" + std::string(64, 'b');
  return {
    [image, other](const provide_image& request) -> caf::result<provided_image> {
      if (request.reference == "busybox")
        return image;
      if (request.reference == "busybox:other")
        return other;
      return to_error(image_failure{image_errc::not_found, "there is no image " + request.reference});
    },
    [](const keep_holders&) {},
  };
}

class oci_driver_under_test : public driver_under_test {
public:
  /// `images` runs what has an image.
  explicit oci_driver_under_test(config::driver_spec images = {config::driver_kind::oci, container_runtime()})
    : driver_under_test(60s), image_driver_(std::move(images)) {
    store_ = must(storage::open_image_store(store_folder_ / "images", {{"harbour", "host-1"}, 0, {}}));
    const auto image = busybox_image();
    provided_image provided;
    provided.layers = unpacked_layers(*store_, image);
    provided.manifest = image.digest().text();
    const auto documents = must(store_->documents(image.digest()));
    provided.config = documents.config;
    provided.config_file = store_->blobs().path(documents.manifest.config.digest);
    for (const auto& layer : documents.manifest.layers)
      provided.layer_files.push_back(store_->blobs().path(layer.digest));
    images_ = system.spawn([provided](caf::event_based_actor*) { return one_image(provided); });
    driver = spawn();
  }
  ~oci_driver_under_test() override {
    if (!driver)
      driver = spawn();
    tell(stop_all_containers{0ms});
    end_driver(caf::exit_reason::user_shutdown);
    self->send_exit(images_, caf::exit_reason::user_shutdown);
    images_ = nullptr;
    for (const auto& folder : starts()) // of a test that failed
      runc({"delete", "--force", folder.filename().string()});
    static_cast<void>(storage::unmount_all(data.path())); // also namespaces that instances keep for their next start
  }

  container_driver_options options() {
    container_driver_options chosen;
    chosen.data_directory = data.path();
    chosen.records = records;
    chosen.drivers = {{config::driver_kind::process, ""}, image_driver_};
    chosen.engine_helper = engine_helper;
    chosen.engine_patience = engine_patience;
    chosen.host_paths = {data.path() + "/allowed"};
    chosen.bridge = bridge;
    chosen.images = [this] { return has_images ? images_ : caf::actor{}; };
    chosen.image_patience = 20s;
    return chosen;
  }

  caf::actor spawn() final { return spawn_container_driver(system, options()); }

  static container_order order(const std::string& script, std::uint64_t generation = 1) {
    auto made = base_order(script, generation);
    made.spec.image = "busybox";
    if (!script.empty())
      made.spec.command = {"/bin/sh", "-c", script};
    made.spec.grace = 500ms;
    made.env = {{"NAME", "popcorn"}};
    return made;
  }

  container_started start(const container_order& wanted) {
    auto started = ask<container_started>(start_container{wanted});
    INFO(runtime::reason_text(error));
    CHECK_FALSE(error);
    return started;
  }
  container_exited stop(std::uint64_t generation = 1, std::chrono::milliseconds grace = 500ms) {
    return ask<container_exited>(stop_container{container, generation, grace});
  }

  /// Starts, waits for the end, and gives what it printed to standard output by this start and earlier ones.
  std::string run(const container_order& wanted) {
    start(wanted);
    last_exit = next_exit();
    return output();
  }

  /// The folders of starts that were not cleared away.
  std::vector<fs::path> starts() const {
    std::vector<fs::path> found;
    std::error_code none;
    for (const auto& start : fs::directory_iterator(container_folder(data.path(), container) + "/run", none))
      found.push_back(start.path());
    return found;
  }
  /// Neither a folder, nor anything at the runtime, nor a record.
  bool nothing_is_left() {
    return eventually([&] { return starts().empty(); }) && records->are_over() && runc({"list", "--quiet"}).output.empty();
  }

  storage::child_end runc(const std::vector<std::string>& arguments) {
    storage::child_order order;
    order.command = {container_runtime(), "--root", data.path() + "/oci/runtime"};
    order.command.insert(order.command.end(), arguments.begin(), arguments.end());
    order.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    order.go_on = [](std::chrono::milliseconds passed) { return passed < 30s; };
    return must(storage::run_child(order));
  }

  container_exited last_exit;
  std::atomic<bool> has_images{true}; ///< false: the image keeper does not run
  std::shared_ptr<host_bridge> bridge; ///< of the next driver

  std::vector<std::string> engine_helper; ///< of the next driver
  std::chrono::milliseconds engine_patience{15'000};

private:
  const config::driver_spec image_driver_;
  temporary_folder store_folder_;
  std::unique_ptr<storage::image_store> store_;
  caf::actor images_;
};

/// A driver, or nothing and the reason printed.
inline std::unique_ptr<oci_driver_under_test> make_oci_driver() {
  auto why = container_obstacle();
  if (why.empty()) {
    const auto found = find_drivers({{config::driver_kind::oci, ""}});
    why = found.missing.empty() ? std::string{} : found.missing.front();
  }
  temporary_folder probe;
  if (why.empty()) {
    fs::create_directory(probe / "lower");
    fs::create_directory(probe / "bundle");
    if (const auto mounted = storage::mount_root({probe / "lower"}, probe / "bundle"); !mounted)
      why = mounted.error().message;
    static_cast<void>(storage::unmount_all(probe / "bundle"));
  }
  if (why.empty())
    return std::make_unique<oci_driver_under_test>();
  MESSAGE("SKIPPED: ", why);
  return nullptr;
}

} // namespace prunella::tests
