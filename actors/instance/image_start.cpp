#include "actors/instance/image_start.hpp"

#include <unistd.h>

#include <filesystem>
#include <system_error>
#include <utility>

#include "actors/instance/oci/cgroup.hpp"

namespace prunella::actors {

std::optional<driver_failure> check_image_order(const container_order& order, const std::vector<std::string>& host_paths) {
  if (::geteuid() != 0)
    return driver_failure{driver_errc::no_driver, "containers of images need an agent that runs as root"};
  for (const auto& volume : order.spec.volumes)
    if (volume.kind == config::volume_kind::host_path) {
      auto real = host_volume(volume.path, host_paths);
      if (auto* failure = std::get_if<driver_failure>(&real))
        return std::move(*failure);
    }
  return std::nullopt;
}

std::optional<driver_failure> make_start_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (!error)
    return std::nullopt;
  return driver_failure{driver_errc::data_directory_unusable,
                        "the folder `" + folder + "` cannot be made: " + error.message() + "; free space or look after the disk"};
}

driver_result<bundle_network> join_network(instance_networks& networks, const container_order& order, const std::string& user) {
  bundle_network network;
  if (order.network != config::instance_network::host) {
    auto joined = networks.join(order.instance, order.network, user);
    if (auto* failure = std::get_if<driver_failure>(&joined))
      return std::move(*failure);
    auto& place = std::get<instance_network_place>(joined);
    network.path = std::move(place.path);
    network.address = std::move(place.address);
  }
  if (order.network != config::instance_network::none)
    network.name_server = networks.name_server();
  return network;
}

driver_failure with_advice(driver_failure failure, const config::container_spec& spec, const storage::image_config& image) {
  if (failure.code != driver_errc::command_not_found)
    return failure;
  if (!spec.command.empty())
    failure.message += "; correct `command`, or leave it out to run the image's own";
  else if (image.entrypoint.empty() && !spec.arguments.empty())
    failure.message += "; the image has no entrypoint, so `arguments` begin with the program: correct them, or add `command`";
  else
    failure.message += "; it is the image's own: correct the image, or say with `command` what to run of it";
  return failure;
}

container_stats stats_of_group(const std::string& cgroup) {
  const auto use = read_cgroup_use(cgroup);
  container_stats stats;
  stats.processes = use.processes;
  stats.user_time = use.user_time;
  stats.system_time = use.system_time;
  stats.rss_bytes = use.memory_bytes;
  return stats;
}

} // namespace prunella::actors
