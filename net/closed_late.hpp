#pragma once

// File descriptors whose end takes long, out of the way of connections. When a process dies, the kernel closes its
// files in the order of their numbers. A packet socket or an inotify instance with watches takes 10 to 40 ms; the links
// to other hosts, which learn by their end that the agent is gone, are to come before it.

#include <fcntl.h>
#include <unistd.h>

namespace prunella::net {

/// Below 1024, what a process may have where nobody said otherwise.
inline constexpr int late_fd = 1000;

/// The same file by a number from `late_fd` on, or by its own where the process may have none that high; -1 stays -1.
/// Closed on exec.
inline int closed_late(int fd) {
  const int late = fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, late_fd);
  if (late < 0)
    return fd;
  ::close(fd);
  return late;
}

} // namespace prunella::net
