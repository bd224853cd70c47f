#pragma once

// A command in a container that somebody sits at: a process of the host (`driver.hpp`, `command_plan`) with a pseudo terminal
// or pipes, and a thread that moves its bytes. What it prints waits here, numbered, until it was confirmed, so that an answer
// that got lost can be given again; while much waits, nothing more is read and the command has to wait too.

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "actors/instance/command_runner.hpp"
#include "actors/terminal/chunk_queue.hpp"
#include "actors/terminal/input_window.hpp"
#include "actors/terminal/session_source.hpp"

namespace prunella::actors {

inline constexpr std::size_t max_waiting_output = 256 * 1024; ///< of a command, not confirmed
inline constexpr std::size_t max_chunk = 16 * 1024;
/// Between the hang-up of a command whose client went away, and its kill.
inline constexpr std::chrono::milliseconds hang_up_grace{500};

struct interactive_options {
  bool has_terminal = false;
  bool has_input = false; ///< else its input is at its end from the start; a terminal has one always
  window_size window;
};

class interactive_command : public session_source {
public:
  /// Starts it; `on_change` is called in its thread when there is something new to `read`. Throws std::system_error where the
  /// system gives no thread.
  interactive_command(command_plan plan, interactive_options options, std::function<void()> on_change);
  interactive_command(const interactive_command&) = delete;
  interactive_command& operator=(const interactive_command&) = delete;
  /// Hangs up, and waits until it is gone: at most `hang_up_grace` and `kill_patience`.
  ~interactive_command() override;

  // Any thread.
  std::vector<terminal_chunk> read(std::uint64_t confirmed) override;
  std::optional<session_end> end(std::uint64_t confirmed) override;
  std::uint64_t write(std::uint64_t from, std::string_view bytes) override;
  void end_input() override;
  void resize(window_size window) override;
  /// As a terminal does whose line is cut; what does not end by that is killed after `hang_up_grace`.
  void hang_up() override;

private:
  using clock = std::chrono::steady_clock;

  void run();
  std::optional<driver_failure> open_streams(command_streams& streams);
  bool look();
  bool read_stream(std::size_t stream);
  void wait_for_room();
  void write_input();
  void keep_killing();
  void wait();
  void wake();

  const command_plan plan_;
  const interactive_options options_;
  const std::function<void()> on_change_;

  std::mutex mutex_; ///< guards what follows
  chunk_queue chunks_;
  std::string first_words_; ///< of the output: why the runtime refused it, if it did
  input_window input_;
  std::optional<window_size> new_window_;
  std::optional<session_end> end_;

  std::atomic<bool> hung_up_{false};
  unique_fd wake_;

  // The thread's own.
  process_handle process_;
  unique_fd terminal_;                 ///< our end
  unique_fd to_command_;               ///< pipe
  std::array<unique_fd, 2> outputs_{}; ///< pipes of its output and error
  std::vector<unique_fd> theirs_;      ///< until it was started
  bool terminal_end_was_sent_ = false;
  std::optional<clock::time_point> hung_up_at_;
  std::thread thread_;
};

} // namespace prunella::actors
