#include "actors/instance/container_log.hpp"

#include <algorithm>
#include <fstream>

#include "actors/instance/container_folder.hpp"
#include "config/time.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t looked_at = 16 * 1024; // of the end of a log, for its last words
constexpr std::size_t longest_words = 200;

/// RFC 3339 with any offset from UTC.
std::optional<std::chrono::system_clock::time_point> parse_any_time(std::string_view text) {
  if (text.size() < 6)
    return std::nullopt;
  const auto offset = text.substr(text.size() - 6); // +02:00
  const bool has_offset = (offset[0] == '+' || offset[0] == '-') && offset[3] == ':';
  if (!has_offset)
    return config::parse_time(text);
  const auto digit = [&](std::size_t i) { return offset[i] - '0'; };
  for (const std::size_t i : {1U, 2U, 4U, 5U})
    if (digit(i) < 0 || digit(i) > 9)
      return std::nullopt;
  const auto ahead = std::chrono::minutes{(digit(1) * 10 + digit(2)) * 60 + digit(4) * 10 + digit(5)};
  const auto local = config::parse_time(std::string{text.substr(0, text.size() - 6)} + "Z");
  if (!local)
    return std::nullopt;
  return offset[0] == '+' ? *local - ahead : *local + ahead;
}

/// Takes the text up to the next blank off `rest`.
std::string_view next_word(std::string_view& rest) {
  const auto end = std::min(rest.find(' '), rest.size());
  const auto word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return word;
}

} // namespace

std::optional<log_line> parse_log_line(std::string_view line) {
  const auto at = parse_any_time(next_word(line));
  const auto stream = next_word(line);
  const auto tag = next_word(line);
  if (!at || (stream != "stdout" && stream != "stderr") || (tag != "F" && tag != "P"))
    return std::nullopt;
  return log_line{*at, stream == "stderr", tag == "P", line};
}

std::string older_log_path(const std::string& path) {
  return path + ".1";
}

std::string container_log_path(const std::string& data_directory, const std::string& container) {
  return container_folder(data_directory, container) + "/log";
}

std::string last_error_line(const std::string& path, std::int64_t since_ms) {
  std::ifstream file{path, std::ios::binary | std::ios::ate};
  if (!file)
    return {};
  const auto size = static_cast<std::size_t>(std::max<std::streamoff>(file.tellg(), 0));
  std::string text(std::min(size, looked_at), ' ');
  file.seekg(static_cast<std::streamoff>(size - text.size()));
  if (!file.read(text.data(), static_cast<std::streamsize>(text.size())))
    return {};
  const std::chrono::system_clock::time_point since{std::chrono::milliseconds{since_ms}};
  for (std::string_view rest = text; !rest.empty();) {
    while (!rest.empty() && rest.back() == '\n')
      rest.remove_suffix(1);
    const auto start = rest.rfind('\n');
    const auto line = parse_log_line(start == std::string_view::npos ? rest : rest.substr(start + 1));
    if (line && line->at < since)
      return {};
    if (line && line->is_error)
      if (auto words = shown_words(line->text); !words.empty())
        return words;
    rest = rest.substr(0, start == std::string_view::npos ? 0 : start);
  }
  return {};
}

std::string shown_words(std::string_view text) {
  const auto is_blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && is_blank(text.back()))
    text.remove_suffix(1);
  while (!text.empty() && is_blank(text.front()))
    text.remove_prefix(1);
  std::string words{text.substr(0, longest_words)};
  std::replace_if(words.begin(), words.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return words;
}

} // namespace prunella::actors
