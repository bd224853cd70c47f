#pragma once

// Whom the users of a container with a user namespace are on the host: a range of ids that no user, no service and no other
// container of this machine has. Of what systemd's UIDS-GIDS document leaves to nobody (0x70000000 to 0x7FFFFFFF) each
// container takes 65,536, for one start: on the disk nothing has these owners but what it writes outside its volumes.
//
// What such a container is shown cannot lie in the data directory, whose folders are for root only. So each range has a folder
// in `/run/prunella/users`, which says that it is taken, on the whole machine:
//
//   NUMBER/owner   the folder of the start that has it
//   NUMBER/root    where its root file system shows
//   NUMBER/N       where a volume shows, under the owners of the range
//   START.new      the same, before it got a number

#include <optional>
#include <string>
#include <variant>

#include "actors/instance/driver.hpp"
#include "storage/images/idmapped_mount.hpp"

namespace prunella::actors {

struct container_users {
  storage::id_range range;
  std::string folder; ///< of the range; its `root` is there
};

/// Takes a free range for the start whose folder is `start`, which remembers it. Errors: too_many (all 4096 are taken),
/// data_directory_unusable.
std::variant<container_users, driver_failure> claim_users(const std::string& start);

/// The range that the start has; nothing: none.
std::optional<storage::id_range> range_of(const std::string& start);

/// Takes away what shows in the folder of the range, and gives it back. Nothing claimed, or not any more since a reboot, is no
/// error. What is shown stays as it is.
void release_users(const std::string& start);

/// Gives back, and takes away what shows there, of starts that are gone with all their folder (a data directory that was removed
/// while nobody cleared it), and what had no owner for a minute, unless a process has an id of the range. What it cannot judge stays.
void sweep_users();

} // namespace prunella::actors
