#pragma once

// Where a driver keeps a container's files, and how an order for a plain process becomes a launch:
//   DATA_DIR/containers/NAME/work          working directory, unless the spec names another
//   DATA_DIR/containers/NAME/log           what it printed (`container_log.hpp`), on its way there in files of its own
//                                          (`raw_log.hpp`)

#include <optional>
#include <set>
#include <string>

#include "actors/instance/process.hpp"

namespace prunella::actors {

std::string container_folder(const std::string& data_directory, const std::string& container);

/// The variables a container gets: the marks by which a recovering driver of `agent` knows its processes, the order's
/// own, and a PATH if it has none. Sorted by name behind the marks.
std::vector<std::string> make_environment(const container_order& order, const std::string& agent);

/// Makes the folders (mode 0700) and returns what to launch. Errors: data_directory_unusable.
driver_result<launch_request> prepare_folder(const container_order& order, const std::string& data_directory,
                                             const std::string& agent);

/// The containers that have a folder, without those in `keep`.
std::vector<std::string> folders_except(const std::set<std::string>& keep, const std::string& data_directory);

/// Moves the folders of `containers` out of the way, into DATA_DIR/removed, whatever is in them. The first failure, after trying
/// the others.
std::optional<driver_failure> set_folders_aside(const std::vector<std::string>& containers, const std::string& data_directory);

/// Deletes what was set aside, also by an earlier agent, as `storage::remove_folder`: nothing that is only mounted or linked there.
/// Takes as long as the disk does; what cannot be deleted stays for the next time.
void delete_folders_aside(const std::string& data_directory);

} // namespace prunella::actors
