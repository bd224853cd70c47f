#pragma once

// Private to the driver for engines: its state, in source files by meaning. `engine_backend.cpp` has ends and what is found
// again; `engine_starts.cpp` the way from an order to a running container.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <shared_mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/engine/engine_backend.hpp"
#include "actors/instance/engine/engine_logs.hpp"
#include "actors/instance/engine/load_turns.hpp"
#include "actors/instance/job_threads.hpp"
#include "actors/instance/oci/bundle.hpp"
#include "actors/instance/oci/cgroup.hpp"

namespace prunella::actors {

/// In the folder of a start: what the engine calls its container.
inline constexpr std::string_view engine_id_file = "id";

class engine_backend final : public driver_backend {
public:
  explicit engine_backend(engine_backend_options options);

  config::driver_kind kind() const override { return config::driver_kind::engine; }
  bool is_slow() const override { return true; }
  std::uint32_t collect_attempts() const override;

  std::vector<launched_container> recover(const std::vector<storage::container_record>& records,
                                          const std::string& boot_id) override;
  std::optional<driver_failure> check(const container_order& order, const provided_image* image) override;
  driver_result<launched_container> launch(const container_order& order, const provided_image* image) override;
  driver_result<command_plan> plan(const launched_container& container, const container_order& order,
                                   const plan_command& request) override;
  void signal(const launched_container& container, int number) override;
  void kill(const launched_container& container) override;
  std::optional<container_end> collect(const launched_container& container, bool last_time) override;
  void clear(const storage::container_record& record, bool stopped) override;
  std::vector<container_stats> stats(const std::vector<const launched_container*>& containers) override;
  std::string last_words(const storage::container_record& record) override {
    return last_error_line(record.log_path, record.started_at_ms);
  }

private:
  struct look { ///< at a container that has ended
    bool is_done = false;
    std::optional<engine_container> found;
    bool engine_went = false;  ///< before the container did
    cgroup_use use;            ///< of its control group, which goes a moment later
    cgroup_memory_kills kills;
  };

  std::string draw();
  std::string log_path(const std::string& name) const { return container_log_path(options_.data_directory, name); }
  std::string starts_folder(const std::string& name) const { return container_folder(options_.data_directory, name) + "/engine"; }

  driver_result<std::string> make(const container_order& order, const provided_image& image, const std::string& folder);
  driver_result<engine_create_request> request_for(const container_order& order, const provided_image& image,
                                                   const std::string& folder);
  std::optional<driver_failure> provide(const provided_image& image);
  driver_result<std::string> create(const container_order& order, const std::string& body);
  driver_result<std::string> create_named(const container_order& order, const std::string& body);
  driver_result<launched_container> run(const container_order& order, const provided_image& image, const std::string& id);
  bool still_runs(const std::string& id);
  void attach(launched_container& container, const engine_container& found);
  void end_commands(const storage::container_record& record) const;
  void note_network(launched_container& container) const;
  void follow_log(launched_container& container);
  std::optional<launched_container> find_again(const storage::container_record& record);
  std::optional<launched_container> find_unrecorded(const engine_listed& listed, const std::string& boot_id);
  container_end end_as(const launched_container& container, const look& seen) const;
  std::string cgroup_of(const storage::container_record& record);
  void begin_look(const std::string& id);
  void remove(const std::string& name, const std::string& id);
  void remove_folders_of(const std::string& name, const std::string& id) const;
  void remove_left_over();
  void sweep();
  void sweep_folders(const std::vector<launched_container>& kept) const;
  void rest_images();

  const engine_backend_options options_;
  const bundle_options bundle_;
  engine_client client_;
  std::mutex mutex_; ///< of all below
  std::mt19937_64 random_{std::random_device{}()};
  const std::string run_; ///< of this driver
  std::map<std::string, look> ends_;                       ///< by id
  std::map<std::string, std::string> groups_;              ///< control groups by id
  std::set<std::pair<std::string, std::string>> unremoved_; ///< name and id: the engine was away
  std::map<std::string, std::chrono::steady_clock::time_point> images_used_;
  std::set<std::string> known_;    ///< ids of containers that this driver made or found, until it removes them
  std::multiset<std::string> making_; ///< names of containers whose ids are not known yet
  bool is_swept_ = false;          ///< nothing is at the engine that is ours and that nobody knows
  std::shared_mutex images_mutex_; ///< shared from having an image to having a container of it; of its own while images are removed
  load_turns loads_;
  std::atomic<std::uint64_t> last_command_{0};
  engine_log_follower logs_;
  job_threads looks_; ///< last: what it does uses all of this
};

} // namespace prunella::actors
