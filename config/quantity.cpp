#include "config/quantity.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace prunella::config {

namespace {

/// Sums of a few thousand such amounts stay within 64 bits, and JSON numbers hold them exactly.
constexpr std::int64_t largest = std::int64_t{1} << 53;

struct unit {
  std::string_view suffix;
  std::int64_t factor;
};

/// From coarse to fine; of equal texts the first is written.
constexpr std::array<unit, 10> memory_units{{{"Ti", std::int64_t{1} << 40},
                                             {"Gi", std::int64_t{1} << 30},
                                             {"Mi", std::int64_t{1} << 20},
                                             {"Ki", std::int64_t{1} << 10},
                                             {"T", 1'000'000'000'000},
                                             {"G", 1'000'000'000},
                                             {"M", 1'000'000},
                                             {"k", 1'000},
                                             {"K", 1'000},
                                             {"", 1}}};

/// A decimal number in thousandths and the text behind it.
struct decimal {
  std::int64_t thousandths = 0;
  std::string_view rest;
};

std::optional<decimal> take_decimal(std::string_view text) {
  if (text.empty() || text.front() < '0' || text.front() > '9')
    return std::nullopt;
  const char* const end = text.data() + text.size();
  std::int64_t whole = 0;
  auto [at, error] = std::from_chars(text.data(), end, whole);
  if (error != std::errc{} || whole > largest)
    return std::nullopt;
  std::int64_t fraction = 0;
  if (at != end && *at == '.') {
    std::int64_t weight = 100;
    const char* const first = ++at;
    for (; at != end && *at >= '0' && *at <= '9'; ++at, weight /= 10) {
      if (weight == 0)
        return std::nullopt;
      fraction += (*at - '0') * weight;
    }
    if (at == first)
      return std::nullopt;
  }
  // 2^53 thousand fits into 63 bits.
  return decimal{whole * 1000 + fraction, {at, static_cast<std::size_t>(end - at)}};
}

} // namespace

std::optional<std::int64_t> parse_cpu(std::string_view text) {
  const auto number = take_decimal(text);
  if (!number)
    return std::nullopt;
  std::optional<std::int64_t> millis;
  if (number->rest.empty())
    millis = number->thousandths;
  else if (number->rest == "m" && number->thousandths % 1000 == 0)
    millis = number->thousandths / 1000;
  return millis && *millis <= largest ? millis : std::nullopt;
}

std::optional<std::int64_t> parse_memory(std::string_view text) {
  const auto number = take_decimal(text);
  if (!number)
    return std::nullopt;
  for (const unit& u : memory_units)
    if (u.suffix == number->rest) {
      std::int64_t product = 0;
      if (__builtin_mul_overflow(number->thousandths, u.factor, &product) || product % 1000 != 0 ||
          product / 1000 > largest)
        return std::nullopt;
      return product / 1000;
    }
  return std::nullopt;
}

std::string cpu_text(std::int64_t millis) {
  return millis % 1000 == 0 ? std::to_string(millis / 1000) : std::to_string(millis) + "m";
}

std::string memory_text(std::int64_t bytes) {
  if (bytes == 0)
    return "0";
  for (const unit& u : memory_units)
    if (bytes % u.factor == 0)
      return std::to_string(bytes / u.factor).append(u.suffix);
  return std::to_string(bytes);
}

std::string shown_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 5> units{"B", "KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; amount >= 1024 && unit + 1 < units.size(); ++unit)
    amount /= 1024;
  std::array<char, 32> text{};
  const bool is_whole = unit == 0 || amount >= 9.95 || amount * 10 - static_cast<double>(static_cast<std::int64_t>(amount)) * 10 < 0.5;
  std::snprintf(text.data(), text.size(), is_whole ? "%.0f %s" : "%.1f %s", amount, units[unit]);
  return text.data();
}

} // namespace prunella::config
