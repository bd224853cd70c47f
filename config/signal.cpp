#include "config/signal.hpp"

#include <charconv>
#include <csignal>
#include <cstring>

namespace prunella::config {

namespace {

constexpr int last_signal = 64;

} // namespace

std::optional<int> parse_signal(std::string_view text) {
  int number = 0;
  const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error == std::errc{} && at == text.data() + text.size())
    return number >= 1 && number <= last_signal ? std::optional(number) : std::nullopt;
  if (text.substr(0, 3) == "SIG")
    text.remove_prefix(3);
  for (int signal = 1; signal <= last_signal; ++signal)
    if (const char* name = sigabbrev_np(signal); name != nullptr && text == name)
      return signal;
  return std::nullopt;
}

int stop_signal(std::string_view of_spec, std::string_view of_image) {
  return parse_signal(of_spec.empty() ? of_image : of_spec).value_or(SIGTERM);
}

std::string signal_name(int number) {
  if (const char* abbreviation = sigabbrev_np(number))
    return std::string{"SIG"} + abbreviation;
  return "signal " + std::to_string(number);
}

} // namespace prunella::config
