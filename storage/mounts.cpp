#include "storage/mounts.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sstream>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/mount.h>
#include <linux/openat2.h>

#include "storage/os_files.hpp"

namespace prunella::storage {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_table = 16 << 20;

/// The table writes space, tab, line feed and backslash as `\` and three octal digits.
std::string unescaped(const std::string& word) {
  const auto is_octal = [](char c) { return c >= '0' && c <= '7'; };
  std::string text;
  for (std::size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '\\' || i + 3 >= word.size() || !is_octal(word[i + 1]) || !is_octal(word[i + 2]) || !is_octal(word[i + 3])) {
      text += word[i];
      continue;
    }
    text += static_cast<char>((word[i + 1] - '0') * 64 + (word[i + 2] - '0') * 8 + (word[i + 3] - '0'));
    i += 3;
  }
  return text;
}

/// As the table names it: without links on the way there, but not through one that has the folder's own name.
result<std::string> real_path(const std::string& folder) {
  const fs::path path{folder};
  std::error_code error;
  const auto parent = fs::canonical(path.has_parent_path() ? path.parent_path() : fs::path{"."}, error);
  if (error)
    return os_error(error.value(), "look for mounts in " + folder);
  return (parent / path.filename()).string();
}

result<std::vector<std::string>> mounts_in(const std::string& folder) {
  auto table = read_small_file("/proc/self/mountinfo", max_table);
  if (!table)
    return table.error();
  return mounts_below(*table, folder);
}

} // namespace

std::vector<std::string> mounts_below(const std::string& table, const std::string& folder) {
  std::vector<std::string> found;
  std::istringstream lines{table};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::string id, parent, device, root, point;
    words >> id >> parent >> device >> root >> point;
    point = unescaped(point);
    if (point == folder || point.rfind(folder + '/', 0) == 0)
      found.push_back(std::move(point));
  }
  return found;
}

result<void> unmount_all(const std::string& folder) {
  if (!file_exists(folder))
    return {};
  const auto path = real_path(folder);
  if (!path)
    return path.error();
  auto mounted = mounts_in(*path);
  if (!mounted)
    return mounted.error();
  int why = 0;
  for (auto point = mounted->rbegin(); point != mounted->rend(); ++point) // what was mounted last may hide the others
    if (::umount2(point->c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) != 0)
      why = errno;
  if (mounted->empty() || why == 0)
    return {};
  mounted = mounts_in(*path); // one may have gone with another
  if (!mounted)
    return mounted.error();
  return mounted->empty() ? result<void>{} : os_error(why, "unmount " + mounted->back());
}

result<void> mount_bound(const std::string& from, const std::string& to, bool read_only) {
  const auto failed = [&](int number) {
    auto error = os_error(number, "show " + from + " at " + to);
    error.code = storage_errc::inaccessible;
    return error;
  };
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS;
  const unique_fd there(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, from.c_str(), &how, sizeof how)));
  if (!there && errno == ELOOP)
    return storage_error{storage_errc::refused, "a part of " + from + " has become a link; look who may write there"};
  if (!there)
    return os_error(errno, "open " + from);
  const unique_fd copy(static_cast<int>(
      ::syscall(SYS_open_tree, there.get(), "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!copy)
    return failed(errno);
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (read_only ? MOUNT_ATTR_RDONLY : 0);
  attributes.propagation = MS_PRIVATE; // what is mounted or unmounted there later is no matter of whom it is shown to
  if (::syscall(SYS_mount_setattr, copy.get(), "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) != 0 ||
      ::syscall(SYS_move_mount, copy.get(), "", AT_FDCWD, to.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return failed(errno);
  return {};
}

result<void> remove_folder(const std::string& folder) {
  if (auto unmounted = unmount_all(folder); !unmounted)
    return unmounted;
  std::error_code error;
  fs::remove_all(folder, error);
  return error ? os_error(error.value(), "remove " + folder) : result<void>{};
}

} // namespace prunella::storage
