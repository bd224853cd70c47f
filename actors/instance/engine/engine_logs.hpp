#pragma once

// Takes what containers print from an engine that keeps their logs itself, as Docker does, into ours (`../container_log.hpp`):
// one thread, which sleeps while nothing is printed. After a crash of the agent it goes on behind the last line that it wrote.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "actors/instance/engine/engine_stream.hpp"
#include "actors/instance/process.hpp"
#include "net/unix_http.hpp"

namespace prunella::actors {

class engine_log_follower {
public:
  /// Opens the stream of what a container printed since a time (`since_text`; empty: all). Bounded in time by itself.
  using opener = std::function<driver_result<net::unix_stream>(const std::string& id, const std::string& since)>;
  /// Between two tries to open a stream that was cut.
  static constexpr std::chrono::milliseconds pause{500};

  explicit engine_log_follower(opener open);
  engine_log_follower(const engine_log_follower&) = delete;
  engine_log_follower& operator=(const engine_log_follower&) = delete;
  ~engine_log_follower();

  /// Writes what the container `id` prints into the file `path` from now on, within the size that is kept beside it
  /// (`../log_bounds.hpp`; also if that is changed later). What is older than its age is not fetched again. `lives`: whether the
  /// container does, as the kernel says; any thread may ask.
  void follow(const std::string& id, const std::string& path, std::function<bool()> lives);
  /// Whether the stream of `id` has come to its end, so that all that it printed until then is in its log, or it is not
  /// followed. Of a container that goes on, as when the engine was restarted, the stream is opened again.
  bool is_over(const std::string& id);
  /// Waits for that; false: it was not within `patience`.
  bool wait_until_over(const std::string& id, std::chrono::milliseconds patience);
  /// Whether the stream ended while the container lived and has not come back: its engine has stopped or is being restarted.
  bool was_cut(const std::string& id);
  void forget(const std::string& id);

private:
  struct followed {
    std::string path;
    std::function<bool()> lives{};
    unique_fd stream{};
    std::chrono::steady_clock::time_point open_at{};
    stream_demultiplexer pieces{};
    std::string last{}; ///< `log_time` of what was written last
    std::string resumed_at{}; ///< the same when the stream was opened; empty: it is past that
    bool is_over = false;
    bool was_cut = false;
  };

  void run();
  void open_due();
  void wait_and_read();
  void take(followed& one, std::string_view bytes) const;
  void wake();

  const opener open_;
  unique_fd wake_;
  std::atomic<bool> stopping_{false};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, followed> logs_; ///< by id
  std::thread thread_; ///< from the first log on
};

} // namespace prunella::actors
