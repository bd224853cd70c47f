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

/// Layers under other owners, for as long as it takes to mount them together: overlayfs keeps mounts of its own. Not to be
/// written to there: who is killed meanwhile leaves them shown, in a folder that is to be deleted.
class idmapped_layers {
public:
  idmapped_layers() = default;
  idmapped_layers(const idmapped_layers&) = delete;
  idmapped_layers& operator=(const idmapped_layers&) = delete;
  ~idmapped_layers() {
    for (const auto& path : shown_) {
      ::umount2(path.c_str(), MNT_DETACH | UMOUNT_NOFOLLOW);
      ::rmdir(path.c_str());
    }
  }

  /// Where `layer` shows, below `folder`.
  result<std::string> show(const std::string& layer, const std::string& folder, const unique_fd& users_of) {
    const auto path = folder + "/layer-" + std::to_string(shown_.size());
    if (auto made = make_folder(path); !made)
      return made.error();
    shown_.push_back(path);
    if (auto mounted = mount_idmapped(layer, path, users_of, true); !mounted)
      return mounted.error();
    return path;
  }

private:
  std::vector<std::string> shown_;
};

/// With the owner and mode of the topmost layer's root, unless the container was started there before: it may have changed them.
result<void> make_folders(const root_filesystem& made, const std::string& topmost) {
  const bool fresh = !file_exists(made.upper);
  for (const auto& part : {made.upper, made.work})
    if (auto done = make_folder(part); !done)
      return done.error();
  return fresh ? copy_root_attributes(topmost, made.upper) : result<void>{};
}

result<root_filesystem> mount_layers(const std::vector<std::string>& layers, const root_filesystem& made) {
  if (auto done = make_folders(made, layers.front()); !done)
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

result<void> check_number(const std::vector<std::string>& layers) {
  if (layers.empty() || layers.size() > max_layers)
    return storage_error{storage_errc::invalid_argument, "a root file system has 1 to " + std::to_string(max_layers) +
                                                             " layers, not " + std::to_string(layers.size())};
  return {};
}

} // namespace

result<root_filesystem> mount_root(const std::vector<std::string>& layers, const std::string& folder) {
  if (auto right = check_number(layers); !right)
    return right.error();
  const root_filesystem made{folder + "/upper", folder + "/work", folder + "/root"};
  if (auto done = make_folder(made.root); !done)
    return done.error();
  return mount_layers(layers, made);
}

result<root_filesystem> mount_root(const std::vector<std::string>& layers, const std::string& folder,
                                   const std::string& root, const unique_fd& users_of) {
  if (auto right = check_number(layers); !right)
    return right.error();
  idmapped_layers shown;
  std::vector<std::string> paths;
  for (const auto& layer : layers) {
    auto path = shown.show(layer, folder, users_of);
    if (!path)
      return path.error();
    paths.push_back(std::move(*path));
  }
  return mount_layers(paths, {folder + "/upper", folder + "/work", root});
}

} // namespace prunella::storage
