#include "actors/instance/oci/container_users.hpp"

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>

#include "actors/instance/file_head.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

const std::string ranges_folder = "/run/prunella/users";
constexpr std::uint32_t first_id = 0x7000'0000;
constexpr std::uint32_t ranges = 4096;

std::string claim_of(const std::string& start) {
  return start + "/users";
}

std::string id_of(const std::string& start) {
  return fs::path(start).filename().string();
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

} // namespace

std::variant<container_users, driver_failure> claim_users(const std::string& start) {
  for (const auto& path : {fs::path(ranges_folder).parent_path().string(), ranges_folder})
    if (!make_passage(path))
      return unusable(path);
  const auto begin = static_cast<std::uint32_t>(std::hash<std::string>{}(id_of(start)) % ranges);
  for (std::uint32_t i = 0; i < ranges; ++i) {
    const auto number = (begin + i) % ranges;
    container_users users;
    users.range.base = first_id + number * users.range.size;
    users.folder = ranges_folder + '/' + std::to_string(number);
    if (::mkdir(users.folder.c_str(), 0711) != 0) {
      if (errno == EEXIST)
        continue;
      return unusable(users.folder);
    }
    if (!make_passage(users.folder) || !make_passage(users.folder + "/root") || !write(users.folder + "/owner", id_of(start))
        || !write(claim_of(start), users.folder))
      return unusable(users.folder);
    return users;
  }
  return driver_failure{driver_errc::too_many, "all " + std::to_string(ranges)
                                                 + " ranges of ids for user namespaces are taken on this machine; stop some of its "
                                                   "containers with `user-namespace: true`"};
}

std::optional<storage::id_range> range_of(const std::string& start) {
  const auto folder = file_head(claim_of(start));
  std::uint32_t number = 0;
  const auto name = fs::path(folder).filename().string();
  if (folder.empty() || std::from_chars(name.data(), name.data() + name.size(), number).ec != std::errc{} || number >= ranges)
    return std::nullopt;
  storage::id_range range;
  range.base = first_id + number * range.size;
  return range;
}

void release_users(const std::string& start) {
  const auto folder = file_head(claim_of(start));
  if (folder.empty() || file_head(folder + "/owner") != id_of(start))
    return;
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

} // namespace prunella::actors
