#pragma once

// Whether the disk of this host's data directory has room for more, and the offer of a host that has none. Pure.

#include <cstdint>
#include <string>

#include "actors/site/host_offer.hpp"

namespace prunella::actors {

/// Of a file system, for who is not root.
struct disk_space {
  std::uint64_t total_bytes = 0; ///< 0: nobody could tell
  std::uint64_t free_bytes = 0;
};

/// Below this the disk counts as full: 64 MiB, or a twentieth of a disk that is smaller than 1280 MiB.
std::uint64_t least_room(std::uint64_t total_bytes);

/// Full below `least_room`; who was full has room again at twice that. What nobody could tell changes nothing.
bool is_full(const disk_space& now, bool was_full);

/// Of the file system that `folder` is on.
disk_space space_of(const std::string& folder);

/// Adds that this host has no room. Its text is the same as long as that lasts, as it is written to the site's log.
void add_full_disk(host_offer& offer);

} // namespace prunella::actors
