#pragma once

// The disk limit of a container, `disk: 1Gi`: when what it wrote is counted, and when it is too much. Pure; the counting is
// somebody else's (`measure_disk`). It is no wall: a container is over it until the next look, which comes the sooner the
// faster it fills. (Hard ones are the file system's project quotas, which few hosts have switched on, or a file system of its
// own per start, which costs every start and every write.)

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "config/fields.hpp"

namespace prunella::actors {

/// → `disk_measured`: what a running container takes of its host's disk in its folder: what it wrote to its root, volumes
/// that end with it, logs, a plain process's own folder. As of now, or a little older if it has many files: all counts
/// together take at most a hundredth of one core.
struct measure_disk {
  std::string container;
  std::int64_t pid = 0; ///< of its main process: an earlier start of it is another container

  PRUNELLA_FIELDS(measure_disk, container, pid)
};

struct disk_measured {
  std::int64_t bytes = 0;   ///< blocks, each file once
  bool is_at_least = false; ///< there are more files or deeper folders than are counted

  PRUNELLA_FIELDS(disk_measured, bytes, is_at_least)
};

class disk_limit {
public:
  using instant = std::chrono::steady_clock::time_point;

  static constexpr std::chrono::milliseconds shortest_pause{1'000};
  static constexpr std::chrono::milliseconds longest_pause{10'000};

  /// `limit_bytes` > 0.
  explicit disk_limit(std::int64_t limit_bytes) : limit_bytes_(limit_bytes) {}

  /// Why the container has to end, as in "filled 1.2 GiB of its disk limit of 1 GiB"; empty: it may go on. What cannot be
  /// counted to its end is over any limit.
  std::string on_measured(const disk_measured& measured, instant now);

  /// Until the next look: half of the time in which it would reach its limit if it went on as since the last look.
  std::chrono::milliseconds pause() const { return pause_; }

private:
  struct look {
    std::int64_t bytes = 0;
    instant at;
  };

  std::int64_t limit_bytes_;
  std::optional<look> last_;
  std::chrono::milliseconds pause_ = shortest_pause;
};

} // namespace prunella::actors
