#include "tests/cluster/program.hpp"

#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <iterator>
#include <system_error>

#include "tests/cluster/scratch_area.hpp"

extern char** environ;

namespace prunella::tests {

namespace {

/// posix_spawn's file actions, which have to be destroyed.
struct file_actions {
  file_actions() { posix_spawn_file_actions_init(&value); }
  ~file_actions() { posix_spawn_file_actions_destroy(&value); }
  file_actions(const file_actions&) = delete;
  file_actions& operator=(const file_actions&) = delete;

  posix_spawn_file_actions_t value;
};

std::array<int, 2> pipe_with(const std::string& input) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "a pipe to the program");
  if (!input.empty() && write(ends[1], input.data(), input.size()) != static_cast<ssize_t>(input.size()))
    throw std::runtime_error("the input does not fit into a pipe");
  close(ends[1]);
  return ends;
}

} // namespace

program::program(const std::vector<std::string>& words, const std::filesystem::path& log, const std::string& input) {
  std::vector<std::string> all{PRUNELLA_PROGRAM};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> argv;
  for (auto& word : all)
    argv.push_back(word.data());
  argv.push_back(nullptr);
  const auto ends = pipe_with(input);
  file_actions actions;
  posix_spawn_file_actions_adddup2(&actions.value, ends[0], 0);
  posix_spawn_file_actions_addopen(&actions.value, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions.value, 1, 2);
  const int failed = posix_spawn(&pid_, PRUNELLA_PROGRAM, &actions.value, nullptr, argv.data(), environ);
  close(ends[0]);
  if (failed != 0)
    throw std::system_error(failed, std::generic_category(), "the start of " PRUNELLA_PROGRAM);
}

bool program::is_alive() { return pid_ != 0 && !wait(std::chrono::milliseconds{0}); }

std::optional<int> program::wait(std::chrono::milliseconds limit) {
  const auto ended = [this] {
    int status = 0;
    if (pid_ == 0 || waitpid(pid_, &status, WNOHANG) != pid_)
      return pid_ == 0;
    pid_ = 0;
    code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return true;
  };
  return eventually(ended, limit) ? code_ : std::nullopt;
}

void program::signal(int number) const {
  if (pid_ != 0)
    ::kill(pid_, number);
}

void program::kill() {
  signal(SIGKILL);
  REQUIRE_MESSAGE((pid_ == 0 || wait()), "a killed process did not end");
}

ended_program run_prunella(const std::vector<std::string>& words, const std::filesystem::path& folder,
                           const std::string& input, std::chrono::milliseconds limit) {
  const auto log = folder / "command.log";
  std::filesystem::remove(log);
  program command{words, log, input};
  const auto code = command.wait(limit);
  if (!code)
    command.kill();
  const auto output = file_text(log);
  REQUIRE_MESSAGE(code, "the command did not end; it printed: " << output);
  return {*code, output};
}

const char* program_path() {
  return PRUNELLA_PROGRAM;
}

std::string file_text(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

} // namespace prunella::tests
