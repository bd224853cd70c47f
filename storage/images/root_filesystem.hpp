#pragma once

// The root file system of a container: an image's layers, read-only, under a folder of its own that takes what it
// writes.

#include <string>
#include <vector>

#include "storage/errors.hpp"
#include "storage/images/idmapped_mount.hpp"

namespace prunella::storage {

/// The folders of one container. Made by the caller's `folder`: `upper` (what the container wrote), `work` (overlayfs'
/// own), `root` (where it all shows).
struct root_filesystem {
  std::string upper;
  std::string work;
  std::string root;
};

/// Makes the folders in `folder` (which must exist) and mounts `layers` (topmost first, from `layer_store::stack`)
/// there. `folder` must lie on a file system that overlayfs can write to: ext4, xfs, btrfs, tmpfs, but not overlayfs
/// itself. What a container wrote before is there again. Gone with `unmount_all(folder)`; what was written stays. Errors:
/// `inaccessible` (needs root, or the kernel or the file system has no overlayfs), `invalid_argument` (no layers, or more than 127).
result<root_filesystem> mount_root(const std::vector<std::string>& layers, const std::string& folder);

/// The same for a container with a user namespace: shown at `root` (which exists, and which its users can reach), under the
/// owners of `users_of`. What it writes is on the disk under these. Errors: also `inaccessible` as `mount_idmapped`.
result<root_filesystem> mount_root(const std::vector<std::string>& layers, const std::string& folder,
                                   const std::string& root, const unique_fd& users_of);

} // namespace prunella::storage
