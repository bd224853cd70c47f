#include "actors/logs/log_pages.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "actors/fnv1a.hpp"
#include "actors/host/wall_clock.hpp"
#include "actors/instance/container_log.hpp"
#include "actors/instance/unique_fd.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t longest_name = 256;        // of a file: the part of its first line that counts
constexpr std::int64_t back_step = 64 * 1024;    // of the search for a start
constexpr std::size_t longest_head = 1024 * 1024; // of a line; nobody writes such ones
constexpr int most_openings = 4;                 // when it is rotated at that moment

struct log_file {
  unique_fd fd;
  std::uint32_t name = 0;
  std::int64_t size = 0;
};

std::string read_at(int fd, std::int64_t offset, std::size_t bytes) {
  std::string text(bytes, '\0');
  const auto n = ::pread(fd, text.data(), text.size(), offset);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
  return text;
}

/// `fnv1a` of the first line; 0 while it is not written to its end.
std::uint32_t name_of(int fd) {
  const auto text = read_at(fd, 0, longest_name);
  const auto end = text.find('\n');
  if (end == std::string::npos && text.size() < longest_name)
    return 0;
  return std::max<std::uint32_t>(fnv1a(std::string_view{text}.substr(0, end)), 1);
}

std::optional<log_file> open_log_file(const std::string& path) {
  log_file file;
  file.fd = unique_fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW)};
  struct stat info {};
  if (!file.fd || ::fstat(file.fd.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return std::nullopt;
  file.size = info.st_size;
  file.name = name_of(file.fd.get());
  return file.name == 0 ? std::nullopt : std::optional{std::move(file)};
}

/// Older half first. Opened newest first, so that a rotation in between shows as the same file twice, and is looked at anew.
std::vector<log_file> open_log_files(const std::string& path) {
  std::vector<log_file> files;
  for (int i = 0; i < most_openings; ++i) {
    files.clear();
    auto live = open_log_file(path);
    auto older = open_log_file(older_log_path(path));
    const bool is_rotated = live && older && live->name == older->name;
    if (older)
      files.push_back(std::move(*older));
    if (live && !is_rotated)
      files.push_back(std::move(*live));
    if (!is_rotated)
      break;
  }
  return files;
}

/// Puts lines of the files together to a page.
class page_builder {
public:
  void add(std::string_view line, const log_position& begin, const log_position& end) {
    const auto parsed = parse_log_line(line);
    if (!parsed) {
      ++page.damaged;
      return settle(end);
    }
    auto& open = open_[parsed->is_error ? 1 : 0];
    if (!open) {
      open = piece{{unix_time_ms(parsed->at), parsed->is_error, true, {}, {}}, begin, page.entries.size()};
    }
    open->entry.text.append(parsed->text);
    if (parsed->is_partial)
      return;
    open->entry.is_partial = false;
    page.entries.push_back(std::move(open->entry));
    open.reset();
    settle(end);
  }

  /// What is left of lines that are not at their end: as they are where the log ends (`is_end`), else for the next page.
  void finish(bool is_end) {
    const auto first = [&]() -> std::optional<piece>* {
      if (open_[0] && open_[1])
        return open_[0]->before <= open_[1]->before ? &open_[0] : &open_[1];
      return open_[0] ? &open_[0] : open_[1] ? &open_[1] : nullptr;
    };
    if (!is_end && first() != nullptr && (*first())->before > 0) {
      page.entries.resize((*first())->before);
      page.next = (*first())->begin;
      return;
    }
    for (auto* open = first(); open != nullptr; open = first()) {
      page.entries.push_back(std::move((*open)->entry));
      open->reset();
    }
    settle(page.next);
  }

  log_page page;

private:
  struct piece {
    log_entry entry;
    log_position begin;
    std::size_t before = 0; ///< how many entries were whole when it began
  };

  void settle(const log_position& end) {
    if (!page.entries.empty() && !open_[0] && !open_[1])
      page.entries.back().next = end;
  }

  std::array<std::optional<piece>, 2> open_; ///< by stream
};

/// The lines of `text`, which begins at `at`; what is behind the last newline is a line where the file is `over`.
/// How many bytes were taken.
std::size_t add_lines(page_builder& builder, std::string_view text, const log_position& at, bool is_over) {
  std::size_t taken = 0;
  while (taken < text.size()) {
    const auto end = text.find('\n', taken);
    if (end == std::string_view::npos && !is_over)
      break;
    const auto next = end == std::string_view::npos ? text.size() : end + 1;
    const auto place = [&](std::size_t i) { return log_position{at.file, at.offset + static_cast<std::int64_t>(i)}; };
    builder.add(text.substr(taken, std::min(end, text.size()) - taken), place(taken), place(next));
    taken = next;
  }
  return taken;
}

/// Walks the lines of a log backwards until one is not wanted.
class start_finder {
public:
  explicit start_finder(const log_start& start) : start_(start) {}

  /// False: the reader begins behind this line.
  bool wants(std::string_view line) {
    const auto parsed = parse_log_line(line);
    if (!parsed)
      return true;
    if (start_.since_ms && unix_time_ms(parsed->at) < *start_.since_ms)
      return false;
    if (parsed->is_partial)
      return true; // of a line that is counted by its end
    return !start_.tail || seen_++ < *start_.tail;
  }

private:
  const log_start& start_;
  std::uint32_t seen_ = 0;
};

/// Where in `file` the first wanted line begins; nothing: all of it is wanted.
std::optional<std::int64_t> search_back(const log_file& file, start_finder& finder) {
  std::string head; // of a line whose rest was seen
  for (std::int64_t end = file.size; end > 0;) {
    const auto begin = std::max<std::int64_t>(end - back_step, 0);
    const auto text = read_at(file.fd.get(), begin, static_cast<std::size_t>(end - begin)) + head;
    auto stop = text.size(); // of the next line
    const auto behind = [&] { return std::min(begin + static_cast<std::int64_t>(stop) + 1, file.size); };
    for (auto newline = text.rfind('\n'); newline != std::string::npos && stop > 0;
         newline = stop == 0 ? std::string::npos : text.rfind('\n', stop - 1)) {
      const auto line = std::string_view{text}.substr(newline + 1, stop - newline - 1);
      if (!line.empty() && !finder.wants(line))
        return behind();
      stop = newline;
    }
    if (begin == 0)
      return stop > 0 && !finder.wants(std::string_view{text}.substr(0, stop)) ? std::optional{behind()} : std::nullopt;
    if (stop > longest_head) // zeros after a power cut
      return behind();
    head = text.substr(0, stop);
    end = begin;
  }
  return std::nullopt;
}

} // namespace

