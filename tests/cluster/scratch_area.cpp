#include "tests/cluster/scratch_area.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <stdexcept>
#include <system_error>

#include "actors/instance/file_head.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "tests/cluster/image_containers.hpp"

namespace prunella::tests {

namespace {

namespace fs = std::filesystem;

bool mentions(pid_t pid, const std::string& word) {
  for (const auto* file : {"cmdline", "environ"}) {
    if (actors::file_head("/proc/" + std::to_string(pid) + '/' + file, 1 << 20).find(word) != std::string::npos)
      return true;
  }
  return false;
}

/// Again until nothing is found: a process that forks while it is looked at leaves a child behind.
void kill_everything_in(const fs::path& folder) {
  const auto word = folder.string() + '/';
  bool found = true;
  for (int round = 0; found && round < 200; ++round) {
    found = false;
    for (const auto& container : image_containers_in(folder)) { // it has no such word itself, but its conmon
      kill(container.main > 0 ? container.main : container.conmon, SIGKILL);
      found = true;
    }
    for (const auto pid : actors::list_processes())
      if (pid != getpid() && mentions(pid, word)) {
        kill(pid, SIGKILL);
        found = true;
      }
    if (found)
      poll(nullptr, 0, 10);
  }
}

/// Never returns. Standard input is what the test holds open; everything else of the test is let go, above all the pipes
/// of other cleaners.
[[noreturn]] void run_cleaner(int alive_fd, int done_fd, const fs::path& folder) {
  const int null_fd = open("/dev/null", O_RDWR);
  if (dup2(alive_fd, 0) < 0 || dup2(done_fd, 1) < 0 || dup2(null_fd, 2) < 0)
    _exit(1);
  close_range(3, ~0U, 0);
  signal(SIGINT, SIG_IGN); // typed at the terminal, it ends the test, and then this has work to do
  signal(SIGTERM, SIG_IGN);
  char byte = 0;
  while (read(0, &byte, 1) < 0 && errno == EINTR) {
  }
  kill_everything_in(folder);
  remove_container_traces(folder); // and the disks of a test that died with one of its own
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  _exit(0);
}

std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0)
    throw std::system_error(errno, std::generic_category(), "a pipe to the cleaner");
  return ends;
}

} // namespace

bool eventually(const std::function<bool()>& done, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > end)
      return false;
    poll(nullptr, 0, 20);
  }
  return true;
}

scratch_area::scratch_area() {
  std::string pattern = (fs::temp_directory_path() / "prunella-cluster-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr)
    throw std::system_error(errno, std::generic_category(), "a folder such as " + pattern);
  path_ = pattern;
  const auto alive = make_pipe();
  const auto done = make_pipe();
  // Twice, so that the cleaner is nobody's child: who kills a test with its whole family (ctest does) spares it.
  const auto between = fork();
  if (between < 0)
    throw std::system_error(errno, std::generic_category(), "the fork of the cleaner");
  if (between == 0) {
    setsid();
    if (fork() == 0)
      run_cleaner(alive[0], done[1], path_);
    _exit(0);
  }
  waitpid(between, nullptr, 0);
  close(alive[0]);
  close(done[1]);
  alive_fd_ = alive[1];
  done_fd_ = done[0];
}

scratch_area::~scratch_area() {
  close(alive_fd_);
  pollfd done{done_fd_, POLLIN, 0};
  poll(&done, 1, 10'000); // ends with a hang-up
  close(done_fd_);
}

} // namespace prunella::tests
