#include "actors/instance/driver.hpp"

#include <csignal>
#include <cstring>

namespace prunella::actors {

std::string_view to_text(driver_errc code) {
  switch (code) {
    case driver_errc::invalid_request:
      return "invalid_request";
    case driver_errc::command_not_found:
      return "command_not_found";
    case driver_errc::command_not_executable:
      return "command_not_executable";
    case driver_errc::working_directory_missing:
      return "working_directory_missing";
    case driver_errc::data_directory_unusable:
      return "data_directory_unusable";
    case driver_errc::fork_failed:
      return "fork_failed";
    case driver_errc::record_failed:
      return "record_failed";
    case driver_errc::stale_generation:
      return "stale_generation";
    case driver_errc::not_running:
      return "not_running";
    case driver_errc::released:
      return "released";
    case driver_errc::superseded:
      return "superseded";
    case driver_errc::too_many:
      return "too_many";
  }
  return "unknown";
}

std::string signal_name(int number) {
  if (const char* abbreviation = sigabbrev_np(number))
    return std::string{"SIG"} + abbreviation;
  return "signal " + std::to_string(number);
}

std::string describe_exit(const container_exited& exited) {
  if (!exited.known)
    return "ended, and nobody saw how";
  if (exited.signal != 0)
    return "was killed by signal " + std::to_string(exited.signal) + " (" + signal_name(exited.signal) + ")";
  return "exited with code " + std::to_string(exited.exit_code) + (exited.last_words.empty() ? "" : ": " + exited.last_words);
}

} // namespace prunella::actors
