#pragma once

// Whether the disk of the data directory has room for the start of a container. A runtime that finds none says so in words that
// nobody understands, and leaves half of what it made; so it is not asked.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "actors/instance/driver.hpp"

namespace prunella::actors {

/// What a file system has left for this process.
struct room_left {
  std::uint64_t bytes = 0;
  std::uint64_t files = 0; ///< the largest number where it has no bound of them
};

/// Of the file system of `folder`. One that cannot be looked at has room: who uses it finds out.
room_left measure_room(const std::string& folder);

class start_room {
public:
  /// What a start may need: its bundle, the runtime's state, the files of conmon, the driver's record.
  static constexpr std::uint64_t bytes_of_start = 1 << 20;
  static constexpr std::uint64_t files_of_start = 64;
  /// A disk that is full for less long may be so by a pull or a log, which get out of the way by themselves.
  static constexpr std::chrono::milliseconds patience{15'000};

  /// Looks further apart than this do not make one long time: starts that wait look again every second.
  static constexpr std::chrono::milliseconds memory{5'000};

  explicit start_room(std::string data_directory) : data_directory_(std::move(data_directory)) {}

  /// Why `container` is not started with so little left; nothing: it may be. disk_full, and data_directory_unusable once it has
  /// been so for `patience`: then another host may have room. Any thread.
  std::optional<driver_failure> judge(const std::string& container, const room_left& left, std::chrono::steady_clock::time_point now);

  /// The same with what is left now.
  std::optional<driver_failure> look(const std::string& container) {
    return judge(container, measure_room(data_directory_), std::chrono::steady_clock::now());
  }

private:
  const std::string data_directory_;
  std::mutex mutex_;
  std::optional<std::chrono::steady_clock::time_point> full_since_;
  std::chrono::steady_clock::time_point last_full_; ///< look that found it full
};

} // namespace prunella::actors
