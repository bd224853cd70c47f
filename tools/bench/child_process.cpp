#include "tools/bench/child_process.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace prunella::bench {

namespace {

/// In the child, between fork and exec: only what is safe there.
[[noreturn]] void become(char* const* arguments, int in, int out, int error, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent)
    ::_exit(1);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::dup2(in, 0);
  ::dup2(out, 1);
  if (error >= 0)
    ::dup2(error, 2);
  ::execvp(arguments[0], arguments);
  ::_exit(127);
}

} // namespace

child_process::child_process(const std::vector<std::string>& command, talk how, const std::string& log)
    : name_(command.front()) {
  std::vector<char*> arguments;
  for (const auto& argument : command)
    arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  std::array<int, 2> in{-1, -1}, out{-1, -1};
  const int error = log.empty() ? -1 : ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (how == talk::lines) {
    if (::pipe2(in.data(), O_CLOEXEC) != 0 || ::pipe2(out.data(), O_CLOEXEC) != 0)
      throw std::runtime_error(std::string("no pipe: ") + std::strerror(errno));
  } else {
    in[0] = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    out[1] = ::dup(error >= 0 ? error : 2);
  }
  const auto parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0)
    become(arguments.data(), in[0], out[1], error, parent);
  ::close(in[0]);
  ::close(out[1]);
  if (error >= 0)
    ::close(error);
  to_ = in[1];
  from_ = out[0];
  if (pid_ < 0)
    throw std::runtime_error(std::string("cannot start ") + name_ + ": " + std::strerror(errno));
}

child_process::~child_process() {
  kill();
  for (const int fd : {to_, from_})
    if (fd >= 0)
      ::close(fd);
}

void child_process::kill() {
  if (pid_ <= 0)
    return;
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR)
    ;
  pid_ = -1;
}

void child_process::say(const std::string& line) {
  const auto text = line + '\n';
  if (::write(to_, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error(name_ + " does not listen any more");
}

bool child_process::has_line(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (unread_.find('\n') == std::string::npos) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    pollfd wait{from_, POLLIN, 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(std::max<long long>(left, 0)));
    if (ready == 0)
      return false;
    std::array<char, 4096> bytes{};
    const auto got = ready > 0 ? ::read(from_, bytes.data(), bytes.size()) : -1;
    if (got == 0)
      throw std::runtime_error(name_ + " ended");
    if (got > 0)
      unread_.append(bytes.data(), static_cast<std::size_t>(got));
  }
  return true;
}

std::string child_process::line(std::chrono::milliseconds limit) {
  if (!has_line(limit))
    throw std::runtime_error(name_ + " did not answer within " + std::to_string(limit.count()) + " ms");
  const auto end = unread_.find('\n');
  auto result = unread_.substr(0, end);
  unread_.erase(0, end + 1);
  return result;
}

void clean_up_when_interrupted(const std::string& folder) {
  sigset_t signals;
  ::sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP})
    ::sigaddset(&signals, number);
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  std::thread([signals, folder] {
    int number = 0;
    ::sigwait(&signals, &number);
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    ::_exit(128 + number);
  }).detach();
}

} // namespace prunella::bench
