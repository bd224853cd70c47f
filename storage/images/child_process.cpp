#include "storage/images/child_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "storage/os_files.hpp"

namespace prunella::storage {

namespace {

constexpr std::size_t max_errors = 16 * 1024;

struct pipe_ends {
  unique_fd ours;
  unique_fd theirs;
};

result<pipe_ends> open_pipe() {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0)
    return os_error(errno, "make a pipe");
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return pipe_ends{unique_fd(ends[0]), unique_fd(ends[1])};
}

std::vector<char*> to_pointers(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (const auto& text : texts)
    pointers.push_back(const_cast<char*>(text.c_str())); // the signature predates const; it does not write
  pointers.push_back(nullptr);
  return pointers;
}

/// Its own process group, so that all of it can be ended; signals as a shell would have them.
result<pid_t> start(const child_order& order, int output, int errors) {
  // An import must not go on writing when the agent was killed: the next agent would clean up under its hands.
  std::vector<std::string> command{"setpriv", "--pdeathsig", "KILL", "--"};
  command.insert(command.end(), order.command.begin(), order.command.end());
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO,
                                     order.input.empty() ? "/dev/null" : order.input.c_str(), O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
  ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int failed = ::posix_spawnp(&pid, command[0].c_str(), &actions, &attributes, to_pointers(command).data(),
                                    to_pointers(order.environment).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (failed != 0)
    return os_error(failed, "start " + command[0]);
  return pid;
}

/// Takes what is in the pipe; false once its other end is closed. More than `most` is dropped and noted in `overflow`.
bool drain(int fd, std::string& into, std::size_t most, bool& overflow) {
  std::array<char, 16 * 1024> buffer{};
  for (;;) {
    const auto got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return errno == EAGAIN;
    if (got == 0)
      return false;
    const auto room = most - into.size();
    overflow = overflow || static_cast<std::size_t>(got) > room;
    into.append(buffer.data(), std::min(static_cast<std::size_t>(got), room));
  }
}

/// A program that is stopped and continued, and the time in which it was not stopped.
class rested_child {
public:
  explicit rested_child(pid_t pid) : pid_(pid), started_(clock::now()) {}

  std::chrono::milliseconds ran() const {
    const auto resting = rests_ ? clock::now() - rest_began_ : clock::duration{0};
    return std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - started_ - rested_ - resting);
  }

  void look(const std::function<std::chrono::microseconds()>& rest) {
    if (const auto now = clock::now(); rests_ && now >= rest_ends_) {
      rests_ = false;
      rested_ += now - rest_began_;
      ::kill(-pid_, SIGCONT);
    }
    if (rests_ || !rest)
      return;
    const auto wanted = rest();
    if (wanted.count() <= 0)
      return;
    rests_ = true;
    rest_began_ = clock::now(); // after it was asked: on a busy machine the answer may be late, and a rest is never shorter
    rest_ends_ = rest_began_ + wanted;
    ::kill(-pid_, SIGSTOP);
  }

private:
  using clock = std::chrono::steady_clock;

  pid_t pid_;
  clock::time_point started_;
  bool rests_ = false;
  clock::time_point rest_began_{};
  clock::time_point rest_ends_{};
  clock::duration rested_{0};
};

} // namespace

result<child_end> run_child(const child_order& order) {
  auto output = open_pipe();
  auto errors = open_pipe();
  if (!output || !errors)
    return output ? errors.error() : output.error();
  auto pid = start(order, output->theirs.get(), errors->theirs.get());
  if (!pid)
    return pid.error();
  output->theirs = unique_fd();
  errors->theirs = unique_fd();
  rested_child child(*pid);
  const unique_fd process(static_cast<int>(::syscall(SYS_pidfd_open, *pid, 0)));
  child_end end;
  bool output_open = true, errors_open = true, long_errors = false;
  int status = 0;
  for (pid_t ended = 0; ended == 0;) {
    std::array<pollfd, 3> waiting{{{process.get(), POLLIN, 0},
                                   {output_open ? output->ours.get() : -1, POLLIN, 0},
                                   {errors_open ? errors->ours.get() : -1, POLLIN, 0}}};
    ::poll(waiting.data(), waiting.size(), static_cast<int>(order.tick.count()));
    ended = ::waitpid(*pid, &status, WNOHANG); // before the last look at the pipes, so that nothing is missed
    if (ended < 0 && errno != EINTR)
      return os_error(errno, "wait for " + order.command.front());
    ended = std::max(ended, 0);
    output_open = output_open && drain(output->ours.get(), end.output, order.max_output, end.too_much_output);
    errors_open = errors_open && drain(errors->ours.get(), end.errors, max_errors, long_errors);
    if (ended == 0 && order.go_on && !order.go_on(child.ran()))
      end.ended_by_us = true;
    if (ended == 0)
      child.look(order.rest);
    if (ended == 0 && (end.ended_by_us || end.too_much_output))
      ::kill(-*pid, SIGKILL);
  }
  ::kill(-*pid, SIGKILL); // whatever it started itself
  end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  // setpriv's words for a program that is not there.
  if (end.exit_code == 127)
    return storage_error{storage_errc::inaccessible,
                         "the program " + order.command.front() +
                             " is not installed on this host; install it (`apt-get install " + order.command.front() +
                             "`)"};
  return end;
}

} // namespace prunella::storage
