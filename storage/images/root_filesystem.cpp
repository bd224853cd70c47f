#include "storage/images/root_filesystem.hpp"

#include <cerrno>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/images/blob_store.hpp"
#include "storage/images/documents.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

namespace {

std::string path_of(const unique_fd& fd) {
  return "/proc/self/fd/" + std::to_string(fd.get());
}

/// Opens a folder as a short name for mount(2), whose options end at one page: 127 layers would not fit by their paths,
/// and a colon or comma in a path would be taken for a separator.
result<unique_fd> open_folder(const std::string& path) {
  unique_fd fd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd)
    return os_error(errno, "open the folder " + path);
  return fd;
}

/// The container's root has the owner and mode of the image's, not of our folder.
result<void> copy_root_attributes(const std::string& from, const std::string& to) {
  struct stat status {};
  if (::stat(from.c_str(), &status) != 0 || ::chown(to.c_str(), status.st_uid, status.st_gid) != 0 ||
      ::chmod(to.c_str(), status.st_mode & 07777) != 0)
    return os_error(errno, "prepare " + to);
  return {};
}

storage_error mount_error(int number, const std::string& root) {
  auto error = os_error(number, "mount the container's root file system at " + root);
  error.code = storage_errc::inaccessible;
  error.message +=
      "; it needs root, overlayfs in the kernel (`modprobe overlay`), and a data directory that does not lie on "
      "overlayfs itself";
  return error;
}

} // namespace

result<root_filesystem> mount_root(const std::vector<std::string>& layers, const std::string& folder) {
  if (layers.empty() || layers.size() > max_layers)
    return storage_error{storage_errc::invalid_argument, "a root file system has 1 to " + std::to_string(max_layers) +
                                                             " layers, not " + std::to_string(layers.size())};
  const root_filesystem made{folder + "/upper", folder + "/work", folder + "/root"};
  const bool fresh = !file_exists(made.upper); // later the container may have changed its root's mode
  for (const auto& part : {made.upper, made.work, made.root})
    if (auto done = make_folder(part); !done)
      return done.error();
  if (auto done = fresh ? copy_root_attributes(layers.front(), made.upper) : result<void>{}; !done)
    return done.error();
  std::vector<unique_fd> open;
  std::string lower;
  for (const auto& layer : layers) {
    auto fd = open_folder(layer);
    if (!fd)
      return fd.error();
    lower += (lower.empty() ? "" : ":") + path_of(*fd);
    open.push_back(std::move(*fd));
  }
  const auto upper = open_folder(made.upper);
  const auto work = open_folder(made.work);
  if (!upper || !work)
    return upper ? work.error() : upper.error();
  const auto options = "lowerdir=" + lower + ",upperdir=" + path_of(*upper) + ",workdir=" + path_of(*work);
  if (::mount("prunella", made.root.c_str(), "overlay", MS_NODEV, options.c_str()) != 0)
    return mount_error(errno, made.root);
  return made;
}

result<void> unmount_root(const std::string& folder) {
  const auto root = folder + "/root";
  if (::umount2(root.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL || errno == ENOENT)
    return {};
  return os_error(errno, "unmount " + root);
}

} // namespace prunella::storage
