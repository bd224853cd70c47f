// Images unpacked and mounted as a container sees them. Needs root and overlayfs: else the tests say that they are
// skipped.

#include "storage/images/root_filesystem.hpp"

#include <filesystem>
#include <fstream>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "storage/images/import.hpp"
#include "storage/mounts.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/images/image_builder.hpp"
#include "tests/storage/outcome.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

/// A store with one image in it, and that image's root mounted at `root`.
struct mounted {
  explicit mounted(const test_image& image) {
    store = must(storage::open_image_store(folder / "images", {{"harbour", "host-1"}, 0, {}}));
    image.add_to(*store, "image");
    const auto documents = must(store->documents(image.digest()));
    must(store->layers().unpack(documents.manifest, documents.config, store->blobs(), store->staging(), {}));
    layers = must(store->layers().stack(documents.config.diff_ids));
    std::filesystem::create_directory(folder / "container");
    auto made = storage::mount_root(layers, folder / "container");
    if (!made) {
      MESSAGE("SKIPPED: ", made.error().message);
      return;
    }
    root = made->root;
  }
  ~mounted() { static_cast<void>(storage::unmount_all(folder / "container")); }

  std::string text(const std::string& path) const { return read_bytes(root + "/" + path); }
  bool has(const std::string& path) const {
    return std::filesystem::exists(std::filesystem::symlink_status(root + "/" + path));
  }

  temporary_folder folder;
  std::unique_ptr<storage::image_store> store;
  std::vector<std::string> layers;
  std::string root;
};

bool is_root() {
  if (::geteuid() == 0)
    return true;
  MESSAGE("SKIPPED: unpacking and mounting need root");
  return false;
}

} // namespace

