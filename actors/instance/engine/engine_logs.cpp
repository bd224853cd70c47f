#include "actors/instance/engine/engine_logs.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "actors/instance/container_log.hpp"
#include "actors/instance/log_bounds.hpp"
#include "actors/instance/thread_without_signals.hpp"
#include "config/time.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// `log_time` of the last line of the log at `path`; empty: it has none.
std::string last_time(const std::string& path) {
  constexpr std::streamoff looked_at = 64 * 1024;
  for (const auto& file_path : {path, older_log_path(path)}) {
    std::ifstream file{file_path, std::ios::binary | std::ios::ate};
    const auto size = file ? static_cast<std::streamoff>(file.tellg()) : 0;
    std::string text(static_cast<std::size_t>(std::min(size, looked_at)), ' ');
    if (text.empty() || !file.seekg(size - static_cast<std::streamoff>(text.size()))
        || !file.read(text.data(), static_cast<std::streamsize>(text.size())))
      continue;
    text.erase(text.find_last_not_of('\n') + 1);
    const auto start = text.rfind('\n');
    if (auto time = log_time(start == std::string::npos ? text : text.substr(start + 1)); !time.empty())
      return time;
  }
  return {};
}

/// As `last_time`, of lines that are too old now; empty: none is. Where all were and went, the engine may still have them.
std::string oldest_time(const config::log_spec& bounds) {
  if (bounds.max_age.count() == 0)
    return {};
  return log_time(config::time_text(std::chrono::system_clock::now() - bounds.max_age));
}

} // namespace

engine_log_follower::engine_log_follower(opener open) : open_(std::move(open)), wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  if (!wake_)
    throw std::system_error{errno, std::generic_category(), "logs of an engine cannot be followed (eventfd)"};
}

engine_log_follower::~engine_log_follower() {
  stopping_ = true;
  wake();
  if (thread_.joinable())
    thread_.join();
}

void engine_log_follower::wake() { ::eventfd_write(wake_.get(), 1); }

void engine_log_follower::follow(const std::string& id, const std::string& path, std::function<bool()> lives) {
  {
    const std::lock_guard lock{mutex_};
    auto& one = logs_[id];
    one = {};
    one.path = path;
    one.lives = std::move(lives);
    one.last = std::max(last_time(path), oldest_time(kept_log_bounds(path)));
    if (!thread_.joinable())
      thread_ = thread_without_signals([this] { run(); });
  }
  wake();
}

bool engine_log_follower::is_over(const std::string& id) {
  const std::lock_guard lock{mutex_};
  const auto found = logs_.find(id);
  return found == logs_.end() || found->second.is_over;
}

bool engine_log_follower::wait_until_over(const std::string& id, milliseconds patience) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, patience, [&] {
    const auto found = logs_.find(id);
    return found == logs_.end() || found->second.is_over;
  });
}

bool engine_log_follower::was_cut(const std::string& id) {
  const std::lock_guard lock{mutex_};
  const auto found = logs_.find(id);
  return found != logs_.end() && found->second.was_cut;
}

void engine_log_follower::forget(const std::string& id) {
  const std::lock_guard lock{mutex_};
  logs_.erase(id);
}

// -- the thread ----------------------------------------------------------------------------------------------------------

void engine_log_follower::run() {
  while (!stopping_) {
    open_due();
    wait_and_read();
  }
}

void engine_log_follower::open_due() {
  struct asked {
    std::string id;
    std::string since;
  };
  std::vector<asked> due;
  {
    const std::lock_guard lock{mutex_};
    for (auto& [id, one] : logs_)
      if (!one.stream && one.open_at <= steady_clock::now())
        due.push_back({id, since_text(one.last)});
  }
  for (const auto& next : due) {
    if (stopping_)
      return;
    auto opened = open_(next.id, next.since); // may take long: without the lock
    auto* stream = std::get_if<net::unix_stream>(&opened);
    unique_fd fd{stream == nullptr ? -1 : stream->fd};
    const std::lock_guard lock{mutex_};
    const auto found = logs_.find(next.id);
    if (found == logs_.end())
      continue;
    auto& one = found->second;
    one.pieces = {};
    one.open_at = steady_clock::now() + pause;
    if (stream == nullptr)
      continue;
    ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
    one.stream = std::move(fd);
    one.resumed_at = one.last;
    one.is_over = false;
    one.was_cut = one.was_cut && !one.lives(); // it let it live
    take(one, stream->first);
  }
}

void engine_log_follower::wait_and_read() {
  std::vector<pollfd> waiting{{wake_.get(), POLLIN, 0}};
  std::vector<std::string> ids;
  bool any_to_open = false;
  {
    const std::lock_guard lock{mutex_};
    for (const auto& [id, one] : logs_)
      if (one.stream) {
        waiting.push_back({one.stream.get(), POLLIN, 0});
        ids.push_back(id);
      } else {
        any_to_open = true;
      }
  }
  ::poll(waiting.data(), waiting.size(), any_to_open ? static_cast<int>(pause.count()) : -1);
  eventfd_t ignored = 0;
  ::eventfd_read(wake_.get(), &ignored);
  std::array<char, 64 * 1024> buffer{};
  const std::lock_guard lock{mutex_};
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto found = logs_.find(ids[i]);
    if (waiting[i + 1].revents == 0 || found == logs_.end() || found->second.stream.get() != waiting[i + 1].fd)
      continue;
    auto& one = found->second;
    const auto n = ::read(one.stream.get(), buffer.data(), buffer.size());
    if (n > 0)
      take(one, {buffer.data(), static_cast<std::size_t>(n)});
    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
      continue;
    one.stream.reset();
    one.open_at = steady_clock::now() + pause;
    // The engine tells of an end after the kernel. It is asked again either way.
    const bool lives = one.lives();
    one.was_cut = one.was_cut || lives;
    one.is_over = n == 0 && !lives && one.pieces.is_whole() && !one.pieces.is_broken();
  }
  changed_.notify_all();
}

void engine_log_follower::take(followed& one, std::string_view bytes) const {
  std::string lines;
  for (const auto& piece : one.pieces.take(bytes)) {
    // Times only tell what was there before: all pieces of a long line have one, both streams have theirs, and clocks are set.
    const auto more = log_lines(piece, one.resumed_at);
    if (more.empty())
      continue;
    lines += more;
    one.resumed_at.clear();
    one.last = log_time(piece.text);
  }
  if (one.pieces.is_broken())
    one.stream.reset();
  if (lines.empty())
    return;
  const unique_fd file{::open(one.path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640)};
  struct stat size {};
  if (!file || ::write(file.get(), lines.data(), lines.size()) < 0 || ::fstat(file.get(), &size) != 0)
    return; // no room: the newest lines are lost, the container goes on
  if (size.st_size > half_of(kept_log_bounds(one.path)))
    ::rename(one.path.c_str(), older_log_path(one.path).c_str());
}

} // namespace prunella::actors
