#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "storage/images/child_process.hpp"
#include "storage/images/import.hpp"
#include "storage/images/pull.hpp"
#include "tests/storage/images/image_builder.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/temporary_folder.hpp"

namespace prunella::tests {

/// A store, and ways into it.
struct importing {
  importing() { store = must(storage::open_image_store(folder / "images", options())); }

  static storage::image_store_options options() {
    storage::image_store_options made;
    made.owner = {"harbour", "host-1"};
    made.reserve_bytes = 0;
    return made;
  }

  /// Closes the store and opens one elsewhere or with other options.
  void reopen(const std::string& at, const storage::image_store_options& with) {
    store.reset();
    store = must(storage::open_image_store(at, with));
  }

  storage::result<storage::image_record> layout(const std::string& tag, const std::string& name = "web") {
    return storage::import_layout(*store, folder / "layout", tag, must(storage::parse_reference(name)), import);
  }
  storage::result<storage::image_record> pull(const std::string& name) {
    return storage::pull(*store, must(storage::parse_reference(name)), access, import);
  }

  temporary_folder folder;
  std::unique_ptr<storage::image_store> store;
  storage::import_options import;
  storage::registry_access access{
      {}, {}, {}, true, std::chrono::seconds(20), std::chrono::seconds(20), std::chrono::seconds(60), {}};
};

/// Two layers, the lower one of some 200 kB.
inline test_image two_layers() {
  return test_image(
      {tar_builder().file("base", std::string(200'000, 'b')).bytes(), tar_builder().file("web", "web").bytes()});
}

/// An index of images, each with what it says of its platform.
inline std::string index_of(const std::vector<std::pair<const test_image*, std::string>>& images) {
  std::string entries;
  for (const auto& [image, platform] : images)
    entries += (entries.empty() ? "" : ",") +
               std::string(R"({"mediaType":"application/vnd.oci.image.manifest.v1+json",)") + R"("digest":")" +
               image->digest().text() + R"(","size":)" + std::to_string(image->manifest().size()) + R"(,"platform":)" +
               platform + "}";
  return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[)" + entries + "]}";
}

inline std::string this_machine() {
  return R"({"os":"linux","architecture":")" + storage::this_platform().architecture + "\"}";
}

/// The environment of a tool: none of the caller's.
inline std::vector<std::string> bare_environment() {
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/nonexistent"};
}

/// Runs a tool to its end; what it printed.
inline std::string run_tool(const std::vector<std::string>& command) {
  storage::child_order order;
  order.command = command;
  order.environment = bare_environment();
  order.go_on = [](std::chrono::milliseconds passed) { return passed < std::chrono::seconds(30); };
  const auto end = must(storage::run_child(order));
  CAPTURE(end.errors);
  REQUIRE(end.succeeded());
  return end.output;
}

inline bool has_program(const std::string& program) {
  for (const auto* folder : {"/usr/bin/", "/usr/sbin/", "/bin/", "/usr/local/bin/"})
    if (std::filesystem::exists(folder + program))
      return true;
  MESSAGE("SKIPPED: the program ", program, " is not installed");
  return false;
}

} // namespace prunella::tests
