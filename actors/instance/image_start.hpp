#pragma once

// What a start of a container of an image takes whoever runs it, and what its control group says of its use.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/instance/driver.hpp"
#include "actors/instance/network/instance_networks.hpp"
#include "actors/instance/oci/bundle.hpp"
#include "actors/instance/process.hpp"

namespace prunella::actors {

/// Why no container of an image can be run for `order` here: no root, or a host path that is not allowed.
std::optional<driver_failure> check_image_order(const container_order& order, const std::vector<std::string>& host_paths);

/// The folder with all above it; data_directory_unusable if it cannot be made.
std::optional<driver_failure> make_start_folder(const std::string& folder);

/// What the container finds of networks. If its instance has one of its own, `user` uses it from now on, until it leaves.
driver_result<bundle_network> join_network(instance_networks& networks, const container_order& order, const std::string& user);

/// Adds to a `command_not_found` what to correct: `command` or `arguments` of the spec, or the image whose own it is.
driver_failure with_advice(driver_failure failure, const config::container_spec& spec, const storage::image_config& image);

/// Name and generation are left to the caller.
container_stats stats_of_group(const std::string& cgroup);

} // namespace prunella::actors
