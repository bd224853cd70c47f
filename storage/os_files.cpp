#include "storage/os_files.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/begin_anew.hpp"

namespace prunella::storage {

namespace fs = std::filesystem;

bool means_no_room(int error_number) {
  return error_number == ENOSPC || error_number == EDQUOT || error_number == EFBIG;
}

storage_error os_error(int error_number, std::string_view doing) {
  auto code = storage_errc::io_failed;
  std::string next = "; see the kernel's log (`dmesg`) for the device's errors";
  switch (error_number) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    code = storage_errc::disk_full;
    next = "; free some space on that file system (`df -h`)";
    break;
  case EACCES:
  case EPERM:
    code = storage_errc::inaccessible;
    next = "; run as the user that owns it, or change its owner";
    break;
  case EROFS:
    code = storage_errc::inaccessible;
    next = "; mount the file system writable";
    break;
  case ENOENT:
  case ENOTDIR:
  case EISDIR:
  case ELOOP:
  case ENAMETOOLONG:
    code = storage_errc::inaccessible;
    next = "; check the path";
    break;
  default:
    break;
  }
  return {code, "cannot " + std::string(doing) + ": " + std::strerror(error_number) + next};
}

result<void> sync_folder(const std::string& folder) {
  unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd)
    return os_error(errno, "open the folder " + folder);
  if (::fsync(fd.get()) != 0)
    return os_error(errno, "sync the folder " + folder);
  return {};
}

std::string folder_of(const std::string& path) {
  const auto parent = fs::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

bool file_exists(const std::string& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

result<void> write_file_atomically(const std::string& path, std::string_view bytes) {
  const auto temporary = path + ".new";
  {
    unique_fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd)
      return os_error(errno, "create " + temporary);
    if (!write_all(fd.get(), bytes))
      return os_error(errno, "write " + temporary);
    if (::fsync(fd.get()) != 0)
      return os_error(errno, "sync " + temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0)
    return os_error(errno, "rename " + temporary + " to " + path);
  return sync_folder(folder_of(path));
}

result<std::string> read_small_file(const std::string& path, std::size_t max_bytes) {
  unique_fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd)
    return os_error(errno, "open " + path);
  std::string bytes;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto got = ::read(fd.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return os_error(errno, "read " + path);
    if (got == 0)
      return bytes;
    bytes.append(buffer.data(), static_cast<std::size_t>(got));
    if (bytes.size() > max_bytes)
      return storage_error{storage_errc::damaged, path + " is larger than the " + std::to_string(max_bytes) +
                                                      " bytes it may have: it is not the file Prunella wrote"};
  }
}

namespace {

constexpr std::array<const char*, 4> companions{"", "-wal", "-shm", ".mark"};

result<std::string> new_aside_folder(const std::string& path) {
  for (int n = 1; n < 1000; ++n) {
    auto folder = path + ".damaged-" + std::to_string(n);
    if (::mkdir(folder.c_str(), 0700) == 0)
      return folder;
    if (errno != EEXIST)
      return os_error(errno, "create " + folder);
  }
  return storage_error{storage_errc::inaccessible,
                       "there are already 999 folders " + path + ".damaged-N; look at them and remove the old ones"};
}

result<std::string> put_aside(const std::string& path, bool move) {
  auto folder = new_aside_folder(path);
  if (!folder)
    return folder;
  for (const auto* suffix : companions) {
    const fs::path from = path + suffix;
    const fs::path to = fs::path(*folder) / from.filename();
    std::error_code error;
    if (!fs::exists(fs::symlink_status(from, error)))
      continue;
    if (move)
      fs::rename(from, to, error);
    else
      fs::copy_file(from, to, error);
    if (error)
      return os_error(error.value(), "put " + from.string() + " aside into " + *folder);
  }
  auto synced = sync_folder(*folder);
  if (synced)
    synced = sync_folder(folder_of(path));
  if (!synced)
    return synced.error();
  return folder;
}

} // namespace

result<std::string> set_aside(const std::string& path) {
  return put_aside(path, true);
}

result<std::string> set_aside_once(const std::string& path) {
  std::error_code error;
  fs::remove_all(path + ".damaged-1", error);
  if (error)
    return os_error(error.value(), "remove " + path + ".damaged-1");
  return set_aside(path);
}

result<std::string> copy_aside(const std::string& path) {
  return put_aside(path, false);
}

} // namespace prunella::storage
