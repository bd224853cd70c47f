#pragma once

// The few file calls that storage needs beside SQLite, with errors as sentences.

#include <string>
#include <string_view>

#include "storage/errors.hpp"
#include "storage/unique_fd.hpp"

namespace prunella::storage {

/// Error for a failed system call: `doing` ("create /x/y"), the system's words for `error_number`, the next step.
storage_error os_error(int error_number, std::string_view doing);

/// True for the system's ways to say that there is no room: disk, quota, file size limit.
bool means_no_room(int error_number);

/// Makes the folder's entries durable (new, renamed and removed files).
result<void> sync_folder(const std::string& folder);

/// The folder that `path` lies in; "." for a bare name.
std::string folder_of(const std::string& path);

bool file_exists(const std::string& path);

/// All of `bytes`, however many calls that takes. False: not all, and `errno` says why.
bool write_all(int fd, std::string_view bytes);

/// Creates or replaces `path` so that after a crash either the old or the new bytes are there. Mode 0600.
result<void> write_file_atomically(const std::string& path, std::string_view bytes);

/// The bytes of `path`; more than `max_bytes` is `damaged`.
result<std::string> read_small_file(const std::string& path, std::size_t max_bytes);

/// Moves the database `path` with its companions (`-wal`, `-shm`, `.mark`) into a new folder `path.damaged-N`, so that
/// a fresh one can be made while nothing is lost for a later look. Returns the folder. The lock file stays.
result<std::string> set_aside(const std::string& path);

/// As `set_aside`, but copies and leaves the originals.
result<std::string> copy_aside(const std::string& path);

} // namespace prunella::storage
