#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <poll.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/cli/command_line.hpp"

using namespace prunella::tools;

namespace {

/// The program in a terminal of its own, with a person's keys.
class typed_program {
public:
  explicit typed_program(const std::filesystem::path& state) {
    pid_ = ::forkpty(&fd_, nullptr, nullptr, nullptr);
    if (pid_ == 0) {
      ::setenv("XDG_STATE_HOME", state.c_str(), 1);
      ::setenv("TERM", "xterm", 1);
      ::unsetenv("PRUNELLA_ENDPOINT");
      char name[] = "prunella";
      char console[] = "console";
      char* arguments[] = {name, console, nullptr};
      std::_Exit(run_cli(2, arguments, {}));
    }
  }
  ~typed_program() { ::close(fd_); }
  typed_program(const typed_program&) = delete;
  typed_program& operator=(const typed_program&) = delete;

  /// Types `keys` and returns what the terminal shows up to `until`, or all of 10 s if that does not come.
  std::string type(const std::string& keys, const std::string& until) {
    if (::write(fd_, keys.data(), keys.size()) < 0)
      return "cannot type";
    std::string shown;
    pollfd wait{fd_, POLLIN, 0};
    while (shown.find(until) == std::string::npos && ::poll(&wait, 1, 10'000) == 1) {
      char bytes[1024];
      const auto size = ::read(fd_, bytes, sizeof bytes);
      if (size <= 0)
        break;
      shown.append(bytes, static_cast<std::size_t>(size));
    }
    return shown;
  }

  int exit_code() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

private:
  int fd_ = -1;
  pid_t pid_ = -1;
};

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

} // namespace

TEST_CASE(
    "at a terminal the console completes on Tab, survives errors, and keeps a history that only its owner reads") {
  auto name = (std::filesystem::temp_directory_path() / "prunella-console-XXXXXX").string();
  const std::filesystem::path state = ::mkdtemp(name.data());
  typed_program program(state);
  CHECK(contains(program.type("", "prunella> "), "Tab completes"));
  CHECK(contains(program.type("vers\t", "ion"), "ion"));
  CHECK(contains(program.type("\r", "prunella> "), "prunella 0.1.0"));
  CHECK(contains(program.type("gte hosts\r", "prunella> "), "did you mean `get`?"));
  CHECK(contains(program.type("get \t\t", "instances"), "events"));
  program.type("hosts --help\r", "prunella get hosts");
  program.type("exit\r", "exit");
  CHECK(program.exit_code() == 0);

  const auto file = state / "prunella" / "history";
  struct stat facts {};
  REQUIRE(::stat(file.c_str(), &facts) == 0);
  CHECK((facts.st_mode & 0777) == 0600);
  std::ifstream in(file);
  const std::string history{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  CHECK(contains(history, "version"));
  std::filesystem::remove_all(state);
}
