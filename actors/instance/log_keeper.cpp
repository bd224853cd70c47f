#include "actors/instance/log_keeper.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string_view>
#include <system_error>

namespace prunella::actors {

namespace {

constexpr int rescan_ms = 1000; // only where the system has no inotify instance left

// Copies [from, …) of `source` to `target`, following what is appended meanwhile, but at most `limit` bytes.
bool copy_tail(int source, int target, std::int64_t from, std::int64_t limit) {
  std::array<char, 64 * 1024> buffer{};
  for (std::int64_t copied = 0; copied < limit;) {
    const ssize_t n = ::pread(source, buffer.data(), buffer.size(), from + copied);
    if (n <= 0)
      return n == 0;
    if (::write(target, buffer.data(), static_cast<std::size_t>(n)) != n)
      return false;
    copied += n;
  }
  return true;
}

} // namespace

std::string older_log_path(const std::string& path) {
  return path + ".1";
}

bool rotate_log(const std::string& path, std::int64_t cap) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || info.st_size <= cap)
    return false;
  const unique_fd source{::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW)};
  if (!source)
    return false;
  const std::string older = older_log_path(path);
  const std::string part = older + ".part";
  const unique_fd target{::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640)};
  // A disk too full for the copy must not keep the log from being emptied: that is what frees the space.
  if (target && copy_tail(source.get(), target.get(), info.st_size - cap, cap))
    ::rename(part.c_str(), older.c_str());
  else
    ::unlink(part.c_str());
  return ::ftruncate(source.get(), 0) == 0;
}

bool rotate_conmon_log(const std::string& path, const std::string& reopen, std::int64_t cap) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || info.st_size <= cap)
    return false;
  const unique_fd control{::open(reopen.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)};
  if (!control || ::rename(path.c_str(), older_log_path(path).c_str()) != 0)
    return false; // conmon is ending
  constexpr std::string_view begin_new_file = "2 0 0\n";
  return ::write(control.get(), begin_new_file.data(), begin_new_file.size()) > 0;
}

log_keeper::log_keeper(std::int64_t cap)
    : cap_{cap}, inotify_{::inotify_init1(IN_CLOEXEC | IN_NONBLOCK)}, wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  if (!wake_)
    throw std::system_error{errno, std::generic_category(), "log files cannot be watched (eventfd)"};
  // Signals belong to the agent's main thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread{[this] { run(); }};
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

log_keeper::~log_keeper() {
  stopping_ = true;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void log_keeper::add(const std::string& path, const std::string& reopen) {
  {
    const std::lock_guard lock{mutex_};
    const auto folder = path.substr(0, path.rfind('/'));
    logs_[path] = {inotify_ ? ::inotify_add_watch(inotify_.get(), folder.c_str(), IN_MODIFY) : -1, reopen};
  }
  ::eventfd_write(wake_.get(), 1); // it may be over the cap already: written while no agent was there
}

void log_keeper::remove(const std::string& path) {
  const std::lock_guard lock{mutex_};
  const auto found = logs_.extract(path);
  if (!found)
    return;
  const int watch = found.mapped().watch;
  const auto shares = [watch](const auto& log) { return log.second.watch == watch; };
  if (watch >= 0 && std::none_of(logs_.begin(), logs_.end(), shares))
    ::inotify_rm_watch(inotify_.get(), watch);
}

// True if one was over the cap.
bool log_keeper::rotate_all() {
  std::map<std::string, kept_log> logs;
  {
    const std::lock_guard lock{mutex_};
    logs = logs_;
  }
  bool overflow = false;
  for (const auto& [path, log] : logs)
    overflow |= log.reopen.empty() ? rotate_log(path, cap_) : rotate_conmon_log(path, log.reopen, cap_);
  return overflow;
}

// Which files were written does not matter: a look at a size costs a microsecond.
void log_keeper::wait_for_writes() {
  std::array<pollfd, 2> entries{{{wake_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}}};
  ::poll(entries.data(), entries.size(), inotify_ ? -1 : rescan_ms);
  eventfd_t wakes = 0;
  ::eventfd_read(wake_.get(), &wakes);
  std::array<char, 4096> events{};
  while (inotify_ && ::read(inotify_.get(), events.data(), events.size()) > 0)
    continue;
}

void log_keeper::run() {
  while (!stopping_) {
    const auto next = rotate_all() ? overflow_pause : pause;
    pollfd wake{wake_.get(), POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(next.count()));
    if (!stopping_)
      wait_for_writes();
  }
}

} // namespace prunella::actors
