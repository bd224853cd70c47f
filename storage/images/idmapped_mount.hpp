#pragma once

// Files shown under other owners than they have on the disk: the kernel's idmapped mounts (`mount_setattr(2)`, Linux 5.12; as
// layers of overlayfs 5.19). So what belongs to the image's root belongs to a container's root, which is nobody on the host,
// without a copy and without another owner on the disk.

#include <cstdint>
#include <string>

#include "storage/errors.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

/// The users and groups of a user namespace: 0 in it is `base` on the host, and so on.
struct id_range {
  std::uint32_t base = 0;
  std::uint32_t size = 65'536;
};

/// A user namespace with that range; nobody is in it. Errors: `inaccessible` (not root, or the kernel allows none:
/// `user.max_user_namespaces`), `io_failed`.
result<unique_fd> make_user_namespace(const id_range& range);

/// Shows the file or folder `from` at `to`, which exists and is of the same kind: owner 0 on the disk is `base` of
/// `users_of` there. `read_only`: nobody can write there, nor delete. Gone with `umount2(to)`. Error: `inaccessible`, when the
/// kernel or `from`'s file system cannot do that.
result<void> mount_idmapped(const std::string& from, const std::string& to, const unique_fd& users_of, bool read_only);

/// Why this host cannot show what is in `folder` that way, as a sentence; empty: it can.
std::string idmapping_obstacle(const std::string& folder);

} // namespace prunella::storage
