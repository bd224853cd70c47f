#pragma once

// Which containers this host started and how to know them again, for the agent that comes after a crash of this one.
// Written before a start is reported. No sync: a crash of the agent leaves the kernel's page cache, and a power cut
// takes the containers as well (then `boot_id` differs). One thread at a time.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "config/spec.hpp"
#include "storage/errors.hpp"
#include "storage/site_database.hpp"

namespace prunella::storage {

struct container_record {
  std::string name; ///< tenant.application.service-N.container
  std::uint64_t generation = 0;
  std::int64_t pid = 0;
  std::uint64_t start_time_ticks =
      0;               ///< field 22 of /proc/PID/stat: with boot_id and pid it names one process for ever
  std::string boot_id; ///< /proc/sys/kernel/random/boot_id
  std::string spec_hash;
  std::int64_t started_at_ms = 0; ///< since 1970-01-01 UTC
  std::string log_path;
  config::driver_kind driver = config::driver_kind::process;
  std::int32_t stop_signal = 0;
  std::string runtime_id{};              ///< of a container of an image: what the OCI runtime calls it
  std::int64_t monitor_pid = 0;          ///< and its conmon
  std::uint64_t monitor_start_ticks = 0;
  /// It ended by itself, with exit code 0. Kept until its next start, or until nobody needs to know: nothing else says so
  /// to an agent that is started before the site has heard of it.
  bool has_ended_well = false;

  PRUNELLA_FIELDS(container_record, name, generation, pid, start_time_ticks, boot_id, spec_hash, started_at_ms,
                  log_path, driver, stop_signal, runtime_id, monitor_pid, monitor_start_ticks, has_ended_well)
};

class container_records {
public:
  virtual ~container_records() = default;

  /// Stores or replaces the record of that name. About 5 us.
  virtual result<void> put(const container_record& record) = 0;

  /// No record of that name is not an error.
  virtual result<void> erase(const std::string& name) = 0;

  /// All of them, ordered by name.
  virtual result<std::vector<container_record>> list() = 0;
};

/// Opens or creates the table at `path` (its folder must exist). Errors as `open_raft_log`.
result<std::unique_ptr<container_records>> open_container_records(const std::string& path, const host_owner& owner);

} // namespace prunella::storage
