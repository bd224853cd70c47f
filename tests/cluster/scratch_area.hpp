#pragma once

// A folder for one test and everything that the test starts in it. Both go when the test ends, however it ends.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>

namespace prunella::tests {

/// True as soon as `done()` is; false after `limit`. Asks every 20 ms: what another process does can only be polled.
bool eventually(const std::function<bool()>& done, std::chrono::milliseconds limit = std::chrono::seconds{30});

/// A temporary folder with a cleaner: a process of its own that waits until this object or the whole test process is gone
/// (killed by a time limit, say), then kills every process that names the folder in its command line or environment, and
/// removes the folder. Agents name it as their data directory, containers carry their agent's mark.
/// Make it before the test has threads: the cleaner is forked from it.
class scratch_area {
public:
  scratch_area();
  ~scratch_area();

  scratch_area(const scratch_area&) = delete;
  scratch_area& operator=(const scratch_area&) = delete;

  const std::filesystem::path& path() const { return path_; }

private:
  std::filesystem::path path_;
  int alive_fd_ = -1; ///< closed: the cleaner starts
  int done_fd_ = -1;  ///< at its end: the cleaner is done
};

} // namespace prunella::tests
