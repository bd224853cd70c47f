#pragma once

// The prunella program as a process: started with files for what it prints, waited for, killed.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace prunella::tests {

/// One process of the program under test. Not ended by its destructor: that is the cleaner's (`scratch_area.hpp`).
class program {
public:
  program() = default;

  /// Starts `prunella WORDS…` with `input` at its standard input, as a pipe; what it prints is appended to `log`.
  /// `input` is at most 64 KiB, what a pipe holds.
  program(const std::vector<std::string>& words, const std::filesystem::path& log, const std::string& input = {});

  pid_t pid() const { return pid_; } ///< 0: none, or it has ended
  bool is_alive();

  /// Its exit code, 128 + N if signal N ended it; nothing if it still runs after `limit`.
  std::optional<int> wait(std::chrono::milliseconds limit = std::chrono::seconds{30});

  void signal(int number) const;

  /// SIGKILL, and gone when this returns.
  void kill();

private:
  pid_t pid_ = 0;
  std::optional<int> code_;
};

/// What a command left behind.
struct ended_program {
  int code = 0;
  std::string output; ///< standard output and standard error
};

/// Runs a command to its end; the test fails if it takes longer than `limit`.
ended_program run_prunella(const std::vector<std::string>& words, const std::filesystem::path& folder,
                           const std::string& input = {}, std::chrono::milliseconds limit = std::chrono::seconds{30});

/// Where the program under test is.
const char* program_path();

/// The whole file; empty if there is none.
std::string file_text(const std::filesystem::path& file);

} // namespace prunella::tests
