#pragma once

// Private to the process driver: its state, in two source files by meaning. `process_driver.cpp` has its start-up and the life
// of a process; `process_driver_requests.cpp` what it answers.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/instance/driver_error.hpp"
#include "actors/instance/process_driver.hpp"
#include "actors/instance/process_recovery.hpp"
#include "actors/instance/process_watcher.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

// From the watcher's thread: the process behind watch `key` ended.
struct process_ended {
  std::uint64_t key = 0;
  std::uint32_t attempt = 0;

  PRUNELLA_FIELDS(process_ended, key, attempt)
};

// Timer: the grace of the stop with this epoch is over.
struct grace_over {
  std::uint64_t key = 0;
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(grace_over, key, epoch)
};

// A start that waits for what runs under its name to end.
struct pending_start {
  container_order order;
  caf::actor_addr owner;
  caf::response_promise promise;
};

struct running_container {
  storage::container_record record;
  process_handle process;
  std::chrono::milliseconds grace{10'000};
  caf::actor_addr owner;
  bool stopping = false;
  std::uint64_t stop_epoch = 0;
  std::chrono::steady_clock::time_point kill_at;
  std::vector<caf::response_promise> waiting; // for its end, of stop and wait requests alike
  std::optional<pending_start> next;
};

class process_driver_state {
public:
  static inline const char* name = "process_driver";

  explicit process_driver_state(caf::stateful_actor<process_driver_state, runtime::supervised_actor>* self);

  caf::behavior make_behavior(process_driver_options options);

private:
  using container_map = std::map<std::string, running_container>;

  std::optional<driver_failure> start_up();
  std::optional<driver_failure> recover();
  void take_over(recovered_process found);

  caf::result<container_prepared> on_prepare(const prepare_container& request);
  caf::result<container_started> on_start(const start_container& request);
  caf::result<container_started> on_adopt(const adopt_container& request);
  caf::result<container_exited> on_stop(const stop_container& request);
  caf::result<container_exited> on_wait(const wait_container& request);
  caf::result<void> on_signal(const signal_container& request);
  caf::result<void> on_tidy(const tidy_folders& request);
  caf::result<void> on_stop_all(const stop_all_containers& request);
  caf::result<recovered_containers> on_recover(const recover_containers& request);
  caf::result<container_stats_list> on_stats(const get_container_stats& request);
  void on_process_ended(const process_ended& event);
  void on_grace_over(const grace_over& event);

  driver_result<container_started> start(const container_order& order, const caf::actor_addr& owner);
  container_started adopt(running_container& container, const caf::actor_addr& owner) const;
  void begin_stop(std::uint64_t key, running_container& container, std::chrono::milliseconds grace);
  void replace(running_container& container, pending_start next);
  static void cancel_next(running_container& container, const std::string& why);
  void finish(container_map::iterator ended, const process_end& end);
  void watch(const std::string& container);

  caf::actor_addr sender() const { return caf::actor_cast<caf::actor_addr>(self_->current_sender()); }
  driver_failure refuse_released() const;
  running_container* find(const std::string& container, std::uint64_t generation);
  static caf::error not_running(const std::string& container, std::uint64_t generation);

  caf::event_based_actor* self_;
  process_driver_options options_;
  std::string boot_id_ = read_boot_id();
  container_map containers_;
  std::map<std::uint64_t, std::string> watched_; // key of the watch → container
  std::map<std::string, std::uint64_t> keys_;    // the other way round
  std::uint64_t last_key_ = 0;
  std::optional<std::string> released_;             // why
  std::vector<caf::response_promise> until_empty_; // stop_all_containers
  std::unique_ptr<log_keeper> logs_;
  std::unique_ptr<process_watcher> watcher_; // last: its thread ends before anything else of this goes
};

/// `tenant.application.service-N.container` without its last part.
std::string instance_of(const std::string& container);

} // namespace prunella::actors
