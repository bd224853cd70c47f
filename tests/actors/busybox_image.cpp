#include "tests/actors/busybox_image.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "storage/images/child_process.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/outcome.hpp"

namespace prunella::tests {

namespace fs = std::filesystem;

namespace {

/// False in a plain chroot, whose root runc cannot make private.
bool root_is_a_mount() {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words(line);
    std::string id, parent, device, root, point;
    words >> id >> parent >> device >> root >> point;
    if (point == "/")
      return true;
  }
  return false;
}

} // namespace

std::vector<std::string> libraries_of(const std::string& program) {
  storage::child_order order;
  order.command = {"ldd", program};
  order.environment = {"PATH=/usr/bin:/bin"};
  const auto end = must(storage::run_child(order));
  std::vector<std::string> found;
  for (std::size_t at = end.output.find('/'); at != std::string::npos; at = end.output.find('/', at)) {
    const auto stop = end.output.find_first_of(" \n", at);
    found.push_back(end.output.substr(at, stop - at));
    at = stop;
  }
  return found;
}

std::string container_runtime() {
  if (const char* chosen = std::getenv("PRUNELLA_TEST_RUNTIME"))
    return fs::exists(chosen) ? chosen : "";
  for (const auto* path : {"/usr/sbin/runc", "/usr/bin/runc"})
    if (fs::exists(path))
      return path;
  return {};
}

std::string container_obstacle() {
  if (::geteuid() != 0)
    return "running containers needs root";
  if (!root_is_a_mount())
    return "runc cannot start anything in a chroot whose root is no mount";
  if (container_runtime().empty())
    return "runc, or what PRUNELLA_TEST_RUNTIME names, is not installed";
  if (!fs::exists("/bin/busybox"))
    return "busybox is not installed";
  return {};
}

test_image busybox_image() {
  tar_builder tar;
  // Docker 20.10 makes folders that no entry names for root alone.
  tar.folder("bin")
      .folder("etc")
      .file("bin/busybox", read_bytes("/bin/busybox"), 0755)
      .symlink("bin/sh", "busybox")
      .file("etc/passwd", "root:x:0:0::/root:/bin/sh\nwww:x:33:34::/srv:/bin/sh\n")
      .file("etc/group", "www:x:34:\nmedia:x:44:www\n")
      .folder("proc")
      .folder("sys")
      .folder("dev")
      .folder("tmp", 01777);
  std::set<std::string> folders;
  const auto libraries = libraries_of("/bin/busybox");
  for (const auto& library : libraries)
    for (auto folder = fs::path{library.substr(1)}.parent_path(); !folder.empty(); folder = folder.parent_path())
      folders.insert(folder.string());
  for (const auto& folder : folders)
    tar.folder(folder);
  for (const auto& library : libraries)
    tar.file(library.substr(1), read_bytes(library), 0755);
  test_image image({tar.bytes()});
  image.config_members = R"("Cmd":["/bin/sh","-c","echo from the image"],"Env":["GREETING=hello"])";
  return image;
}

std::vector<std::string> unpacked_layers(storage::image_store& store, const test_image& image) {
  image.add_to(store, "busybox");
  const auto documents = must(store.documents(image.digest()));
  must(store.layers().unpack(documents.manifest, documents.config, store.blobs(), store.staging(), {}));
  return must(store.layers().stack(documents.config.diff_ids));
}

} // namespace prunella::tests
