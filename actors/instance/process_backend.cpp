#include "actors/instance/process_backend.hpp"

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <map>
#include <utility>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/log_bounds.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/process_recovery.hpp"
#include "actors/instance/raw_log.hpp"
#include "config/signal.hpp"

namespace prunella::actors {

namespace {

class process_backend final : public driver_backend {
public:
  explicit process_backend(process_backend_options options) : options_(std::move(options)) {}

  config::driver_kind kind() const override { return config::driver_kind::process; }
  bool is_slow() const override { return false; }

  std::vector<launched_container> recover(const std::vector<storage::container_record>& records,
                                          const std::string& boot_id) override {
    std::vector<launched_container> running;
    std::vector<storage::container_record> wanted;
    for (auto& found : recover_processes(records, boot_id).running) {
      wanted.push_back(found.record);
      auto logs = logs_of(found.record.name);
      running.push_back({std::move(found.record), std::move(found.process), {}, std::move(logs), {}, {}});
    }
    kill_orphans(options_.agent, wanted);
    return running;
  }

  std::optional<driver_failure> check(const container_order& order, const provided_image*) override {
    auto launch = prepare_folder(order, options_.data_directory, options_.agent);
    if (auto* failure = std::get_if<driver_failure>(&launch))
      return std::move(*failure);
    const auto& ready = std::get<launch_request>(launch);
    auto file = resolve_command(ready.command.front(), path_of(ready.environment), ready.working_directory);
    if (auto* failure = std::get_if<driver_failure>(&file))
      return std::move(*failure);
    return std::nullopt;
  }

  driver_result<launched_container> launch(const container_order& order, const provided_image*) override {
    auto request = prepare_folder(order, options_.data_directory, options_.agent);
    if (auto* failure = std::get_if<driver_failure>(&request))
      return std::move(*failure);
    begin_raw_output(container_folder(options_.data_directory, order.name), half_of(order.spec.logs));
    launched_container started;
    started.record.started_at_ms = wall_clock_ms(); // from here on it may print
    auto launched = launch_process(std::get<launch_request>(request));
    if (auto* failure = std::get_if<driver_failure>(&launched))
      return std::move(*failure);
    started.main = std::get<process_handle>(std::move(launched));
    started.record.pid = started.main.pid;
    started.record.start_time_ticks = started.main.start_ticks;
    started.record.log_path = container_log_path(options_.data_directory, order.name);
    started.record.stop_signal = config::stop_signal(order.spec.stop_signal);
    started.logs = logs_of(order.name);
    return started;
  }

  void abandon(const launched_container& container) override {
    kill(container);
    ::waitpid(container.main.pid, nullptr, 0);
  }

  driver_result<command_plan> plan(const launched_container& container, const container_order& order,
                                   const plan_command& request) override {
    auto like_it = prepare_folder(order, options_.data_directory, options_.agent);
    if (auto* failure = std::get_if<driver_failure>(&like_it))
      return std::move(*failure);
    auto& launch = std::get<launch_request>(like_it);
    if (!request.terminal.empty() && order.env.count("TERM") == 0)
      launch.environment.push_back("TERM=" + request.terminal);
    auto file = resolve_command(request.command.front(), path_of(launch.environment), launch.working_directory);
    if (auto* failure = std::get_if<driver_failure>(&file))
      return std::move(*failure);
    command_plan plan{container.record.name, container.record.generation, request.command,
                      std::move(launch.environment), std::move(launch.working_directory), {}, {}};
    plan.command.front() = std::get<std::string>(std::move(file));
    return plan;
  }

  void signal(const launched_container& container, int number) override { signal_group(container.main, number); }
  void kill(const launched_container& container) override { signal_group(container.main, SIGKILL); }

  std::optional<container_end> collect(const launched_container& container, bool last_time) override {
    signal_group(container.main, SIGKILL); // what it left in its group; before its number is free again
    const auto end = last_time ? collect_end_now(container.main) : collect_end(container.main);
    return end ? std::optional{container_end{*end, false, 0}} : std::nullopt;
  }

  void clear(const storage::container_record& record, bool stopped) override {
    if (stopped)
      kill_leftovers(options_.agent, record.name, record.generation);
  }

  std::vector<container_stats> stats(const std::vector<const launched_container*>& containers) override {
    std::vector<container_stats> list(containers.size());
    std::map<pid_t, container_stats*> by_group;
    for (std::size_t i = 0; i < containers.size(); ++i)
      by_group[containers[i]->main.pid] = &list[i];
    const std::int64_t page = ::sysconf(_SC_PAGESIZE);
    for (const pid_t pid : by_group.empty() ? std::vector<pid_t>{} : list_processes()) {
      const auto stat = read_proc_stat(pid);
      const auto group = stat ? by_group.find(stat->group) : by_group.end();
      if (group == by_group.end())
        continue;
      auto& use = *group->second;
      ++use.processes;
      use.user_time += ticks_to_time(stat->user_ticks);
      use.system_time += ticks_to_time(stat->system_ticks);
      use.rss_bytes += stat->rss_pages * page;
    }
    return list;
  }

  std::string last_words(const storage::container_record& record) override {
    return last_error_line(record.log_path, record.started_at_ms);
  }

private:
  std::vector<written_log> logs_of(const std::string& container) const {
    return {{container_log_path(options_.data_directory, container), {}, 0}};
  }

  const process_backend_options options_;
};

} // namespace

std::unique_ptr<driver_backend> make_process_backend(process_backend_options options) {
  return std::make_unique<process_backend>(std::move(options));
}

} // namespace prunella::actors
