#pragma once

// Private to the driver: its state, in source files by meaning. `container_driver.cpp` has its start-up and the end of a
// container; `container_driver_starts.cpp` the way from an order to a running container; `container_driver_requests.cpp`
// what else it answers.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/instance/command_runner.hpp"
#include "actors/instance/container_driver.hpp"
#include "actors/instance/driver_backend.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/instance/job_threads.hpp"
#include "actors/instance/log_keeper.hpp"
#include "actors/instance/network/instance_networks.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/process_watcher.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

// From the watcher's thread, or for one that had ended before: what is behind watch `key` ended.
struct container_ended {
  std::uint64_t key = 0;
  std::uint32_t attempt = 0;

  PRUNELLA_FIELDS(container_ended, key, attempt)
};

// From a thread of `job_threads`.
struct job_done {
  std::uint64_t key = 0;

  PRUNELLA_FIELDS(job_done, key)
};

// From the thread of `command_runner`.
struct command_done {
  std::uint64_t key = 0;
  bool is_refused = false;
  driver_errc code = driver_errc::invalid_request; // and why, if it is
  std::string why;
  exec_result result;

  PRUNELLA_FIELDS(command_done, key, is_refused, code, why, result)
};

// Timer: clear away what ended containers left.
struct clear_due {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(clear_due, unused)
};

// Timer: the grace of the stop with this epoch is over.
struct grace_over {
  std::uint64_t key = 0;
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(grace_over, key, epoch)
};

// A start that waits for what runs under its name to end, or for its own container to come up.
struct pending_start {
  container_order order;
  caf::actor_addr owner;
  caf::response_promise promise;
};

struct running_container {
  launched_container launched;
  driver_backend* backend = nullptr;
  std::optional<container_order> order; // nothing: a driver before this one started it, and nobody has claimed it yet
  std::chrono::milliseconds grace{10'000};
  caf::actor_addr owner;
  bool stopping = false;
  std::uint64_t stop_epoch = 0;
  std::chrono::steady_clock::time_point kill_at;
  std::vector<caf::response_promise> waiting; // for its end, of stop and wait requests alike
  std::optional<pending_start> next;

  const storage::container_record& record() const { return launched.record; }
  bool is_alive() const;
};

// A container on its way up: its image is waited for, or its backend starts it.
struct rising_container {
  pending_start start;
  std::uint64_t attempt = 0;  // tells a late answer of an earlier one
  bool is_launching = false;  // the backend is at it: there is no way back but through its end
  bool is_unwanted = false;   // to be ended once it is up; its starter was told
  std::vector<caf::response_promise> stops; // answered when it has ended, or could not be started
  std::optional<pending_start> next;        // takes its place then
};

class container_driver_state {
public:
  static inline const char* name = "container_driver";

  explicit container_driver_state(caf::stateful_actor<container_driver_state, runtime::supervised_actor>* self);
  /// What is left to be cleared away is cleared away.
  ~container_driver_state();

  caf::behavior make_behavior(container_driver_options options);

private:
  using container_map = std::map<std::string, running_container>;
  using rising_map = std::map<std::string, rising_container>;

  std::optional<driver_failure> start_up();
  void make_backends();
  std::optional<driver_failure> recover();
  void find_networks();
  void take_over(launched_container found, driver_backend& backend);

  caf::result<container_prepared> on_prepare(const prepare_container& request);
  caf::result<container_started> on_start(const start_container& request);
  caf::result<container_started> on_adopt(const adopt_container& request);
  caf::result<container_exited> on_stop(const stop_container& request);
  caf::result<container_exited> on_wait(const wait_container& request);
  caf::result<void> on_signal(const signal_container& request);
  caf::result<void> on_tidy(const tidy_folders& request);
  void let_go_of_images(const std::vector<std::string>& assigned);
  caf::result<void> on_stop_all(const stop_all_containers& request);
  caf::result<recovered_containers> on_recover(const recover_containers& request);
  caf::result<container_stats_list> on_stats(const get_container_stats& request);
  caf::result<exec_result> on_exec(const exec_container& request);
  caf::result<command_plan> on_plan(const plan_command& request);
  void on_command_done(const command_done& event);
  void on_container_ended(const container_ended& event);
  void on_grace_over(const grace_over& event);

