#include "actors/host/use.hpp"
#include "actors/instance/file_head.hpp"
#include "actors/instance/oci/conmon.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>
#include <memory>
#include <set>
#include <thread>
#include <utility>

namespace prunella::actors {

namespace {

/// Numbers at the front of `text`, separated by spaces.
std::vector<std::int64_t> numbers_in(std::string_view text) {
  std::vector<std::int64_t> numbers;
  while (true) {
    while (!text.empty() && text.front() == ' ')
      text.remove_prefix(1);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{})
      return numbers;
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
}

/// The number behind `key` at the start of a line.
std::optional<std::int64_t> number_behind(std::string_view text, std::string_view key) {
  for (; !text.empty(); text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1))
    if (text.substr(0, key.size()) == key) {
      const auto numbers = numbers_in(text.substr(key.size()));
      return numbers.empty() ? std::nullopt : std::optional{numbers[0]};
    }
  return std::nullopt;
}

/// Of a folder that is being counted: closed with it.
struct open_folder {
  explicit open_folder(int fd) : stream(fd < 0 ? nullptr : ::fdopendir(fd)) {
    if (fd >= 0 && stream == nullptr)
      ::close(fd);
  }
  open_folder(const open_folder&) = delete;
  open_folder& operator=(const open_folder&) = delete;
  ~open_folder() {
    if (stream != nullptr)
      ::closedir(stream);
  }

  DIR* stream;
};

class disk_counter {
public:
  disk_counter(dev_t device, std::size_t most) : device_(device), most_(most) {}

  /// Takes `fd`. Depth is bounded by the open files it takes; deeper ones are left out, and said so.
  void count(int fd, std::size_t depth) {
    const open_folder folder{fd};
    if (folder.stream == nullptr)
      return;
    while (const auto* entry = ::readdir(folder.stream)) {
      const std::string_view name{entry->d_name};
      if (name == "." || name == "..")
        continue;
      if (result_.entries == most_ || depth == max_depth) {
        result_.is_at_least = true;
        return;
      }
      add(folder.stream, entry->d_name, depth);
    }
  }

  const disk_count& result() const { return result_; }

private:
  static constexpr std::size_t max_depth = 64;

  void add(DIR* folder, const char* name, std::size_t depth) {
    struct stat about{};
    if (::fstatat(::dirfd(folder), name, &about, AT_SYMLINK_NOFOLLOW) != 0 || about.st_dev != device_)
      return; // gone meanwhile, or something mounted here that is kept elsewhere
    ++result_.entries;
    if (about.st_nlink < 2 || S_ISDIR(about.st_mode) || seen_.insert(about.st_ino).second)
      result_.bytes += std::int64_t{about.st_blocks} * 512;
    if (S_ISDIR(about.st_mode))
      count(::openat(::dirfd(folder), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), depth + 1);
  }

  dev_t device_;
  std::size_t most_;
  std::set<ino_t> seen_; ///< files with several names
  disk_count result_;
};

} // namespace

std::int64_t cpu_millis_between(const cpu_reading& before, const cpu_reading& now) {
  const auto time = (now.at - before.at).count();
  const auto used = (now.used - before.used).count();
  return time <= 0 || used <= 0 ? 0 : (used * 1000 + time / 2) / time;
}

std::optional<std::chrono::microseconds> parse_cpu_use(std::string_view stat, std::int64_t ticks_per_second) {
  constexpr std::string_view key = "cpu ";
  if (stat.substr(0, key.size()) != key || ticks_per_second <= 0)
    return std::nullopt;
  const auto ticks = numbers_in(stat.substr(key.size()));
  if (ticks.size() < 7) // user nice system idle iowait irq softirq …
    return std::nullopt;
  return std::chrono::microseconds{(ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6]) * 1'000'000 / ticks_per_second};
}

std::optional<memory_reading> parse_memory(std::string_view meminfo) {
  const auto total = number_behind(meminfo, "MemTotal:");
  const auto available = number_behind(meminfo, "MemAvailable:");
  if (!total || !available)
    return std::nullopt;
  return memory_reading{*total * 1024, *available * 1024};
}

std::optional<std::int64_t> parse_threads(std::string_view loadavg) {
  const auto slash = loadavg.find('/');
  if (slash == std::string_view::npos)
    return std::nullopt;
  const auto numbers = numbers_in(loadavg.substr(slash + 1));
  return numbers.empty() ? std::nullopt : std::optional{numbers[0]};
}

