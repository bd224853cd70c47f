#include "actors/instance/raw_log.hpp"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string_view>

#include "actors/instance/container_log.hpp"
#include "actors/instance/unique_fd.hpp"
#include "config/time.hpp"

namespace prunella::actors {

namespace {

constexpr std::int64_t taken_at_once = 256 * 1024; // who prints more for long loses some of it, and does not cost the agent a core
constexpr std::size_t longest_piece = 16 * 1024; // of one line, as conmon cuts them
constexpr int most_rounds = 64; // nobody writes any more
constexpr off_t hole_step = 64 * 1024;           // a hole is made when it is worth it

struct stream_files {
  std::string raw;
  std::string read;
  std::string_view name;
};

stream_files files_of(const std::string& folder, bool of_errors) {
  const auto base = folder + (of_errors ? "/stderr" : "/stdout");
  return {base + ".raw", base + ".read", of_errors ? "stderr" : "stdout"};
}

std::int64_t read_position(const std::string& path) {
  const unique_fd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  char text[24] = {};
  const auto n = fd ? ::read(fd.get(), text, sizeof text) : 0;
  std::int64_t position = 0;
  std::from_chars(text, text + std::max<ssize_t>(n, 0), position);
  return std::max<std::int64_t>(position, 0);
}

void write_position(const std::string& path, std::int64_t position) {
  const unique_fd fd{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640)};
  std::string text = std::to_string(position);
  text.resize(20, ' '); // longer than any before: one write replaces the last whole
  if (fd && ::pwrite(fd.get(), text.data(), text.size(), 0) < 0)
    return; // a full disk: these lines are taken again
}

/// `text`, whole lines but perhaps the last, as lines of the log.
void append_lines(std::string& log, std::string_view text, std::string_view stream, std::chrono::system_clock::time_point at) {
  const auto head = config::time_text(at) + ' ' + std::string{stream} + ' ';
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const auto piece = text.substr(0, std::min(end, longest_piece));
    const bool whole = piece.size() == end;
    log.append(head).append(whole ? "F " : "P ").append(piece).append("\n");
    text.remove_prefix(std::min(whole ? end + 1 : piece.size(), text.size()));
  }
}

/// How much of `text` can be taken now: up to its last newline, unless it is over or a line too long to wait for.
std::size_t usable(std::string_view text, bool is_over) {
  if (is_over)
    return text.size();
  const auto last = text.rfind('\n');
  if (last != std::string_view::npos)
    return last + 1;
  return text.size() >= longest_piece ? longest_piece : 0;
}

bool append_to(const std::string& path, std::string_view text) {
  const unique_fd fd{::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640)};
  return fd && ::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

/// What was taken needs no room any more; the file keeps its length, as its writer goes on at the end.
void free_taken(int fd, std::int64_t position) {
  const auto whole = position / hole_step * hole_step;
  if (whole > 0)
    static_cast<void>(::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, whole)); // else it stays until the next start
}

bool take_stream(const std::string& folder, bool of_errors, std::int64_t cap, bool is_over) {
  const auto files = files_of(folder, of_errors);
  const unique_fd raw{::open(files.raw.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW)};
  struct stat info {};
  if (!raw || ::fstat(raw.get(), &info) != 0)
    return false;
  auto position = read_position(files.read);
  if (position > info.st_size)
    position = 0;
  if (position == info.st_size)
    return false;
  position = std::max(position, info.st_size - 2 * cap > position ? info.st_size - cap : position);
  const auto wanted = std::min(info.st_size - position, taken_at_once);
  std::string text(static_cast<std::size_t>(wanted), '\0');
  const auto n = ::pread(raw.get(), text.data(), text.size(), position);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  const bool at_end = position + static_cast<std::int64_t>(text.size()) == info.st_size;
  const auto taken = usable(text, is_over && at_end);
  if (taken == 0)
    return false;
  using std::chrono::system_clock;
  const system_clock::time_point written{std::chrono::duration_cast<system_clock::duration>(
    std::chrono::seconds{info.st_mtim.tv_sec} + std::chrono::nanoseconds{info.st_mtim.tv_nsec})};
  std::string lines;
  append_lines(lines, std::string_view{text}.substr(0, taken), files.name, written);
  if (!append_to(folder + "/log", lines))
    return false; // a full disk: what it prints waits in its own file
  position += static_cast<std::int64_t>(taken);
  write_position(files.read, position);
  free_taken(raw.get(), position);
  return !at_end;
}

} // namespace

std::string raw_stdout_path(const std::string& folder) {
  return files_of(folder, false).raw;
}

std::string raw_stderr_path(const std::string& folder) {
  return files_of(folder, true).raw;
}

bool take_raw_output(const std::string& folder, std::int64_t cap_bytes, bool is_over) {
  const bool more = take_stream(folder, false, cap_bytes, is_over);
  const bool more_errors = take_stream(folder, true, cap_bytes, is_over);
  const auto log = folder + "/log";
  struct stat info {};
  if (::stat(log.c_str(), &info) == 0 && info.st_size > cap_bytes)
    ::rename(log.c_str(), older_log_path(log).c_str());
  return more || more_errors;
}

void begin_raw_output(const std::string& folder, std::int64_t cap_bytes) {
  for (int i = 0; i < most_rounds && take_raw_output(folder, cap_bytes, true); ++i)
    continue;
  for (const bool of_errors : {false, true}) {
    const auto files = files_of(folder, of_errors);
    ::unlink(files.raw.c_str());
    ::unlink(files.read.c_str());
  }
}

} // namespace prunella::actors
