#include "storage/process_lock.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace prunella::storage {

namespace {

/// The number in the lock file; 0 if the holder has not written it yet.
long holder_of(int fd) {
  std::array<char, 32> text{};
  if (::pread(fd, text.data(), text.size() - 1, 0) <= 0)
    return 0;
  return std::strtol(text.data(), nullptr, 10);
}

} // namespace

process_lock::~process_lock() {
  if (fd_)
    ::flock(fd_.get(), LOCK_UN); // closing it would not do while a copy of it is open
}

result<process_lock> process_lock::acquire(const std::string& path, const std::string& what) {
  unique_fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd)
    return os_error(errno, "open the lock file " + path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK)
      return os_error(errno, "lock " + path);
    const auto pid = holder_of(fd.get());
    const auto who = pid > 0 ? "process " + std::to_string(pid) : std::string("another process");
    return storage_error{storage_errc::locked, what + " is in use by " + who + " (lock file " + path +
                                                   "); stop that process first, or choose another data directory"};
  }
  const auto text = std::to_string(::getpid()) + "\n";
  // The number only serves the sentence above: failing to write it (a full disk) must not keep the agent from starting.
  if (::ftruncate(fd.get(), 0) == 0 && ::pwrite(fd.get(), text.data(), text.size(), 0) < 0)
    errno = 0;
  return process_lock(std::move(fd));
}

} // namespace prunella::storage