log_position find_log_start(const std::string& path, const log_start& start) {
  const auto files = open_log_files(path);
  if (!start.tail && !start.since_ms)
    return {};
  start_finder finder{start};
  for (auto file = files.rbegin(); file != files.rend(); ++file)
    if (const auto offset = search_back(*file, finder))
      return {file->name, std::min(*offset, file->size)};
  return {};
}

log_page read_log_page(const std::string& path, const log_position& from, std::size_t max_bytes, std::size_t max_line_bytes) {
  const auto files = open_log_files(path);
  page_builder builder;
  builder.page.begin = from;
  builder.page.next = from;
  if (files.empty())
    return std::move(builder.page);
  auto at = std::find_if(files.begin(), files.end(), [&](const log_file& x) { return x.name == from.file; });
  log_position position = from;
  if (at == files.end() || from.offset > at->size) {
    builder.page.has_gap = from.file != 0;
    at = files.begin();
    position = {at->name, 0};
    builder.page.begin = position;
  }
  std::size_t left = max_bytes;
  for (; at != files.end(); ++at, position = at == files.end() ? position : log_position{at->name, 0}) {
    const bool is_live = at + 1 == files.end();
    const auto rest = static_cast<std::size_t>(std::max<std::int64_t>(at->size - position.offset, 0));
    auto wanted = std::min(rest, left);
    auto text = read_at(at->fd.get(), position.offset, wanted);
    const auto most = std::max(max_bytes, max_line_bytes);
    if (left == max_bytes && wanted < rest && text.find('\n') == std::string::npos) {
      wanted = std::min(rest, most);
      text = read_at(at->fd.get(), position.offset, wanted);
    }
    const bool reached_end = position.offset + static_cast<std::int64_t>(text.size()) >= at->size;
    const bool is_endless = text.size() == most && text.find('\n') == std::string::npos; // no line is that long
    const auto taken = add_lines(builder, text, position, is_endless || (reached_end && !is_live));
    position.offset += static_cast<std::int64_t>(taken);
    builder.page.next = position;
    left -= std::min(left, text.size());
    builder.page.has_more = !reached_end && text.size() == wanted; // else the disk gives no more
    if (!reached_end)
      break;
  }
  builder.finish(!builder.page.has_more);
  return std::move(builder.page);
}

} // namespace prunella::actors
