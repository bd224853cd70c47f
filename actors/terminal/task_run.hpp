#pragma once

// A one-off task: a container of its own with the image, environment and volumes of a service's, which runs a command once.
// Its output is that of its log. No actors: who has the driver tells it what became of the container.

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "actors/application/application_plan.hpp"
#include "actors/instance/container_input.hpp"
#include "actors/logs/log_pages.hpp"
#include "actors/site/site_state.hpp"
#include "actors/terminal/chunk_queue.hpp"
#include "actors/terminal/input_window.hpp"
#include "actors/terminal/session_source.hpp"

namespace prunella::actors {

/// The order of a task `suffix` (of letters and digits), with or without input, that runs `command` beside the container `of`, as the site's state
/// has it at `place`. Error: not_running, when the site has no such container there.
std::variant<container_order, driver_failure> task_order(const site_state& state, const plan_place& place, const std::string& of,
                                                         const std::string& suffix, const std::vector<std::string>& command,
                                                         bool has_input);

class task_run : public session_source {
public:
  /// `stop` is called once at most, when it is to end; then `ended` follows. `input`: null if it has none.
  task_run(std::string log_path, std::shared_ptr<container_input> input, std::function<void()> stop)
    : log_path_(std::move(log_path)), stop_(std::move(stop)), input_(std::move(input)) {}

  /// Takes what it has printed since the last time, as much as may wait, and gives it input that waits; true if there is
  /// something new to read, or its end.
  bool look();
  /// Its container has ended, and its log is complete.
  void ended(const container_exited& how);

  std::vector<terminal_chunk> read(std::uint64_t confirmed) override { return chunks_.read(confirmed); }
  std::optional<session_end> end(std::uint64_t confirmed) override;
  /// All is taken and dropped where it has no input.
  std::uint64_t write(std::uint64_t from, std::string_view bytes) override;
  void end_input() override;
  void resize(window_size) override {}
  void hang_up() override;

private:
  void give_input();

  const std::string log_path_;
  std::function<void()> stop_;
  std::shared_ptr<container_input> input_; ///< until the container has ended
  bool is_input_closed_ = false;
  input_window waiting_input_;
  log_position position_;
  chunk_queue chunks_;
  std::optional<session_end> end_;
  bool is_dropped_ = false;  ///< nobody reads it
  bool is_complete_ = false; ///< its log was read to the end after it had ended
};

} // namespace prunella::actors