machine_reading read_machine(const std::string& data_directory, std::chrono::microseconds at, const std::string& proc) {
  machine_reading reading;
  auto& use = reading.use;
  reading.cpu = {at, parse_cpu_use(file_head(proc + "/stat"), ::sysconf(_SC_CLK_TCK)).value_or(std::chrono::microseconds{0})};
  use.cpu_millis_total = std::int64_t{std::thread::hardware_concurrency()} * 1000;
  if (const auto memory = parse_memory(file_head(proc + "/meminfo"))) {
    use.memory_bytes = memory->total - memory->available;
    use.memory_bytes_total = memory->total;
  }
  struct statvfs disk{};
  if (::statvfs(data_directory.c_str(), &disk) == 0) {
    use.disk_bytes_total = static_cast<std::int64_t>(disk.f_blocks * disk.f_frsize);
    use.disk_bytes = use.disk_bytes_total - static_cast<std::int64_t>(disk.f_bavail * disk.f_frsize);
  }
  use.threads = parse_threads(file_head(proc + "/loadavg")).value_or(0);
  use.threads_total = number_behind(file_head(proc + "/sys/kernel/pid_max"), "").value_or(0);
  return reading;
}

disk_count count_disk(const std::string& folder, std::size_t most) {
  struct stat about{};
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0)
    return {};
  if (::fstat(fd, &about) != 0) {
    ::close(fd);
    return {};
  }
  disk_counter counter{about.st_dev, most};
  counter.count(fd, 0);
  return counter.result();
}

disk_count count_container_disk(const std::string& folder, std::int64_t pid, std::size_t most) {
  namespace fs = std::filesystem;
  disk_count all;
  const auto add = [&](const fs::path& path) {
    struct stat about{};
    if (::lstat(path.c_str(), &about) != 0)
      return;
    ++all.entries;
    all.bytes += std::int64_t{about.st_blocks} * 512;
    if (!S_ISDIR(about.st_mode))
      return;
    const auto below = count_disk(path.string(), most > all.entries ? most - all.entries : 0);
    all.bytes += below.bytes;
    all.entries += below.entries;
    all.is_at_least = all.is_at_least || below.is_at_least;
  };
  std::error_code gone; // it ended meanwhile
  for (const auto& entry : fs::directory_iterator(folder, gone))
    if (entry.path().filename() != "run")
      add(entry.path());
  for (const auto& start : fs::directory_iterator(folder + "/run", gone))
    if (const auto known = numbers_in(file_head(container_pid_path(start.path().string()))); !known.empty() && known[0] == pid)
      add(start.path());
  return all;
}

std::optional<disk_measured> paced_counts::ask(const measure_disk& x, std::chrono::microseconds now) {
  for (auto it = known_.begin(); it != known_.end();)
    it = now - it->second.asked_at > forget_after_ ? known_.erase(it) : std::next(it);
  auto& known = known_[x.container];
  known.asked_at = now;
  const auto pause = known.cost * share_ * static_cast<std::int64_t>(known_.size());
  return known.pid == x.pid && now - known.counted_at < pause ? std::optional{known.measured} : std::nullopt;
}

void paced_counts::counted(const measure_disk& x, const disk_measured& measured, std::chrono::microseconds cost,
                           std::chrono::microseconds now) {
  known_[x.container] = {x.pid, measured, cost, now, now};
}

std::vector<container_use> container_readings::advance(const container_stats_list& stats, std::chrono::microseconds at) {
  std::map<std::string, reading> next;
  std::vector<container_use> uses;
  for (const auto& x : stats.containers) {
    const reading now{x.generation, {at, x.user_time + x.system_time}};
    const auto before = last_.find(x.name);
    container_use use;
    use.name = x.name;
    use.cpu_millis = before != last_.end() && before->second.generation == x.generation
                       ? cpu_millis_between(before->second.cpu, now.cpu)
                       : 0;
    use.memory_bytes = x.rss_bytes;
    use.processes = x.processes;
    uses.push_back(std::move(use));
    next.emplace(x.name, now);
  }
  last_ = std::move(next);
  return uses;
}

bool container_readings::has_new(const container_stats_list& stats) const {
  return std::any_of(stats.containers.begin(), stats.containers.end(), [&](const container_stats& x) {
    const auto before = last_.find(x.name);
    return before == last_.end() || before->second.generation != x.generation;
  });
}

} // namespace prunella::actors
