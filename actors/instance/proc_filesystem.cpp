#include "actors/instance/proc_filesystem.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>
#include <memory>

#include "actors/instance/file_head.hpp"

namespace prunella::actors {

namespace {

// The first page holds the mark: the driver writes it in front of everything else.
constexpr std::size_t environment_head = 4096;

template <class Number>
bool to_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size();
}

std::vector<std::string_view> split_fields(std::string_view line) {
  std::vector<std::string_view> fields;
  while (!line.empty()) {
    const auto end = std::min(line.find_first_of(" \n"), line.size());
    if (end > 0)
      fields.push_back(line.substr(0, end));
    line.remove_prefix(std::min(end + 1, line.size()));
  }
  return fields;
}

std::int64_t ticks_per_second() {
  static const std::int64_t value = ::sysconf(_SC_CLK_TCK);
  return value;
}

} // namespace

std::optional<proc_stat> parse_proc_stat(std::string_view line) {
  const auto open = line.find(" (");
  const auto close = line.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open + 2)
    return std::nullopt;
  proc_stat stat;
  stat.command = std::string{line.substr(open + 2, close - open - 2)};
  const auto fields = split_fields(line.substr(close + 1)); // fields[0] is number 3 of proc(5)
  const auto number = [&](std::size_t index, auto& out) {
    return index - 3 < fields.size() && to_number(fields[index - 3], out);
  };
  if (!to_number(line.substr(0, open), stat.pid) || fields.empty() || fields[0].size() != 1)
    return std::nullopt;
  stat.state = fields[0][0];
  if (!number(4, stat.parent) || !number(5, stat.group) || !number(6, stat.session) || !number(14, stat.user_ticks)
      || !number(15, stat.system_ticks) || !number(22, stat.start_ticks) || !number(24, stat.rss_pages))
    return std::nullopt;
  number(52, stat.wait_status); // absent before Linux 3.5
  return stat;
}

std::optional<proc_stat> read_proc_stat(pid_t pid) {
  return parse_proc_stat(file_head("/proc/" + std::to_string(pid) + "/stat", 4096));
}

std::string read_boot_id() {
  std::string id = file_head("/proc/sys/kernel/random/boot_id", 64);
  while (!id.empty() && id.back() == '\n')
    id.pop_back();
  return id;
}

std::chrono::microseconds ticks_to_time(std::uint64_t ticks) {
  return std::chrono::microseconds{static_cast<std::int64_t>(ticks) * 1'000'000 / ticks_per_second()};
}

std::int64_t start_time_ms(std::uint64_t start_ticks) {
  const auto to_ms = [](const timespec& t) { return std::int64_t{t.tv_sec} * 1000 + t.tv_nsec / 1'000'000; };
  timespec now{};
  timespec since_boot{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  return to_ms(now) - to_ms(since_boot) + static_cast<std::int64_t>(start_ticks) * 1000 / ticks_per_second();
}

std::vector<pid_t> list_processes() {
  std::vector<pid_t> pids;
  const std::unique_ptr<DIR, int (*)(DIR*)> proc{::opendir("/proc"), &::closedir};
  while (const dirent* entry = proc ? ::readdir(proc.get()) : nullptr) {
    pid_t pid = 0;
    if (to_number(std::string_view{entry->d_name}, pid) && pid > 0)
      pids.push_back(pid);
  }
  return pids;
}

std::optional<process_mark> parse_mark(std::string_view environment) {
  process_mark mark;
  bool agent = false;
  bool container = false;
  bool generation = false;
  while (!environment.empty()) {
    const auto variable = environment.substr(0, environment.find('\0'));
    environment.remove_prefix(std::min(variable.size() + 1, environment.size()));
    const auto equals = variable.find('=');
    if (equals == std::string_view::npos)
      continue;
    const auto name = variable.substr(0, equals);
    const auto value = variable.substr(equals + 1);
    if (name == mark_agent_variable && !agent) {
      agent = true;
      mark.agent = std::string{value};
    } else if (name == mark_container_variable && !container) {
      container = !value.empty();
      mark.container = std::string{value};
    } else if (name == mark_generation_variable && !generation) {
      generation = to_number(value, mark.generation);
    }
  }
  if (agent && container && generation)
    return mark;
  return std::nullopt;
}

std::vector<marked_process> find_marked_processes(std::string_view agent) {
  std::vector<marked_process> found;
  for (const pid_t pid : list_processes()) {
    auto mark = parse_mark(file_head("/proc/" + std::to_string(pid) + "/environ", environment_head));
    if (!mark || mark->agent != agent)
      continue;
    if (auto stat = read_proc_stat(pid); stat && stat->state != 'Z')
      found.push_back({std::move(*stat), std::move(*mark)});
  }
  std::sort(found.begin(), found.end(), [](const marked_process& a, const marked_process& b) {
    return std::pair{a.stat.start_ticks, a.stat.pid} < std::pair{b.stat.start_ticks, b.stat.pid};
  });
  return found;
}

} // namespace prunella::actors
