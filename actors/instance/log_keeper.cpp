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

#include "actors/instance/container_log.hpp"
#include "actors/instance/raw_log.hpp"
#include "actors/instance/thread_without_signals.hpp"

namespace prunella::actors {

namespace {

constexpr int rescan_ms = 1000; // only where the system has no inotify instance left

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

} // namespace

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
  thread_ = thread_without_signals([this] { run(); });
}

log_keeper::~log_keeper() {
  stopping_ = true;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void log_keeper::add(const std::string& path, const std::string& reopen) {
  {
    const std::lock_guard lock{mutex_};
    const auto folder = folder_of(path);
    logs_[path] = {inotify_ ? ::inotify_add_watch(inotify_.get(), folder.c_str(), IN_MODIFY) : -1, reopen};
  }
  ::eventfd_write(wake_.get(), 1); // it may be over the cap already: written while no agent was there
}

void log_keeper::remove(const std::string& path) {
  std::unique_lock lock{mutex_};
  const auto found = logs_.extract(path);
  if (!found)
    return;
  const int watch = found.mapped().watch;
  const auto shares = [watch](const auto& log) { return log.second.watch == watch; };
  if (watch >= 0 && std::none_of(logs_.begin(), logs_.end(), shares))
    ::inotify_rm_watch(inotify_.get(), watch);
  lock.unlock();
  if (!found.mapped().reopen.empty())
    return;
  const std::lock_guard taking{taking_};
  take_raw_output(folder_of(path), cap_, true);
}

// True if there is more to do at once.
bool log_keeper::look_at_all() {
  std::map<std::string, kept_log> logs;
  {
    const std::lock_guard lock{mutex_};
    logs = logs_;
  }
  bool more = false;
  for (const auto& [path, log] : logs)
    if (!log.reopen.empty()) {
      more |= rotate_conmon_log(path, log.reopen, cap_);
    } else {
      const std::lock_guard taking{taking_};
      more |= take_raw_output(folder_of(path), cap_, false);
    }
  return more;
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
    const bool more = look_at_all();
    pollfd wake{wake_.get(), POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(pause.count()));
    if (!stopping_ && !more)
      wait_for_writes();
  }
}

} // namespace prunella::actors
