#include "config/time.hpp"

#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <ctime>

namespace prunella::config {

namespace {

using std::chrono::milliseconds;

struct unit {
  std::string_view suffix;
  std::int64_t millis;
};

/// From coarse to fine.
constexpr std::array<unit, 5> units{{{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};

/// Exactly `count` digits at `position`, which moves behind them.
std::optional<int> take_digits(std::string_view text, std::size_t& position, std::size_t count) {
  if (position + count > text.size())
    return std::nullopt;
  int value = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const char c = text[position + i];
    if (c < '0' || c > '9')
      return std::nullopt;
    value = value * 10 + (c - '0');
  }
  position += count;
  return value;
}

bool take(std::string_view text, std::size_t& position, char expected) {
  if (position >= text.size() || text[position] != expected)
    return false;
  ++position;
  return true;
}

/// `.` and 1 to 9 digits, or nothing at all; in milliseconds.
std::optional<int> take_fraction(std::string_view text, std::size_t& position) {
  if (!take(text, position, '.'))
    return 0;
  int millis = 0;
  std::size_t digits = 0;
  while (const auto digit = take_digits(text, position, 1)) {
    if (digits < 3)
      millis = millis * 10 + *digit;
    ++digits;
  }
  if (digits < 1 || digits > 9)
    return std::nullopt;
  for (; digits < 3; ++digits)
    millis *= 10;
  return millis;
}

} // namespace

std::optional<milliseconds> parse_duration(std::string_view text) {
  if (text == "0")
    return milliseconds{0};
  std::int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || text.front() == '-')
    return std::nullopt;
  const std::string_view suffix = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const unit& u : units)
    if (u.suffix == suffix) {
      if (count > longest_duration.count() / u.millis)
        return std::nullopt;
      return milliseconds{count * u.millis};
    }
  return std::nullopt;
}

std::string duration_text(milliseconds duration) {
  const std::int64_t count = duration.count();
  if (count == 0)
    return "0s";
  for (const unit& u : units)
    if (count % u.millis == 0)
      return std::to_string(count / u.millis).append(u.suffix);
  return std::to_string(count) + "ms";
}

std::string time_text(std::chrono::system_clock::time_point time) {
  const auto since_epoch = std::chrono::floor<milliseconds>(time.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const std::time_t unix_seconds = seconds.count();
  std::tm utc{};
  ::gmtime_r(&unix_seconds, &utc);
  std::array<char, 80> buffer{};
  const int length = std::snprintf(buffer.data(), buffer.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                                   utc.tm_year + 1900, utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                                   static_cast<int>((since_epoch - seconds).count()));
  return std::string(buffer.data(), static_cast<std::size_t>(length));
}

std::optional<std::chrono::system_clock::time_point> parse_time(std::string_view text) {
  std::size_t at = 0;
  const auto year = take_digits(text, at, 4);
  const bool first_dash = take(text, at, '-');
  const auto month = take_digits(text, at, 2);
  const bool second_dash = take(text, at, '-');
  const auto day = take_digits(text, at, 2);
  const bool separator = take(text, at, 'T');
  const auto hour = take_digits(text, at, 2);
  const bool first_colon = take(text, at, ':');
  const auto minute = take_digits(text, at, 2);
  const bool second_colon = take(text, at, ':');
  const auto second = take_digits(text, at, 2);
  if (!year || !month || !day || !hour || !minute || !second || !first_dash || !second_dash || !separator ||
      !first_colon || !second_colon)
    return std::nullopt;
  const auto millis = take_fraction(text, at);
  if (!millis || !take(text, at, 'Z') || at != text.size())
    return std::nullopt;
  std::tm utc{};
  utc.tm_year = *year - 1900;
  utc.tm_mon = *month - 1;
  utc.tm_mday = *day;
  utc.tm_hour = *hour;
  utc.tm_min = *minute;
  utc.tm_sec = *second;
  std::tm normal = utc;
  const std::time_t unix_seconds = ::timegm(&normal);
  // timegm turns 31 February into March; what it had to change was not a date.
  if (normal.tm_mon != utc.tm_mon || normal.tm_mday != utc.tm_mday || normal.tm_hour != utc.tm_hour ||
      normal.tm_min != utc.tm_min || normal.tm_sec != utc.tm_sec)
    return std::nullopt;
  // The clock counts nanoseconds in 64 bits, which end in 1677 and 2262.
  constexpr auto most = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::duration::max()).count() - 1;
  if (unix_seconds > most || unix_seconds < -most)
    return std::nullopt;
  return std::chrono::system_clock::time_point{std::chrono::seconds{unix_seconds}} + milliseconds{*millis};
}

} // namespace prunella::config
