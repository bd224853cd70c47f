#pragma once

// Folders in which something may be mounted: what is shown in a folder must never be deleted with it.

#include <string>
#include <vector>

#include "storage/errors.hpp"

namespace prunella::storage {

/// Where something is mounted below `folder`, or on it, in the order in which it was, for `table`, which is written as
/// `/proc/PID/mountinfo` (proc(5)). `folder` is absolute and without links.
std::vector<std::string> mounts_below(const std::string& table, const std::string& folder);

/// Takes away whatever is mounted below `folder`, or on it: now, or as soon as its last user is gone. Nothing mounted, or no
/// such folder, is no error. Errors: `inaccessible` (needs root), `io_failed`: something is mounted there still.
result<void> unmount_all(const std::string& folder);

/// Deletes `folder` and what lies in it. What is only mounted there (a layer that a crash left shown, a folder of somebody else)
/// is unmounted first and stays whole; symbolic links go, what they lead to stays. No such folder is no error. Errors: as
/// `unmount_all`, and then nothing was deleted; else what could not be.
result<void> remove_folder(const std::string& folder);

/// Shows what is at `from` at `to`, which exists and is of the same kind (folder or file), with what is mounted below it now. There
/// devices and set-user-id programs do not work, and with `read_only` nothing can be written, at any depth. Gone with
/// `unmount_all(to)`. `from` is absolute, and no part of it is a link: so it is what was checked under that name, whatever
/// somebody puts there meanwhile. Errors: `refused` (a part of it is a link by now), `inaccessible` (not there; needs root and
/// Linux 5.12), `io_failed`.
result<void> mount_bound(const std::string& from, const std::string& to, bool read_only);

} // namespace prunella::storage
