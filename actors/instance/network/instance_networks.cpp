#include "actors/instance/network/instance_networks.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "actors/instance/file_head.hpp"
#include "actors/instance/network/network_namespace.hpp"
#include "storage/os_files.hpp"

namespace prunella::actors {

namespace fs = std::filesystem;

namespace {

constexpr int max_aside = 4; ///< of an instance: each keeps an address of the host's few hundred

driver_failure failed(const std::string& instance, const std::string& why) {
  return {driver_errc::network_failed, "the network of " + instance + " cannot be made: " + why};
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

std::string id_in(const std::string& folder) {
  return folder + "/id";
}

/// Of an instance: where what could not be taken away waits, and what the plugins know the next one by. No instance has an
/// underscore in its name.
std::string numbered(const std::string& instance, int number) {
  return number == 0 ? instance : instance + '_' + std::to_string(number);
}

std::string configuration_in(const std::string& data_directory) {
  return networks_folder(data_directory) + "/cni.json";
}

} // namespace

std::string instance_networks::folder_of(const std::string& instance) const {
  return networks_folder(options_.data_directory) + "/instances/" + instance;
}

std::string instance_networks::id_of(const std::string& instance) const {
  const auto id = file_head(id_in(folder_of(instance)));
  return id.empty() ? instance : id;
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
      x->is_left = !x->is_made;
      x->address = file_head(address_in(folder_of(instance)));
    }
  const bool has_users = !places_.empty();
  for (const auto& instance : known)
    if (auto& x = places_[instance]; !x) {
      x = std::make_shared<place>();
      take_down(instance, *x);
    }
  if (has_users && options_.bridge)
    static_cast<void>(options_.bridge->ensure()); // the reason shows where the next instance is started
  if (has_users || known.empty())
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
    if (x->is_made || x->is_left) // the service has another network now, or its former one would not go
      if (const auto problem = take_down(instance, *x); !problem.empty()) {
        if (const auto full = set_aside(instance); !full.empty())
          return failed(instance, "its former one cannot be taken away: " + problem + full);
        x->is_left = false;
      }
    auto made = make(instance, network);
    if (auto* failure = std::get_if<driver_failure>(&made)) {
      take_down(instance, *x);
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
  if (const auto written = write_configuration(); !written)
    return failed(instance, written.error().message);
  std::set<std::string> known; // to the plugins, still
  for (int i = 1; i <= max_aside; ++i)
    if (std::error_code none; fs::exists(folder_of(numbered(instance, i)), none))
      known.insert(id_of(numbered(instance, i)));
  int number = 0;
  while (known.count(numbered(instance, number)) != 0)
    ++number;
  if (number != 0)
    if (const auto written = storage::write_file_atomically(id_in(folder_of(instance)), numbered(instance, number)); !written)
      return failed(instance, written.error().message);
  std::ofstream{address_in(folder_of(instance))}.close(); // from here on there may be something for DEL
  auto answer = run_cni(call("ADD", instance), options_.patience);
  if (auto* failure = std::get_if<driver_failure>(&answer))
    return failed(instance, failure->message);
  auto address = parse_cni_address(std::get<std::string>(answer));
  if (auto* failure = std::get_if<driver_failure>(&address))
    return failed(instance, failure->message);
  if (const auto written = storage::write_file_atomically(address_in(folder_of(instance)), std::get<std::string>(address)); !written)
    return failed(instance, written.error().message);
  return address;
}

/// Only if it is another one: plugins of other instances read it at any time, and the next agent's need it whole.
storage::result<void> instance_networks::write_configuration() {
  const auto path = configuration_in(options_.data_directory);
  const auto text = cni_configuration(*options_.bridge, networks_folder(options_.data_directory) + "/leases");
  const std::lock_guard guard{configuration_mutex_};
  return file_head(path) == text ? storage::result<void>{} : storage::write_file_atomically(path, text);
}

cni_call instance_networks::call(const std::string& command, const std::string& instance) const {
  const auto path = namespace_in(folder_of(instance));
  return {options_.cni_folder, configuration_in(options_.data_directory), command, id_of(instance),
          is_network_namespace(path) ? path : std::string{}};
}

/// What the plugins did not take away makes room for another one, with another address, and is tried again as what nobody uses is.
/// Why not, as the rest of a sentence; empty: done.
std::string instance_networks::set_aside(const std::string& instance) {
  std::error_code error;
  for (int i = 1; i <= max_aside; ++i) {
    const auto aside = numbered(instance, i);
    if (fs::exists(folder_of(aside), error))
      continue;
    if (const auto written = storage::write_file_atomically(id_in(folder_of(instance)), id_of(instance)); !written)
      return "; it cannot be set aside either: " + written.error().message;
    fs::rename(folder_of(instance), folder_of(aside), error);
    if (error)
      return "; it cannot be set aside either: " + error.message();
    auto left = std::make_shared<place>();
    left->is_left = true;
    left->unused_since = clock::now();
    const std::lock_guard guard{mutex_};
    places_[aside] = std::move(left);
    return {};
  }
  return "; neither can " + std::to_string(max_aside) + " before it, which keep their addresses; mend what the plugin complains of";
}

/// Whatever there is of it. DEL goes first: it looks into the namespace for the address that it takes away, also from the rules of
/// masquerading; in place of one that is gone it is shown another with that address, or none, where it gives back the lease only.
/// Where it fails all stays, for the next try: the address is given away as long as the plugins say so.
std::string instance_networks::take_down(const std::string& instance, place& x) {
  const auto folder = folder_of(instance);
  std::error_code ignored;
  x.is_made = false;
  x.is_left = false;
  x.address.clear();
  x.unused_since = clock::now();
  if (options_.bridge && fs::exists(address_in(folder), ignored)) {
    const auto path = namespace_in(folder);
    if (const auto had = file_head(address_in(folder)); !is_network_namespace(path) && config::parse_ipv4(had))
      static_cast<void>(make_stand_in(path, std::string{cni_device}, had));
    const auto answer = run_cni(call("DEL", instance), options_.patience);
    if (const auto* failure = std::get_if<driver_failure>(&answer)) {
      x.is_left = true;
      return failure->message;
    }
  }
  remove_network_namespace(namespace_in(folder));
  fs::remove_all(folder, ignored);
  return {};
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
  if ((x.is_made || x.is_left) && x.users.empty() && clock::now() - x.unused_since >= unused_for)
    take_down(instance, x);
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
    it = it->second.use_count() == 1 && !it->second->is_made && !it->second->is_left && it->second->users.empty() ? places_.erase(it) : std::next(it);
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
