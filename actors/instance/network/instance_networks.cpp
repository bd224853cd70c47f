#include "actors/instance/network/instance_networks.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "actors/instance/file_head.hpp"
#include "actors/instance/network/network_namespace.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

driver_failure failed(const std::string& instance, const std::string& why) {
  return {driver_errc::network_failed, "the network of " + instance + " cannot be made: " + why};
}

/// False if not all of it could be written.
bool write(const std::string& path, const std::string& text) {
  std::ofstream file{path, std::ios::binary};
  file << text;
  file.close();
  return static_cast<bool>(file);
}

std::string networks_folder(const std::string& data_directory) {
  return data_directory + "/networks";
}

std::string namespace_in(const std::string& folder) {
  return folder + "/namespace";
}

std::string address_in(const std::string& folder) {
  return folder + "/address";
}

} // namespace

std::string instance_networks::folder_of(const std::string& instance) const {
  return networks_folder(options_.data_directory) + "/instances/" + instance;
}

void instance_networks::recover(const std::vector<std::pair<std::string, std::string>>& users) {
  std::vector<std::string> known;
  std::error_code none; // of networks yet
  for (const auto& folder : fs::directory_iterator(networks_folder(options_.data_directory) + "/instances", none))
    known.push_back(folder.path().filename().string());
  for (const auto& [instance, user] : users)
    if (std::find(known.begin(), known.end(), instance) != known.end()) {
      auto& x = places_[instance];
      if (!x)
        x = std::make_shared<place>();
      x->users.insert(user);
      x->is_made = is_network_namespace(namespace_in(folder_of(instance)));
      x->address = file_head(address_in(folder_of(instance)));
    }
  for (const auto& instance : known)
    if (places_.count(instance) == 0)
      remove(instance);
  if (!places_.empty() && options_.bridge)
    static_cast<void>(options_.bridge->ensure()); // the reason shows where the next instance is started
  if (!places_.empty() || known.empty())
    return;
  fs::remove_all(networks_folder(options_.data_directory) + "/leases", none);
  if (options_.bridge)
    options_.bridge->remove();
}

std::shared_ptr<instance_networks::place> instance_networks::find(const std::string& instance) const {
  const std::lock_guard guard{mutex_};
  const auto found = places_.find(instance);
  return found == places_.end() ? nullptr : found->second;
}

driver_result<instance_network_place> instance_networks::join(const std::string& instance, config::instance_network network,
                                                              const std::string& user) {
  remove_unused();
  std::shared_ptr<place> x;
  {
    const std::lock_guard guard{mutex_};
    auto& entry = places_[instance];
    if (!entry)
      entry = std::make_shared<place>();
    x = entry;
  }
  const std::lock_guard guard{x->mutex};
  const bool fits = x->is_made && (network == config::instance_network::bridge) == !x->address.empty();
  if (!fits) {
    if (x->is_made) // the service has another network now
      remove(instance);
    x->is_made = false;
    x->address.clear();
    auto made = make(instance, network);
    if (auto* failure = std::get_if<driver_failure>(&made)) {
      remove(instance);
      x->unused_since = clock::now();
      return std::move(*failure);
    }
    x->address = std::get<std::string>(std::move(made));
    x->is_made = true;
  }
  x->users.insert(user);
  return instance_network_place{namespace_in(folder_of(instance)), x->address};
}

driver_result<std::string> instance_networks::make(const std::string& instance, config::instance_network network) {
  const auto folder = folder_of(instance);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    return failed(instance, "the folder " + folder + " cannot be made: " + error.message() + "; free space or look after the disk");
  remove_network_namespace(namespace_in(folder)); // of before a reboot
  if (const auto problem = make_network_namespace(namespace_in(folder)); !problem.empty())
    return failed(instance, problem + "; the agent needs root");
  if (network != config::instance_network::bridge)
    return std::string{};
  return attach(instance);
}

driver_result<std::string> instance_networks::attach(const std::string& instance) {
  if (!options_.bridge)
    return failed(instance, "this host offers no `network: bridge`; the agent needs root and the CNI plugins");
  if (const auto missing = missing_for_cni(options_.cni_folder, options_.bridge->has_outbound()); !missing.empty())
    return failed(instance, missing);
  if (const auto problem = options_.bridge->ensure(); !problem.empty())
    return failed(instance, problem);
  const auto folder = networks_folder(options_.data_directory);
  if (!write(folder + "/cni.json", cni_configuration(*options_.bridge, folder + "/leases")))
    return failed(instance, "the file " + folder + "/cni.json cannot be written: " + std::strerror(errno)
                              + "; free space or look after the disk");
  auto answer = run_cni(call("ADD", instance), options_.patience);
  if (auto* failure = std::get_if<driver_failure>(&answer))
    return failed(instance, failure->message);
  auto address = parse_cni_address(std::get<std::string>(answer));
  if (auto* failure = std::get_if<driver_failure>(&address))
    return failed(instance, failure->message);
  if (!write(address_in(folder_of(instance)), std::get<std::string>(address)))
    return failed(instance, std::string{"its address cannot be written down: "} + std::strerror(errno));
  return address;
}

cni_call instance_networks::call(const std::string& command, const std::string& instance) const {
  return {options_.cni_folder, networks_folder(options_.data_directory) + "/cni.json", command, instance,
          namespace_in(folder_of(instance))};
}

/// Whatever there is of it. DEL goes first: it looks into the namespace for the address that it takes away.
void instance_networks::remove(const std::string& instance) {
  const auto folder = folder_of(instance);
  std::error_code ignored;
  if (options_.bridge && fs::exists(networks_folder(options_.data_directory) + "/cni.json", ignored))
    static_cast<void>(run_cni(call("DEL", instance), options_.patience));
  remove_network_namespace(namespace_in(folder));
  fs::remove_all(folder, ignored);
}

void instance_networks::leave(const std::string& instance, const std::string& user, bool for_good) {
  if (const auto x = find(instance)) {
    const std::lock_guard guard{x->mutex};
    x->users.erase(user);
    x->unused_since = clock::now();
    if (for_good)
      remove_if_unused(instance, *x, {});
  }
  remove_unused();
}

/// The place stays in the map, and is made again when somebody joins.
void instance_networks::remove_if_unused(const std::string& instance, place& x, clock::duration unused_for) {
  if (!x.is_made || !x.users.empty() || clock::now() - x.unused_since < unused_for)
    return;
  remove(instance);
  x.is_made = false;
  x.address.clear();
}

void instance_networks::remove_unused() {
  std::map<std::string, std::shared_ptr<place>> all;
  {
    const std::lock_guard guard{mutex_};
    all = places_;
  }
  for (const auto& [instance, x] : all) {
    const std::unique_lock lock{x->mutex, std::try_to_lock};
    if (lock.owns_lock())
      remove_if_unused(instance, *x, options_.keep_unused);
  }
  all.clear();
  const std::lock_guard guard{mutex_};
  for (auto it = places_.begin(); it != places_.end();) // who holds one is about to join it, or at work on it
    it = it->second.use_count() == 1 && !it->second->is_made && it->second->users.empty() ? places_.erase(it) : std::next(it);
}

std::string instance_networks::address_of(const std::string& instance) const {
  const auto x = find(instance);
  if (!x)
    return {};
  const std::lock_guard guard{x->mutex};
  return x->address;
}

std::string instance_networks::name_server() const {
  return options_.bridge && options_.bridge->is_up() ? options_.bridge->gateway() : std::string{};
}

} // namespace prunella::actors
