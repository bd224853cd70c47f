#include "actors/instance/log_bounds.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <string_view>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/file_head.hpp"
#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t longest_time = 128; // more than the time of a line takes
constexpr int looks_per_age = 16;
constexpr std::chrono::milliseconds shortest_pause{1'000};
constexpr std::chrono::milliseconds longest_pause{10 * 60'000};

std::string bounds_path(const std::string& log_path) { return log_path + ".bounds"; }

std::string text_of(const config::log_spec& bounds) {
  return std::to_string(bounds.max_size_bytes) + ' ' + std::to_string(bounds.max_age.count()) + '\n';
}

/// Of the first whole line of the file, however much of it is a line. A file that begins with something else has no time.
std::optional<std::int64_t> first_time(const std::string& path) {
  const auto head = file_head(path, longest_time);
  const auto blank = head.find(' ');
  if (blank == std::string::npos)
    return std::nullopt;
  const auto line = parse_log_line(head.substr(0, blank) + " stdout F ");
  if (!line)
    return std::nullopt;
  return unix_time_ms(line->at);
}

} // namespace

std::int64_t half_of(const config::log_spec& bounds) { return std::max<std::int64_t>(bounds.max_size_bytes / 2, 1); }

log_verdict judge_log(const log_extent& log, const config::log_spec& bounds, std::int64_t now_ms) {
  const auto age_of = [now_ms](const std::optional<std::int64_t>& begin) { return begin ? now_ms - *begin : 0; };
  const auto most = bounds.max_age.count();
  log_verdict verdict;
  verdict.is_full = log.bytes > half_of(bounds) || (most > 0 && age_of(log.begins_at_ms) > most / 2);
  verdict.is_outdated = most > 0 && age_of(log.older_begins_at_ms) > most;
  return verdict;
}

std::chrono::milliseconds time_between_looks(std::chrono::milliseconds least_age) {
  return std::clamp(least_age / looks_per_age, shortest_pause, longest_pause);
}

log_extent measure_log(const std::string& path, bool with_ages) {
  log_extent log;
  struct stat info {};
  if (::stat(path.c_str(), &info) == 0)
    log.bytes = info.st_size;
  if (!with_ages)
    return log;
  log.begins_at_ms = first_time(path);
  log.older_begins_at_ms = first_time(older_log_path(path));
  return log;
}

void keep_log_bounds(const std::string& log_path, const config::log_spec& bounds) {
  const auto path = bounds_path(log_path);
  const auto text = text_of(bounds);
  const auto known = file_head(path, 64);
  if (known == text || (known.empty() && bounds == config::log_spec{}))
    return;
  const auto next = path + ".new";
  {
    const unique_fd file{::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640)};
    if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
      return;
  }
  static_cast<void>(std::rename(next.c_str(), path.c_str()));
}

config::log_spec kept_log_bounds(const std::string& log_path) {
  const auto text = file_head(bounds_path(log_path), 64);
  config::log_spec bounds;
  std::int64_t size = 0;
  std::int64_t age = 0;
  const auto* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, size);
  if (first.ec != std::errc{} || first.ptr == end || size <= 0)
    return bounds;
  const auto second = std::from_chars(first.ptr + 1, end, age);
  if (second.ec == std::errc{} && age >= 0)
    bounds = {size, std::chrono::milliseconds{age}};
  return bounds;
}

} // namespace prunella::actors