  driver_result<command_plan> plan_for(const plan_command& request);
  std::optional<driver_failure> check_commands(const std::string& instance) const;
  driver_result<driver_backend*> backend_for(const container_order& order);
  caf::result<container_started> start_beside(running_container& current, const container_order& order);
  caf::result<container_started> start_beside(rising_container& current, const container_order& order);
  caf::result<container_exited> stop_rising(rising_map::iterator current, const stop_container& request);
  void begin(pending_start start);
  void drop(rising_map::iterator current, const std::string& why);
  void provide(const container_order& order, std::function<void(std::shared_ptr<const provided_image>)> on_image,
               std::function<void(driver_failure)> on_failure);
  void launch(const std::string& container, std::shared_ptr<const provided_image> image);
  void on_launched(const std::string& container, driver_backend& backend, driver_result<launched_container> result);
  void on_failed(const std::string& container, const driver_failure& why);
  std::optional<driver_failure> keep(launched_container& launched, driver_backend& backend, const container_order& order);
  void abandon(driver_backend& backend, launched_container launched);
  void claim(running_container& container, const container_order& order);
  container_started adopt(running_container& container, const caf::actor_addr& owner);
  void begin_stop(running_container& container, std::chrono::milliseconds grace);
  void replace(running_container& container, pending_start next);
  static void cancel(std::optional<pending_start>& start, const std::string& why);
  void finish(container_map::iterator ended, const container_end& end);
  void note_end(storage::container_record record, const container_exited& how);
  bool tell_known_end(const container_order& order);
  void forget_ends(const std::set<std::string>& kept);
  void clear_later(driver_backend& backend, const storage::container_record& record, bool stopped);
  void on_clear_due();
  void clear_all();
  void delete_aside();
  void settle_if_empty();
  void watch(const std::string& container);

  caf::actor_addr sender() const { return caf::actor_cast<caf::actor_addr>(self_->current_sender()); }
  pending_start from_sender(const container_order& order);
  caf::actor_addr new_owner();
  void forget_owner(const caf::actor_addr& gone);
  driver_failure refuse_released() const;
  running_container* find(const std::string& container, std::uint64_t generation);
  static caf::error not_running(const std::string& container, std::uint64_t generation);

  caf::event_based_actor* self_;
  container_driver_options options_;
  std::string boot_id_ = read_boot_id();
  std::shared_ptr<instance_networks> networks_; // of all backends that run images; null: none does
  std::vector<std::unique_ptr<driver_backend>> backends_;
  container_map containers_;
  rising_map rising_;
  std::map<std::string, storage::container_record> known_ends_; // told to the drivers before this one, to be told once more
  std::set<std::string> noted_ends_; // containers whose record says that they ended well
  struct pending_clear {
    driver_backend* backend = nullptr;
    storage::container_record record;
    bool stopped = false;
  };
  struct held_image {
    std::string reference;
    std::uint64_t generation = 0; ///< of the instance: to the next one a tag may mean something else
    std::shared_ptr<const provided_image> image;
  };
  std::map<std::string, held_image> images_; // by container that holds it: a restart asks nobody
  std::multiset<std::string> asking_;        // containers whose image was asked for
  std::vector<pending_clear> to_clear_; // of slow backends
  std::multiset<std::string> clearing_; // names in `to_clear_`, and with a job that does it
  bool deletes_aside_ = false;          // a thread is at what was set aside,
  bool more_aside_ = false;             // and may have missed what came after it
  std::uint64_t last_attempt_ = 0;
  std::map<std::uint64_t, std::string> watched_; // key of the watch → container
  std::map<std::string, std::uint64_t> keys_;    // the other way round
  std::uint64_t last_key_ = 0;
  std::optional<std::string> released_;             // why
  std::vector<caf::response_promise> until_empty_; // stop_all_containers
  struct running_command {
    std::string container;
    std::uint64_t generation = 0;
    caf::response_promise promise;
  };
  std::map<std::uint64_t, running_command> commands_; // by key
  std::uint64_t last_command_ = 0;
  std::unique_ptr<log_keeper> logs_;
  std::unique_ptr<command_runner> runner_; // from the first command on
  std::unique_ptr<process_watcher> watcher_; // last but one: its thread ends before anything else of this goes
  std::unique_ptr<job_threads> jobs_;        // last: what they do is done before a successor looks at what runs
};

} // namespace prunella::actors
