#include "actors/instance/oci/container_users.hpp"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <string_view>
#include <vector>

#include "actors/instance/file_head.hpp"
#include "actors/instance/proc_filesystem.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

const std::string ranges_folder = "/run/prunella/users";
constexpr std::uint32_t first_id = 0x7000'0000;
constexpr std::uint32_t ranges = 4096;
constexpr std::string_view unfinished = ".new"; ///< behind the name of a start: its folder, before it has a range
constexpr std::chrono::minutes longest_claim{1}; ///< what has no owner after so long never gets one

std::string claim_of(const std::string& start) {
  return start + "/users";
}

driver_failure unusable(const std::string& path) {
  return {driver_errc::data_directory_unusable,
          "`" + path + "` cannot be made, which a container with `user-namespace: true` needs: " + std::strerror(errno)};
}

/// Everybody may go through, nobody may look around.
bool make_passage(const std::string& path) {
  return (::mkdir(path.c_str(), 0711) == 0 || errno == EEXIST) && ::chmod(path.c_str(), 0711) == 0;
}

bool write(const std::string& path, const std::string& text) {
  std::ofstream file{path, std::ios::binary};
  file << text;
  file.close();
  return static_cast<bool>(file);
}

std::uint32_t base_of(std::uint32_t number) {
  return first_id + number * storage::id_range{}.size;
}

/// Of a folder of a range.
std::optional<std::uint32_t> number_of(const std::string& folder) {
  const auto name = fs::path(folder).filename().string();
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc{} && end == name.data() + name.size() && number < ranges ? std::optional(number) : std::nullopt;
}

/// Takes away what shows in the folder of a range, and the folder.
void clear(const std::string& folder) {
  std::error_code none;
  for (const auto& entry : fs::directory_iterator(folder, none))
    while (::umount2(entry.path().c_str(), MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
    }
  // One by one, and only what is empty: what is still shown must not be removed with it.
  for (const auto& entry : fs::directory_iterator(folder, none))
    if (entry.path().filename() != "owner")
      ::remove(entry.path().c_str());
  ::unlink((folder + "/owner").c_str());
  ::rmdir(folder.c_str());
}

/// Of a range, or one that was not finished: its start is gone, or it was killed before it said whose it is.
bool nobody_owns(const std::string& folder) {
  if (!number_of(folder) && fs::path(folder).extension() != unfinished)
    return false;
  const fs::path start{file_head(folder + "/owner")};
  std::error_code failed;
  if (start.is_absolute())
    return !fs::exists(start, failed) && !failed;
  const auto made = fs::last_write_time(folder, failed);
  return !failed && fs::file_time_type::clock::now() - made > longest_claim;
}

/// Ranges of which a process of this machine has an id.
std::set<std::uint32_t> used_ranges() {
  std::set<std::uint32_t> used;
  for (const auto pid : list_processes()) {
    struct stat owner {};
    if (::stat(("/proc/" + std::to_string(pid)).c_str(), &owner) == 0 && owner.st_uid >= first_id)
      used.insert((owner.st_uid - first_id) / storage::id_range{}.size);
  }
  return used;
}

} // namespace

std::variant<container_users, driver_failure> claim_users(const std::string& start) {
  for (const auto& path : {fs::path(ranges_folder).parent_path().string(), ranges_folder})
    if (!make_passage(path))
      return unusable(path);
  const auto begin = static_cast<std::uint32_t>(std::hash<std::string>{}(fs::path(start).filename().string()) % ranges);
  // Complete before it has its name: so a range that is taken always says by whom.
  const auto made = ranges_folder + '/' + fs::path(start).filename().string() + std::string{unfinished};
  const auto give_up = [&](const std::string& path) {
    auto failure = unusable(path);
    clear(made);
    return failure;
  };
  if (!make_passage(made) || !make_passage(made + "/root") || !write(made + "/owner", start))
    return give_up(made);
  for (std::uint32_t i = 0; i < ranges; ++i) {
    const auto number = (begin + i) % ranges;
    container_users users;
    users.range.base = base_of(number);
    users.folder = ranges_folder + '/' + std::to_string(number);
    if (::access(users.folder.c_str(), F_OK) == 0)
      continue;
    if (!write(claim_of(start), users.folder))
      return give_up(claim_of(start));
    if (::renameat2(AT_FDCWD, made.c_str(), AT_FDCWD, users.folder.c_str(), RENAME_NOREPLACE) == 0)
      return users;
    if (errno != EEXIST)
      return give_up(users.folder);
  }
  clear(made);
  return driver_failure{driver_errc::too_many, "all " + std::to_string(ranges)
                                                 + " ranges of ids for user namespaces are taken on this machine; stop some of its "
                                                   "containers with `user-namespace: true`"};
}

std::optional<storage::id_range> range_of(const std::string& start) {
  const auto number = number_of(file_head(claim_of(start)));
  if (!number)
    return std::nullopt;
  storage::id_range range;
  range.base = base_of(*number);
  return range;
}

void release_users(const std::string& start) {
  const auto folder = file_head(claim_of(start));
  if (!folder.empty() && fs::path(file_head(folder + "/owner")).filename() == fs::path(start).filename())
    clear(folder);
}

void sweep_users() {
  std::vector<std::string> stale;
  std::error_code none; // claimed yet
  for (const auto& range : fs::directory_iterator(ranges_folder, none))
    if (nobody_owns(range.path().string()))
      stale.push_back(range.path().string());
  const auto used = stale.empty() ? std::set<std::uint32_t>{} : used_ranges();
  for (const auto& folder : stale)
    if (const auto number = number_of(folder); !number || used.count(*number) == 0)
      clear(folder);
}

} // namespace prunella::actors
