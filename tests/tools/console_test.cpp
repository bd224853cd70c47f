#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <fcntl.h>
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
  const auto misspelt = program.type("gte hosts\r", "prunella> ");
  CHECK(contains(misspelt, "did you mean `get`?"));
  CHECK(contains(misspelt, "fix: `help` shows"));
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

TEST_CASE("Ctrl-C in the console empties the line, UTF-8 and all, and neither runs it nor ends the console") {
  auto name = (std::filesystem::temp_directory_path() / "prunella-console-XXXXXX").string();
  const std::filesystem::path state = ::mkdtemp(name.data());
  typed_program program(state);
  program.type("", "prunella> ");
  program.type("kill gr\xc3\xbc\xc3\x9f", "\xc3\x9f");
  program.type("\x03", "prunella> ");
  CHECK(contains(program.type("version\r", "0.1.0"), "prunella 0.1.0"));
  program.type("", "prunella> ");
  program.type("exit\r", "exit");
  CHECK(program.exit_code() == 0);
  std::filesystem::remove_all(state);
}

TEST_CASE("a result that cannot be written is a failure, be the disk full or the stream closed") {
  const auto version_to = [](const char* file) {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const auto child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::dup2(ends[1], STDERR_FILENO);
      ::close(ends[0]);
      ::close(ends[1]);
      ::close(STDOUT_FILENO);
      if (file)
        ::dup2(::open(file, O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
      char name[] = "prunella";
      char version[] = "version";
      char* arguments[] = {name, version, nullptr};
      ::_exit(run_cli(2, arguments, {}));
    }
    ::close(ends[1]);
    std::string said;
    char bytes[1024];
    for (ssize_t size = 0; (size = ::read(ends[0], bytes, sizeof bytes)) > 0;)
      said.append(bytes, static_cast<std::size_t>(size));
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    return std::make_pair(WEXITSTATUS(status), said);
  };
  CHECK(version_to("/dev/null").first == 0);
  const auto full = version_to("/dev/full");
  CHECK(full.first == 1);
  CHECK(contains(full.second, "standard output could not be written: No space left on device"));
  const auto closed = version_to(nullptr);
  CHECK(closed.first == 1);
  CHECK(contains(closed.second, "standard output could not be written: Bad file descriptor"));
}
