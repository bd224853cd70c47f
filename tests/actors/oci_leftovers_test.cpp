// What agents that were killed in the middle of something left, and what becomes of it, with real runc and conmon.

#include <doctest/doctest.h>

#include <sys/mount.h>

#include <fstream>

#include "tests/actors/oci_fixture.hpp"

using namespace prunella::tests;

TEST_CASE("a layer that a killed start left shown in its folder stays whole, whether the next driver sweeps or tidies it away") {
  const auto x = make_oci_driver();
  if (!x)
    return;
  const fs::path layer = x->data.path() + "/layer";
  fs::create_directory(layer);
  std::ofstream{layer / "motd"} << "hello";
  const auto leave_shown = [&](const std::string& container) {
    const fs::path shown = container_folder(x->data.path(), container) + "/run/left.0123/layer-0";
    fs::create_directories(shown);
    REQUIRE(::mount(layer.c_str(), shown.c_str(), nullptr, MS_BIND, nullptr) == 0);
    return shown.parent_path();
  };
  x->end_driver(caf::exit_reason::kill);
  const auto left = leave_shown("default.shop.web-1.server");
  x->driver = x->spawn();
  CHECK(eventually([&] { return !fs::exists(left); }));
  CHECK(read_text(layer / "motd") == "hello");
  const auto later = leave_shown("default.shop.web-9.server");
  x->tell(tidy_folders{});
  CHECK_FALSE(x->error);
  CHECK_FALSE(fs::exists(later.parent_path().parent_path()));
  CHECK(read_text(layer / "motd") == "hello");
}
