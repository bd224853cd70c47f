#include "actors/host/disk_room.hpp"

#include <sys/statvfs.h>

#include <algorithm>

namespace prunella::actors {

std::uint64_t least_room(std::uint64_t total_bytes) { return std::min<std::uint64_t>(64U << 20, total_bytes / 20); }

bool is_full(const disk_space& now, bool was_full) {
  if (now.total_bytes == 0)
    return was_full;
  const auto least = least_room(now.total_bytes);
  return now.free_bytes < (was_full ? 2 * least : least);
}

disk_space space_of(const std::string& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0)
    return {};
  return {std::uint64_t{status.f_blocks} * status.f_frsize, std::uint64_t{status.f_bavail} * status.f_frsize};
}

void add_full_disk(host_offer& offer) {
  offer.lacks.push_back(host_lack::disk_room);
  std::sort(offer.lacks.begin(), offer.lacks.end());
  if (offer.software.drivers.empty())
    return; // it has told its texts before
  offer.software.without.insert(offer.software.without.begin(),
                                {std::string{disk_room_word}, "the disk of its data directory is full: what runs goes on, nothing new is placed here until "
                                                 "space is freed on it"});
  offer.software = bounded(std::move(offer.software));
}

} // namespace prunella::actors
