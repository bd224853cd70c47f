#pragma once

// Processes that a benchmark starts: they never outlive it, however it ends.

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace prunella::bench {

class child_process {
public:
  enum class talk {
    lines, ///< its standard input and output are pipes to this process
    none,  ///< neither; what it prints goes to `log`
  };

  /// Throws std::runtime_error if it cannot be started. `log`: a file for its standard error, appended; empty: ours.
  child_process(const std::vector<std::string>& command, talk how, const std::string& log);
  child_process(const child_process&) = delete;
  child_process& operator=(const child_process&) = delete;
  /// Kills it if it still runs, and waits for its end.
  ~child_process();

  pid_t pid() const { return pid_; }
  void say(const std::string& line);
  /// Whether a whole line is there or comes within `limit`. Throws std::runtime_error if it ended.
  bool has_line(std::chrono::milliseconds limit);
  /// The next line, without its end; throws std::runtime_error after `limit` and if it ended.
  std::string line(std::chrono::milliseconds limit);
  void kill();
  int input_for_poll() const { return from_; }

private:
  std::string name_;
  pid_t pid_ = -1;
  int to_ = -1;
  int from_ = -1;
  std::string unread_;
};

/// SIGINT, SIGTERM and SIGHUP remove `folder` and end this process; its children end with it. Call before any thread or
/// child is started.
void clean_up_when_interrupted(const std::string& folder);

} // namespace prunella::bench
