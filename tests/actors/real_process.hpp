#pragma once

// What tests with real processes share: a data directory that goes away, files as text, waiting for an effect by polling
// with a deadline (the only way to see what another process does), and a kernel version.

#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <string>

#include <sys/utsname.h>

#include "actors/instance/file_head.hpp"
#include "actors/instance/proc_filesystem.hpp"

namespace prunella::tests {

class scratch_directory {
public:
  scratch_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "prunella-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data()) ? pattern : std::string{};
  }
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  /// Kills what a test left running with the mark of this directory.
  ~scratch_directory() {
    for (const auto& left : actors::find_marked_processes(path_))
      ::kill(left.stat.pid, SIGKILL);
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  const std::string& path() const { return path_; }

private:
  std::string path_;
};

inline std::string read_text(const std::string& path) {
  return actors::file_head(path, 64 << 20);
}

/// True as soon as `done()` is; false after `limit`.
template <class Predicate>
bool eventually(Predicate done, std::chrono::milliseconds limit = std::chrono::seconds{10}) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

/// Gone or a zombie.
inline bool is_gone(pid_t pid) {
  const auto stat = actors::read_proc_stat(pid);
  return !stat || stat->state == 'Z';
}

inline bool kernel_at_least(int major, int minor) {
  utsname name{};
  int found_major = 0;
  int found_minor = 0;
  if (::uname(&name) != 0 || std::sscanf(name.release, "%d.%d", &found_major, &found_minor) != 2)
    return false;
  return found_major > major || (found_major == major && found_minor >= minor);
}

} // namespace prunella::tests
