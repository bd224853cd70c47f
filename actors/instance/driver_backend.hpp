#pragma once

// What differs between the ways to run a container. The driver actor (`container_driver.hpp`) keeps the account of what
// runs, of who waits for it, of stops and their grace; a backend knows how one container is started, told to stop, looked
// at and cleared away. Backends are used by one driver actor; `launch`, `end_left_over` and `clear` also from its threads.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "actors/instance/driver.hpp"
#include "actors/instance/images.hpp"
#include "actors/instance/process.hpp"
#include "config/spec.hpp"
#include "storage/container_records.hpp"

namespace prunella::actors {

/// `tenant.application.service-N.container` without its last part.
std::string instance_of(const std::string& container);

/// A file that the container's output goes to.
struct written_log {
  std::string path;
  std::string reopen; ///< control pipe of the conmon that writes it; empty: it is of a plain process, whose output is beside it
  std::int64_t most_bytes = 0; ///< that its writer leaves in both halves; 0: any number
  bool bounds_its_size = false; ///< its writer does, by the bounds that are kept beside it: only its age is the keeper's business
};

/// How a container ended, and what it had used.
struct container_end {
  process_end process;
  bool out_of_memory = false;
  std::int64_t memory_limit_bytes = 0;
  std::string reason{}; ///< why, where the driver knows more than how
};

/// A container that was started or found again.
struct launched_container {
  storage::container_record record;
  process_handle main;    ///< its main process; without a pidfd if it has ended
  process_handle watched; ///< whose end is the container's: the main process's parent; without a pidfd: the main process
  std::vector<written_log> logs; ///< files to be kept below the cap
  std::optional<container_end> end; ///< of one that ended while nobody was there
  std::string address;              ///< as in `container_started`
  std::string network_user{};         ///< who it is to `instance_networks`; empty: its instance has no network
};

class driver_backend {
public:
  virtual ~driver_backend() = default;

  virtual config::driver_kind kind() const = 0;

  /// Whether `launch` and `clear` take so long that the actor must not wait for them.
  virtual bool is_slow() const = 0;

  /// Which of `records` (all of this backend) still run, or ended and left word of it; ends and clears away what is left of
  /// all others, also of containers that nobody recorded, or notes it for `end_left_over`. `boot_id` is that of this boot of the
  /// machine.
  virtual std::vector<launched_container> recover(const std::vector<storage::container_record>& records,
                                                  const std::string& boot_id) = 0;

  /// Ends and clears away what `recover` noted, from a thread: after a power cut that is all that ran here. A `launch` of one of
  /// these containers does not begin before what is left of it has ended.
  virtual void end_left_over() {}

  /// Containers of which something is left that `end_left_over` has not ended yet. Any thread.
  virtual std::vector<std::string> left_over() const { return {}; }

  /// Refuses an order that cannot be started here whatever else happens; starts nothing.
  virtual std::optional<driver_failure> check(const container_order& order, const provided_image* image) = 0;

  /// Starts the container; `image` is there if the order names one. After a failure nothing of it is left. The record
  /// names the container, its process, its log, its stop signal and the time before its first output; the caller adds what
  /// else the order says, and stores it.
  virtual driver_result<launched_container> launch(const container_order& order, const provided_image* image) = 0;

  /// Ends a container that was launched a moment ago and that nobody will ever ask for, and clears it away.
  virtual void abandon(const launched_container& container) { clear(container.record, true); }

  /// How `request.command` is run in `container`; `order` is that of its start. Runs nothing.
  virtual driver_result<command_plan> plan(const launched_container& container, const container_order& order,
                                           const plan_command& request) = 0;

  /// Sends `signal` to all of the container that its kind can reach politely.
  virtual void signal(const launched_container& container, int signal) = 0;

  /// Ends every process of the container.
  virtual void kill(const launched_container& container) = 0;

  /// After the watched process ended: how the container did. Nothing: not known yet, ask again in 10 ms, but at most
  /// `collect_attempts` times; then `last_time` makes the answer final. Waits for nobody.
  virtual std::optional<container_end> collect(const launched_container& container, bool last_time) = 0;

  virtual std::uint32_t collect_attempts() const { return 50; }

  /// Clears away what the ended container does not need any more; its folder with the logs stays. `stopped`: it was told
  /// to end, and so is everything that it left.
  virtual void clear(const storage::container_record& record, bool stopped) = 0;

  /// Use of resources of running containers of this backend, in their order.
  virtual std::vector<container_stats> stats(const std::vector<const launched_container*>& containers) = 0;

  /// Of a container that failed by itself: the last line of its standard error since its start.
  virtual std::string last_words(const storage::container_record& record) = 0;
};

} // namespace prunella::actors
