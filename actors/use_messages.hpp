#pragma once

// What a host and its containers use, asked from actor "use" of each host. Nothing is measured while nobody asks.

#include <cstdint>
#include <string>
#include <vector>

#include "config/fields.hpp"

namespace prunella::actors {

/// → `use_answer`: measured now. Processor use is the mean since the measurement before, which is 0.5 … 60 s old.
struct use_request {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(use_request, unused)
};

/// Of the machine, whoever uses it. Zero: not known.
struct machine_use {
  std::int64_t cpu_millis = 0; ///< thousandths of a core
  std::int64_t cpu_millis_total = 0;
  std::int64_t memory_bytes = 0; ///< what could not be given to a new process without swapping
  std::int64_t memory_bytes_total = 0;
  std::int64_t disk_bytes = 0; ///< of the file system with the data directory; what only root may use counts as used
  std::int64_t disk_bytes_total = 0;
  std::int64_t threads = 0; ///< and processes: what the kernel's limit of process numbers counts
  std::int64_t threads_total = 0;

  PRUNELLA_FIELDS(machine_use, cpu_millis, cpu_millis_total, memory_bytes, memory_bytes_total, disk_bytes, disk_bytes_total, threads,
                  threads_total)
};

struct container_use {
  std::string name; ///< tenant.application.service-N.container
  std::int64_t cpu_millis = 0;
  std::int64_t memory_bytes = 0;
  std::int64_t disk_bytes = 0;    ///< its folder: written files of an image's container, logs, volumes that end with it
  bool disk_is_at_least = false;  ///< there were too many files to count all
  std::uint32_t processes = 0;

  PRUNELLA_FIELDS(container_use, name, cpu_millis, memory_bytes, disk_bytes, disk_is_at_least, processes)
};

struct use_answer {
  machine_use machine;
  std::vector<container_use> containers; ///< that run, by name

  PRUNELLA_FIELDS(use_answer, machine, containers)
};

} // namespace prunella::actors