TEST_CASE("a container sees its layers as one: whiteouts hide, opaque folders cover, links and modes are right") {
  if (!is_root())
    return;
  const test_image image(
      {tar_builder()
           .entry("./", AE_IFDIR, [](archive_entry* made) { archive_entry_set_perm(made, 0711); })
           .file("etc/motd", "hello")
           .file("etc/passwd", "root")
           .file("srv/old", "1")
           .file("var/old", "2")
           .folder("tmp", 01777)
           .bytes(),
       tar_builder()
           .file("etc/.wh.motd", "")
           .file("srv/.wh..wh..opq", "")
           .file("srv/new", "3")
           .file(".wh.var", "")
           .file("var/new", "4")
           .bytes(),
       tar_builder().file("etc/motd", "back").hardlink("etc/same", "etc/motd").symlink("sh", "/etc/same").bytes()});
  mounted at(image);
  if (at.root.empty())
    return;
  CHECK(at.text("etc/motd") == "back");
  CHECK(at.text("etc/same") == "back");
  CHECK(at.text("etc/passwd") == "root");
  CHECK_FALSE(at.has("srv/old"));
  CHECK(at.text("srv/new") == "3");
  CHECK_FALSE(at.has("var/old"));
  CHECK(at.text("var/new") == "4");
  CHECK(at.has("sh"));
  struct stat status {};
  REQUIRE(::stat((at.root + "/tmp").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 01777);
  REQUIRE(::stat(at.root.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0711);
}

TEST_CASE("what a container writes goes to its own folder, stays over an unmount, and no layer changes") {
  if (!is_root())
    return;
  mounted at(test_image({tar_builder().file("etc/motd", "hello").bytes()}));
  if (at.root.empty())
    return;
  write_bytes(at.root + "/etc/motd", "mine");
  CHECK(read_bytes(at.layers[0] + "/etc/motd") == "hello");
  CHECK(read_bytes(at.folder / "container/upper/etc/motd") == "mine");
  must(storage::unmount_all(at.folder / "container"));
  must(storage::unmount_all(at.folder / "container"));
  CHECK_FALSE(at.has("etc/motd"));
  must(storage::mount_root(at.layers, at.folder / "container"));
  CHECK(at.text("etc/motd") == "mine");
}

TEST_CASE("127 layers are mounted, none and 128 are refused") {
  if (!is_root())
    return;
  std::vector<std::string> tars;
  for (std::size_t n = 0; n < storage::max_layers; ++n)
    tars.push_back(tar_builder().file("layer-" + std::to_string(n), "x").file("last", std::to_string(n)).bytes());
  mounted at(test_image(tars, packing::plain));
  if (at.root.empty())
    return;
  CHECK(at.text("last") == "126");
  CHECK(at.has("layer-0"));
  auto layers = at.layers;
  layers.push_back(layers.back());
  check_refused(storage::mount_root(layers, at.folder / "container"), storage_errc::invalid_argument, "not 128");
  check_refused(storage::mount_root({}, at.folder / "container"), storage_errc::invalid_argument, "not 0");
}

TEST_CASE("a folder is deleted without what is only mounted in it, however deep, and a neighbour whose name begins alike keeps its own") {
  if (!is_root())
    return;
  const temporary_folder folder;
  for (const auto* made : {"layer/etc", "start/layer-0", "start/volumes/a b", "start-2/root"})
    std::filesystem::create_directories(folder / made);
  write_bytes(folder / "layer/etc/motd", "hello");
  write_bytes(folder / "start/config.json", "{}");
  std::filesystem::create_directory_symlink(folder / "layer", folder / "start/link");
  std::filesystem::create_directory_symlink(folder.path(), folder / "way");
  const auto show_layer_at = [&](const char* where) {
    REQUIRE(::mount((folder / "layer").c_str(), (folder / where).c_str(), nullptr, MS_BIND, nullptr) == 0);
  };
  show_layer_at("start/layer-0");
  show_layer_at("start/layer-0"); // twice
  show_layer_at("start/volumes/a b");
  show_layer_at("start/layer-0/etc");
  show_layer_at("start-2/root");
  must(storage::remove_folder(folder / "way/start"));
  CHECK_FALSE(std::filesystem::exists(folder / "start"));
  CHECK(read_bytes(folder / "layer/etc/motd") == "hello");
  CHECK(read_bytes(folder / "start-2/root/etc/motd") == "hello");
  must(storage::remove_folder(folder / "start"));
  must(storage::unmount_all(folder / "start-2"));
  CHECK_FALSE(std::filesystem::exists(folder / "start-2/root/etc"));
}

TEST_CASE("a layer shown under other owners for reading cannot be written to, nor can what is in it be deleted") {
  if (!is_root())
    return;
  const temporary_folder folder;
  std::filesystem::create_directory(folder / "layer");
  std::filesystem::create_directory(folder / "shown");
  write_bytes(folder / "layer/motd", "hello");
  auto users = storage::make_user_namespace({0x7000'0000});
  if (const auto why = storage::idmapping_obstacle(folder.path()); !users || !why.empty()) {
    MESSAGE("SKIPPED: ", users ? why : users.error().message);
    return;
  }
  must(storage::mount_idmapped(folder / "layer", folder / "shown", *users, true));
  CHECK(read_bytes(folder / "shown/motd") == "hello");
  std::error_code refused;
  CHECK(std::filesystem::remove_all(folder / "shown/motd", refused) == static_cast<std::uintmax_t>(-1));
  CHECK(refused == std::errc::read_only_file_system);
  must(storage::unmount_all(folder.path()));
  CHECK(read_bytes(folder / "layer/motd") == "hello");
}

TEST_CASE("a folder shown for reading is that at any depth, with what is mounted below it, and a link in its name is refused") {
  if (!is_root())
    return;
  const temporary_folder folder;
  for (const auto* made : {"media/usb", "stick", "shown", "real"})
    std::filesystem::create_directories(folder / made);
  write_bytes(folder / "stick/photo", "from the stick");
  write_bytes(folder / "media/list", "a list");
  REQUIRE(::mount((folder / "stick").c_str(), (folder / "media/usb").c_str(), nullptr, MS_BIND, nullptr) == 0);
  must(storage::mount_bound(folder / "media", folder / "shown", true));
  CHECK(read_bytes(folder / "shown/usb/photo") == "from the stick");
  for (const auto* at : {"shown", "shown/usb"}) {
    struct statvfs disk {};
    REQUIRE(::statvfs((folder / at).c_str(), &disk) == 0);
    CHECK((disk.f_flag & (ST_RDONLY | ST_NOSUID | ST_NODEV)) == (ST_RDONLY | ST_NOSUID | ST_NODEV));
  }
  must(storage::unmount_all(folder / "shown"));
  CHECK(read_bytes(folder / "media/usb/photo") == "from the stick");
  must(storage::mount_bound(folder / "media", folder / "shown", false));
  write_bytes(folder / "shown/usb/photo", "changed");
  CHECK(read_bytes(folder / "stick/photo") == "changed");
  must(storage::unmount_all(folder.path()));
  must(storage::mount_bound(folder / "media/list", folder / "stick/photo", true)); // a file
  CHECK(read_bytes(folder / "stick/photo") == "a list");
  must(storage::unmount_all(folder.path()));
  std::filesystem::create_directory_symlink("/etc", folder / "real/link");
  check_refused(storage::mount_bound(folder / "real/link", folder / "shown", true), storage_errc::refused, "has become a link");
  check_refused(storage::mount_bound(folder / "real/link/ssl", folder / "shown", true), storage_errc::refused, "has become a link");
  check_refused(storage::mount_bound(folder / "nothing", folder / "shown", true), storage_errc::inaccessible, "check the path");
  CHECK(std::filesystem::is_empty(folder / "shown"));
}
