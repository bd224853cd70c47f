#pragma once

// Private to the driver for images that we run ourselves: its state, in source files by meaning. `oci_backend.cpp` has ends and
// what is found again; `oci_starts.cpp` the way from an order to a running container; `oci_commands.cpp` commands in it.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/oci/bundle.hpp"
#include "actors/instance/oci/left_over_starts.hpp"
#include "actors/instance/oci/oci_backend.hpp"
#include "actors/instance/start_room.hpp"
#include "storage/images/child_process.hpp"

namespace prunella::actors {

class oci_backend final : public driver_backend {
public:
  explicit oci_backend(oci_backend_options options);

  config::driver_kind kind() const override { return config::driver_kind::oci; }
  bool is_slow() const override { return true; }

  std::vector<launched_container> recover(const std::vector<storage::container_record>& records,
                                          const std::string& boot_id) override;
  void end_left_over() override;
  std::vector<std::string> left_over() const override { return left_.names(); }
  std::optional<driver_failure> check(const container_order& order, const provided_image* image) override;
  driver_result<launched_container> launch(const container_order& order, const provided_image* image) override;
  driver_result<command_plan> plan(const launched_container& container, const container_order& order,
                                   const plan_command& request) override;
  void signal(const launched_container& container, int number) override;
  void kill(const launched_container& container) override;
  std::optional<container_end> collect(const launched_container& container, bool last_time) override;
  void clear(const storage::container_record& record, bool stopped) override;
  std::vector<container_stats> stats(const std::vector<const launched_container*>& containers) override;
  std::string last_words(const storage::container_record& record) override;

private:
  std::string runtime_root() const { return options_.data_directory + "/oci/runtime"; }
  std::string exit_folder() const { return options_.data_directory + "/oci/exits"; }
  std::string log_path(const std::string& name) const { return container_log_path(options_.data_directory, name); }
  written_log log_of(const storage::container_record& record) const;
  std::string run_folder(const std::string& name) const {
    return container_folder(options_.data_directory, name) + "/run";
  }

  std::optional<driver_failure> make_folders(const std::string& folder) const;
  std::optional<driver_failure> limit(const container_order& order, const std::string& id) const;
  std::optional<driver_failure> start(const std::string& id) const;
  driver_result<launched_container> run(const container_order& order, const provided_image& image, const std::string& id,
                                        const std::string& folder);
  storage::result<storage::child_end> runtime(const std::vector<std::string>& words) const;
  std::vector<std::string> runtime_command(const std::vector<std::string>& words) const;
  std::vector<std::string> runtime_environment() const;
  void remove(const std::string& name, const std::string& id) const;
  bool end_start(const std::string& name, const std::string& id) const;
  void remove_folder(const std::string& name, const std::string& id) const;
  void note_left_over(const std::vector<launched_container>& kept);
  bool end_taken(const start_of_container& taken);
  void end_left_over_of(const std::string& name);
  void end_commands(const storage::container_record& record) const;
  std::string draw_id(const std::string& name);
  static void give_output(pid_t main, const std::string& folder);

  const oci_backend_options options_;
  const bundle_options bundle_;
  const std::string user_namespace_obstacle_; ///< why containers can have none here; empty: they can
  std::uint64_t last_exec_ = 0;
  std::mutex id_mutex_;
  std::mt19937_64 random_{std::random_device{}()};
  start_room room_;
  left_over_starts left_; ///< of earlier agents
};

} // namespace prunella::actors
