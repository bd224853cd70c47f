#include "actors/instance/network/host_bridge.hpp"

#include <algorithm>
#include <utility>

#include "net/devices.hpp"
#include "storage/sha256.hpp"

namespace prunella::actors {

namespace {

constexpr std::size_t alias_bytes = 255; // the kernel's most, without its NUL

/// Different for each data directory, as several agents may share a machine.
std::string name_for(const std::string& data_directory) {
  storage::sha256 hash;
  const auto digest = hash.begin().add(data_directory).finish();
  std::string name = "prunella-";
  for (std::size_t i = 0; i < 3; ++i) {
    name += "0123456789abcdef"[digest[i] >> 4];
    name += "0123456789abcdef"[digest[i] & 15];
  }
  return name;
}

std::string alias_for(const std::string& data_directory) {
  const auto start = data_directory.size() > alias_bytes - 20 ? data_directory.size() - (alias_bytes - 20) : 0;
  return "prunella " + data_directory.substr(start);
}

std::string name_of(const std::vector<net::network_device>& devices, int index) {
  const auto found = std::find_if(devices.begin(), devices.end(), [&](const auto& x) { return x.index == index; });
  return found == devices.end() ? "device " + std::to_string(index) : found->name;
}

/// What uses a part of `network` already, apart from the device `own`; empty: nothing.
std::string rival_of(const config::ipv4_network& network, const std::vector<net::network_device>& devices, int own,
                     std::string& problem) {
  for (const auto& route : net::list_routes(problem))
    if (route.device != own && route.to.length > 0 && route.to.overlaps(network))
      return name_of(devices, route.device) + " (" + network_text(route.to) + ")";
  if (!problem.empty())
    return {};
  for (const auto& [device, address, renewed_at] : net::list_addresses(problem)) {
    const auto number = config::parse_ipv4(address.address);
    if (device != own && number && network.holds(*number))
      return name_of(devices, device) + " (" + address.address + ")";
  }
  return {};
}

} // namespace

host_bridge::host_bridge(host_bridge_options options)
  : options_(std::move(options)), name_(name_for(options_.data_directory)), alias_(alias_for(options_.data_directory)) {}

std::string host_bridge::ensure() {
  const std::lock_guard guard{mutex_};
  auto problem = make();
  is_up_ = problem.empty();
  return problem;
}

std::string host_bridge::make() const {
  std::string problem;
  auto devices = net::list_devices(problem);
  const auto is_it = [&](const net::network_device& x) { return x.name == name_; };
  auto found = std::find_if(devices.begin(), devices.end(), is_it);
  if (problem.empty() && found == devices.end()) {
    const auto rival = rival_of(options_.network.network, devices, 0, problem);
    if (!rival.empty())
      return "this host's part " + network_text(options_.network.network) + " of the site's networks is in use by " + rival
             + "; write another `networks: {range: …}` into the site's document, or free it";
    if (problem.empty())
      problem = net::add_bridge(name_, alias_);
    if (problem.empty())
      devices = net::list_devices(problem);
    found = std::find_if(devices.begin(), devices.end(), is_it);
  }
  if (!problem.empty())
    return problem + "; an agent that offers network: bridge runs as root with CAP_NET_ADMIN";
  if (found == devices.end() || found->alias != alias_ || found->kind != "bridge")
    return "the network device " + name_ + " is there, and this agent did not make it; remove it (`ip link delete " + name_ + "`)";
  problem = net::put_address(found->index, {gateway(), static_cast<std::uint8_t>(options_.network.network.length), false});
  return problem.empty() ? net::put_local_network(found->index, options_.network.services) : problem;
}

void host_bridge::remove() {
  const std::lock_guard guard{mutex_};
  is_up_ = false;
  std::string ignored;
  for (const auto& device : net::list_devices(ignored))
    if (device.name == name_ && device.alias == alias_)
      ignored = net::remove_device(device.index);
}

bool host_bridge::is_up() const {
  const std::lock_guard guard{mutex_};
  return is_up_;
}

} // namespace prunella::actors
