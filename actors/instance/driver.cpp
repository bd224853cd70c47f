#include "actors/instance/driver.hpp"

#include "config/signal.hpp"

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
    case driver_errc::no_driver:
      return "no_driver";
    case driver_errc::image_unavailable:
      return "image_unavailable";
    case driver_errc::volume_refused:
      return "volume_refused";
    case driver_errc::runtime_failed:
      return "runtime_failed";
    case driver_errc::network_failed:
      return "network_failed";
    case driver_errc::engine_away:
      return "engine_away";
    case driver_errc::image_awaited:
      return "image_awaited";
    case driver_errc::disk_full:
      return "disk_full";
  }
  return "unknown";
}

namespace {

std::string limit_text(std::int64_t bytes) {
  constexpr std::int64_t mebibyte = 1 << 20;
  return bytes <= 0 ? std::string{} : " (its limit is " + std::to_string((bytes + mebibyte - 1) / mebibyte) + " MiB)";
}

} // namespace

std::string describe_exit(const container_exited& exited) {
  if (!exited.known)
    return "ended, and nobody saw how";
  const auto ended = exited.signal == 0 ? "exited with code " + std::to_string(exited.exit_code) : std::string{"was killed"};
  const auto words = exited.last_words.empty() ? std::string{} : ": " + exited.last_words;
  if (exited.out_of_memory)
    return "ran out of memory" + limit_text(exited.memory_limit_bytes) + " and " + ended;
  if (exited.signal != 0)
    return "was killed by signal " + std::to_string(exited.signal) + " (" + config::signal_name(exited.signal) + ")" + words;
  return ended + words;
}

bool has_ended_well(const container_exited& exited) {
  return exited.known && exited.exit_code == 0 && exited.signal == 0 && !exited.stopped && exited.last_words.empty();
}

} // namespace prunella::actors
