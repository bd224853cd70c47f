#include "tools/cli/terminal.hpp"

#include <array>
#include <clocale>
#include <cstdio>
#include <cwchar>
#include <utility>

#include <poll.h>

#include "config/time.hpp"

namespace prunella::tools {

namespace {

/// glibc's character tables for UTF-8, whatever the locale of the process.
class utf8_locale {
public:
  utf8_locale() : previous_(::uselocale(tables())) {}
  ~utf8_locale() { ::uselocale(previous_); }
  utf8_locale(const utf8_locale&) = delete;
  utf8_locale& operator=(const utf8_locale&) = delete;

private:
  static ::locale_t tables() {
    static const ::locale_t utf8 = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return utf8;
  }

  ::locale_t previous_;
};

/// Calls `visit(bytes, width)` for each character; width -1: not printable, or not UTF-8 (then one byte).
template <class Visitor>
void for_each_character(std::string_view text, Visitor&& visit) {
  const utf8_locale guard;
  std::mbstate_t state{};
  while (!text.empty()) {
    wchar_t character = 0;
    auto size = std::mbrtowc(&character, text.data(), text.size(), &state);
    if (size == 0 || size > text.size()) { // NUL, cut off or malformed
      size = 1;
      state = {};
      visit(text.substr(0, 1), -1);
    } else {
      visit(text.substr(0, size), ::wcwidth(character));
    }
    text.remove_prefix(size);
  }
}

constexpr std::array<std::string_view, 7> good_states{"up", "running", "finished", "healthy", "ready", "completed", "yes"};
constexpr std::array<std::string_view, 6> moving_states{"pending",  "starting",   "stopping",
                                                        "degraded", "restarting", "created"};
constexpr std::array<std::string_view, 5> bad_states{"down", "failed", "no-quorum", "stopped", "no"};

template <class List>
bool has(const List& list, std::string_view text) {
  for (const auto& entry : list)
    if (entry == text)
      return true;
  return false;
}

std::string with_unit(double value, std::string_view unit) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.1f", value);
  std::string number = text.data();
  if (number.size() > 2 && number.compare(number.size() - 2, 2, ".0") == 0)
    number.resize(number.size() - 2);
  return number.append(unit);
}

} // namespace

bool sleep_for(std::chrono::milliseconds pause) {
  return ::poll(nullptr, 0, static_cast<int>(pause.count())) == 0;
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for_each_character(
      text, [&](std::string_view, int columns) { width += columns < 0 ? 1 : static_cast<std::size_t>(columns); });
  return width;
}

std::string printable(std::string_view text) {
  std::string result;
  for_each_character(text, [&](std::string_view bytes, int columns) {
    if (columns < 0)
      result += '?';
    else
      result += bytes;
  });
  return result;
}

std::string pad(std::string_view text, std::size_t width, bool right_aligned) {
  const auto taken = display_width(text);
  const std::string blanks(taken < width ? width - taken : 0, ' ');
  return right_aligned ? blanks + std::string(text) : std::string(text) + blanks;
}

std::string cut(std::string_view text, std::size_t width) {
  if (display_width(text) <= width)
    return std::string(text);
  std::string result;
  std::size_t taken = 1; // of the ellipsis
  bool is_full = false;
  for_each_character(text, [&](std::string_view bytes, int columns) {
    taken += columns < 0 ? 1 : static_cast<std::size_t>(columns);
    is_full = is_full || taken > width;
    if (!is_full)
      result += bytes;
  });
  return result + "…";
}

std::string paint_state(std::string_view state, std::string_view text, bool colours) {
  const char* code = has(good_states, state)     ? "\033[32m"
                     : has(moving_states, state) ? "\033[33m"
                     : has(bad_states, state)    ? "\033[31m"
                                                 : nullptr;
  if (!colours || !code)
    return std::string(text);
  return code + std::string(text) + "\033[0m";
}

std::string paint_faint(std::string_view text, bool colours) {
  return colours ? "\033[2m" + std::string(text) + "\033[0m" : std::string(text);
}

std::string age_text(std::chrono::milliseconds age) {
  const auto seconds = age.count() / 1000;
  if (seconds < 1)
    return "now";
  if (seconds < 60)
    return std::to_string(seconds) + "s";
  if (seconds < 3'600)
    return std::to_string(seconds / 60) + "m";
  if (seconds < 86'400)
    return std::to_string(seconds / 3'600) + "h";
  return std::to_string(seconds / 86'400) + "d";
}

std::string bytes_text(std::int64_t bytes) {
  constexpr std::array<std::string_view, 6> units{"", "Ki", "Mi", "Gi", "Ti", "Pi"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return with_unit(value, units[unit]);
}

std::string age_of(std::string_view rfc3339, std::chrono::system_clock::time_point now) {
  if (rfc3339.empty())
    return {};
  const auto time = config::parse_time(rfc3339);
  if (!time)
    return std::string(rfc3339);
  // Apart in milliseconds: two times that the clock counts in nanoseconds may be further apart than it can count.
  const auto in_ms = [](auto at) { return std::chrono::time_point_cast<std::chrono::milliseconds>(at); };
  return age_text(in_ms(now) - in_ms(*time));
}

} // namespace prunella::tools
