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
#include <filesystem>
#include <limits>
#include <string_view>
#include <system_error>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/raw_log.hpp"
#include "actors/instance/thread_without_signals.hpp"
#include "net/closed_late.hpp"

namespace prunella::actors {

namespace {

constexpr int rescan_ms = 1000; // only where the system has no inotify instance or watch left

std::string folder_of(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

} // namespace

bool turn_log_over(const std::string& path, const std::string& reopen) {
  if (reopen.empty())
    return ::rename(path.c_str(), older_log_path(path).c_str()) == 0;
  const unique_fd control{::open(reopen.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)};
  if (!control || ::rename(path.c_str(), older_log_path(path).c_str()) != 0)
    return false; // conmon is ending
  constexpr std::string_view begin_new_file = "2 0 0\n";
  return ::write(control.get(), begin_new_file.data(), begin_new_file.size()) > 0;
}

log_keeper::log_keeper(std::string folder, std::function<std::int64_t()> now)
    : folder_{std::move(folder)}, now_{now ? std::move(now) : wall_clock_ms},
      inotify_{net::closed_late(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK))}, wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  if (!wake_)
    throw std::system_error{errno, std::generic_category(), "log files cannot be watched (eventfd)"};
  thread_ = thread_without_signals([this] { run(); });
}

log_keeper::~log_keeper() {
  stopping_ = true;
  ::eventfd_write(wake_.get(), 1);
  thread_.join();
}

void log_keeper::add(const written_log& log, const config::log_spec& bounds) {
  auto permitted = bounds;
  if (log.most_bytes > 0) // else it would be emptied by who writes it
    permitted.max_size_bytes = std::min(bounds.max_size_bytes, log.most_bytes);
  keep_log_bounds(log.path, bounds);
  {
    const std::lock_guard lock{mutex_};
    auto& kept = logs_[log.path];
    kept = {-1, log.reopen, permitted, log.bounds_its_size};
    watch(log.path, kept);
    if (is_ageing_ && bounds.max_age.count() > 0)
      next_look_ = {}; // it may be the first with one
  }
  ::eventfd_write(wake_.get(), 1); // it may be full already: written while no agent was there
}

/// Of a log whose size is its writer's business no write is of interest.
void log_keeper::watch(const std::string& path, kept_log& log) const {
  if (inotify_ && !log.bounds_its_size && log.watch < 0)
    log.watch = ::inotify_add_watch(inotify_.get(), folder_of(path).c_str(), IN_MODIFY);
}

/// True: the writes of some log are not told, so it has to be looked at. Tries again to have them told.
bool log_keeper::any_unwatched() {
  const std::lock_guard lock{mutex_};
  bool any = false;
  for (auto& [path, log] : logs_)
    if (log.watch < 0 && !log.bounds_its_size) {
      any = true; // once more also if that succeeds now: it may have been written since the last look
      watch(path, log);
    }
  return any;
}

void log_keeper::begin_ageing() {
  {
    const std::lock_guard lock{mutex_};
    is_ageing_ = true;
    next_look_ = {};
  }
  ::eventfd_write(wake_.get(), 1);
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
  if (!found.mapped().reopen.empty() || found.mapped().bounds_its_size)
    return;
  const std::lock_guard taking{taking_};
  take_raw_output(folder_of(path), half_of(found.mapped().bounds), true);
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
    if (log.bounds_its_size) {
      continue;
    } else if (!log.reopen.empty()) {
      more |= judge_log(measure_log(path, false), log.bounds, 0).is_full && turn_log_over(path, log.reopen);
    } else {
      const std::lock_guard taking{taking_};
      more |= take_raw_output(folder_of(path), half_of(log.bounds), false);
    }
  return more;
}

// Of all that are there, by the bounds that are kept beside them: also of containers that have ended.
void log_keeper::look_at_ages() {
  {
    const std::lock_guard lock{mutex_};
    next_look_ = std::chrono::steady_clock::time_point::max();
  }
  auto least = std::chrono::milliseconds::max();
  std::error_code none; // of containers yet
  for (const auto& entry : std::filesystem::directory_iterator(folder_, none)) {
    const auto path = entry.path().string() + "/log";
    const auto bounds = kept_log_bounds(path);
    if (bounds.max_age.count() == 0)
      continue;
    least = std::min(least, bounds.max_age);
    const std::lock_guard taking{taking_};
    std::string reopen;
    {
      const std::lock_guard lock{mutex_};
      if (const auto found = logs_.find(path); found != logs_.end())
        reopen = found->second.reopen;
    }
    // The size is the business of who takes the output: a half that is full by it would be turned over twice.
    auto log = measure_log(path, true);
    log.bytes = 0;
    const auto verdict = judge_log(log, bounds, now_());
    if (verdict.is_outdated)
      ::unlink(older_log_path(path).c_str());
    if (verdict.is_full)
      turn_log_over(path, reopen);
  }
  const std::lock_guard lock{mutex_};
  if (least != std::chrono::milliseconds::max())
    next_look_ = std::min(next_look_, std::chrono::steady_clock::now() + time_between_looks(least));
}

std::chrono::milliseconds log_keeper::time_to_look() const {
  const std::lock_guard lock{mutex_};
  if (next_look_ == std::chrono::steady_clock::time_point::max())
    return std::chrono::milliseconds::max();
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(next_look_ - std::chrono::steady_clock::now()),
                  std::chrono::milliseconds{0});
}

// Which files were written does not matter: a look at a size costs a microsecond.
void log_keeper::wait_for_writes() {
  std::array<pollfd, 2> entries{{{wake_.get(), POLLIN, 0}, {inotify_.get(), POLLIN, 0}}};
  const bool is_told = !any_unwatched();
  const std::int64_t most = is_told ? std::numeric_limits<int>::max() : rescan_ms;
  const auto look = time_to_look().count();
  const auto wait = static_cast<int>(std::min(look, most));
  ::poll(entries.data(), entries.size(), is_told && look > most ? -1 : wait);
  eventfd_t wakes = 0;
  ::eventfd_read(wake_.get(), &wakes);
  std::array<char, 4096> events{};
  while (inotify_ && ::read(inotify_.get(), events.data(), events.size()) > 0)
    continue;
}

void log_keeper::run() {
  while (!stopping_) {
    if (time_to_look().count() == 0)
      look_at_ages();
    const bool more = look_at_all();
    pollfd wake{wake_.get(), POLLIN, 0};
    ::poll(&wake, 1, static_cast<int>(pause.count()));
    if (!stopping_ && !more)
      wait_for_writes();
  }
}

} // namespace prunella::actors
