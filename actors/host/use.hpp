#pragma once

// What a machine and its containers use: read from /proc, and computed from two readings.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/instance/disk_limit.hpp"
#include "actors/instance/driver.hpp"
#include "actors/use_messages.hpp"

namespace prunella::actors {

/// Counters of processor time, each since its own beginning.
struct cpu_reading {
  std::chrono::microseconds at{0}; ///< monotonic
  std::chrono::microseconds used{0};
};

/// Thousandths of a core between two readings, rounded; 0 if `now` is not later, or a counter began anew.
std::int64_t cpu_millis_between(const cpu_reading& before, const cpu_reading& now);

/// Processor time that was used since boot, summed over the cores, out of the first line of /proc/stat (proc_stat(5)): user, nice,
/// system, irq and softirq. What a hypervisor gave to others (steal) and waiting for disks are not use. `ticks_per_second` is
/// USER_HZ. Nothing if the text is not one.
std::optional<std::chrono::microseconds> parse_cpu_use(std::string_view stat, std::int64_t ticks_per_second);

/// Bytes in all and available (`MemAvailable`) out of /proc/meminfo.
struct memory_reading {
  std::int64_t total = 0;
  std::int64_t available = 0;
};
std::optional<memory_reading> parse_memory(std::string_view meminfo);

/// The number of threads out of /proc/loadavg: the one behind the slash.
std::optional<std::int64_t> parse_threads(std::string_view loadavg);

/// All of a machine but its `cpu_millis`, which `reading.used` tells together with an earlier one.
struct machine_reading {
  machine_use use;
  cpu_reading cpu;
};
machine_reading read_machine(const std::string& data_directory, std::chrono::microseconds at, const std::string& proc = "/proc");

/// What files below a folder take on the disk, on its own file system only: blocks, each file once. Symbolic links are not
/// followed. After `most` entries it gives up, and what was counted is the least.
struct disk_count {
  std::int64_t bytes = 0;
  bool is_at_least = false;
  std::size_t entries = 0;
};
disk_count count_disk(const std::string& folder, std::size_t most);

/// The same of a running container, whose main process is `pid`: of its folder without what other starts of it left in there
/// that is not cleared away yet.
disk_count count_container_disk(const std::string& folder, std::int64_t pid, std::size_t most);

/// When a container with a disk limit is counted again. What many small files cost is paid less often, the more containers
/// there are to count: all counts together take at most one part in `share` of the time.
class paced_counts {
public:
  paced_counts(std::int64_t share, std::chrono::microseconds forget_after) : share_(share), forget_after_(forget_after) {}

  /// The last count, if it is still to be used; nothing: it is to be counted now (`counted`). Who was not asked about
  /// for `forget_after` is forgotten and costs the others nothing.
  std::optional<disk_measured> ask(const measure_disk& x, std::chrono::microseconds now);

  /// `cost`: how long it took. Of a container that was asked about.
  void counted(const measure_disk& x, const disk_measured& measured, std::chrono::microseconds cost, std::chrono::microseconds now);

private:
  struct known_container {
    std::int64_t pid = 0; ///< 0: not counted yet
    disk_measured measured;
    std::chrono::microseconds cost{0};
    std::chrono::microseconds counted_at{0};
    std::chrono::microseconds asked_at{0};
  };

  std::int64_t share_;
  std::chrono::microseconds forget_after_;
  std::map<std::string, known_container> known_;
};

/// Readings of containers by name and generation: a new generation's counters begin anew.
class container_readings {
public:
  /// Uses since the readings before, which these replace. Those of a container that is new count since its start, if
  /// nothing else is known: 0.
  std::vector<container_use> advance(const container_stats_list& stats, std::chrono::microseconds at);

  /// Whether nothing was read before of one of them: its use would be told as 0.
  bool has_new(const container_stats_list& stats) const;

private:
  struct reading {
    std::uint64_t generation = 0;
    cpu_reading cpu;
  };
  std::map<std::string, reading> last_;
};

} // namespace prunella::actors
