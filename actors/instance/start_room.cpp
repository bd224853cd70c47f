#include "actors/instance/start_room.hpp"

#include <sys/statvfs.h>
#include <unistd.h>

#include <limits>

namespace prunella::actors {

room_left measure_room(const std::string& folder) {
  constexpr auto any = std::numeric_limits<std::uint64_t>::max();
  struct statvfs disk {};
  if (::statvfs(folder.c_str(), &disk) != 0)
    return {any, any};
  const bool is_root = ::geteuid() == 0; // who may use what is reserved
  return {std::uint64_t{is_root ? disk.f_bfree : disk.f_bavail} * disk.f_frsize,
          disk.f_files == 0 ? any : std::uint64_t{is_root ? disk.f_ffree : disk.f_favail}};
}

// No numbers in the sentence: each other one would be another reason, and news.
std::optional<driver_failure> start_room::judge(const std::string& container, const room_left& left,
                                                std::chrono::steady_clock::time_point now) {
  const bool has_bytes = left.bytes >= bytes_of_start;
  const bool has_files = left.files >= files_of_start;
  const std::lock_guard lock{mutex_};
  if (has_bytes && has_files) {
    full_since_.reset();
    return std::nullopt;
  }
  if (!full_since_ || now - last_full_ > memory)
    full_since_ = now;
  last_full_ = now;
  const bool is_over = now - *full_since_ >= patience;
  return driver_failure{is_over ? driver_errc::data_directory_unusable : driver_errc::disk_full,
                        "the disk of " + data_directory_ + (has_bytes ? " can hold no more files" : " is full")
                          + ", so " + container + " cannot be started; free some space on it (`df -h" + (has_bytes ? " -i " : " ")
                          + data_directory_ + "`), then it is"};
}

} // namespace prunella::actors
