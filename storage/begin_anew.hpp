#pragma once

// For files whose content is made again from elsewhere, or is not needed to go on: a damaged one must not stop a host that
// nobody sits beside.

#include <functional>
#include <string>

#include "storage/errors.hpp"

namespace prunella::storage {

/// Moves the database `path` with its companions (`-wal`, `-shm`, `.mark`) into the new folder `path.damaged-1`, for a later
/// look; the copy of an earlier time gives way, so that a failing disk does not fill up with them. Returns the folder.
result<std::string> set_aside_once(const std::string& path);

/// What `open` opens. If it is `damaged`, it is set aside, `told` hears what was wrong and where it is now, and `open` is
/// asked once more.
template <class Open>
auto open_or_begin_anew(const std::string& path, const Open& open, const std::function<void(const std::string&)>& told)
  -> decltype(open()) {
  auto opened = open();
  if (opened.ok() || opened.error().code != storage_errc::damaged)
    return opened;
  const auto folder = set_aside_once(path);
  if (!folder.ok())
    return folder.error();
  told(opened.error().message + "; it is now in " + *folder + ", and a new one was begun");
  return open();
}

} // namespace prunella::storage
