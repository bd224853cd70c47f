#include "storage/images/idmapped_mount.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/mount.h>

namespace prunella::storage {

namespace {

storage_error refused(int number, const std::string& what) {
  auto error = os_error(number, what);
  error.code = storage_errc::inaccessible;
  return error;
}

bool write_map(pid_t process, const char* map, const id_range& range) {
  const auto path = "/proc/" + std::to_string(process) + "/" + map;
  const auto text = "0 " + std::to_string(range.base) + ' ' + std::to_string(range.size) + '\n';
  const unique_fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// A copy of the mount at `from` that is nowhere yet, with the owners of `users_of`.
result<unique_fd> idmapped_copy(const std::string& from, const unique_fd& users_of, bool read_only) {
  unique_fd copy(static_cast<int>(::syscall(SYS_open_tree, AT_FDCWD, from.c_str(), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)));
  if (!copy)
    return refused(errno, "show " + from + " under other owners");
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP | (read_only ? MOUNT_ATTR_RDONLY : 0);
  attributes.userns_fd = static_cast<std::uint64_t>(users_of.get());
  if (::syscall(SYS_mount_setattr, copy.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) != 0)
    return refused(errno, "show " + from + " under other owners (idmapped mounts need Linux 5.19 and ext4, xfs or btrfs)");
  return copy;
}

} // namespace

result<unique_fd> make_user_namespace(const id_range& range) {
  // A user namespace lives as long as a process in it or a descriptor of it. A thread cannot have its own, so this process
  // has a child for a moment, which does nothing that could need a lock that another thread held.
  const auto parent = ::getpid();
  const auto child = static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWUSER, nullptr, nullptr, nullptr, nullptr));
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) // killed before that: nobody else would end this, and it has copies of all locks
      ::_exit(1);
    for (;;)
      ::pause();
  }
  if (child < 0)
    return refused(errno, "make a user namespace (see the kernel's settings user.max_user_namespaces and "
                          "kernel.unprivileged_userns_clone)");
  const bool is_mapped = write_map(child, "uid_map", range) && write_map(child, "gid_map", range);
  const int why_not = errno;
  unique_fd made(::open(("/proc/" + std::to_string(child) + "/ns/user").c_str(), O_RDONLY | O_CLOEXEC));
  const int unopened = errno;
  ::kill(child, SIGKILL);
  while (::waitpid(child, nullptr, __WALL) < 0 && errno == EINTR) {
  }
  if (!is_mapped)
    return refused(why_not, "map the ids of a user namespace");
  if (!made)
    return os_error(unopened, "open a user namespace");
  return made;
}

result<void> mount_idmapped(const std::string& from, const std::string& to, const unique_fd& users_of, bool read_only) {
  auto copy = idmapped_copy(from, users_of, read_only);
  if (!copy)
    return copy.error();
  if (::syscall(SYS_move_mount, copy->get(), "", AT_FDCWD, to.c_str(), MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return refused(errno, "show " + from + " at " + to);
  return {};
}

std::string idmapping_obstacle(const std::string& folder) {
  auto users = make_user_namespace({});
  if (!users)
    return users.error().message;
  auto copy = idmapped_copy(folder, *users, true);
  return copy ? std::string{} : copy.error().message;
}

} // namespace prunella::storage
