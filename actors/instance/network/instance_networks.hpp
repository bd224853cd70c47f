#pragma once

// The networks of this host's instances: one namespace per instance, shared by its containers, made with the first of them
// and kept while they are restarted. On the disk:
//   DATA/networks/cni.json                        what the CNI plugins are told
//   DATA/networks/leases/                         host-local's account of addresses
//   DATA/networks/instances/INSTANCE/namespace    the namespace (a mount)
//   DATA/networks/instances/INSTANCE/address      its address; there, but empty, while it is put on the bridge
//   DATA/networks/instances/INSTANCE/id           what the plugins know it by, if not by the name of the instance
//   DATA/networks/instances/INSTANCE_N/           a former one that a plugin did not take away: it is asked again from time to time
// A reboot takes the namespaces, the bridge and the rules, and leaves all these files. A folder is there before anything else of
// its instance and goes when nothing else is left, so the next agent finds whatever a crash, or a plugin that failed, left. Needs
// root.

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "actors/instance/driver.hpp"
#include "actors/instance/network/cni.hpp"
#include "actors/instance/network/host_bridge.hpp"
#include "actors/instance/process.hpp"
#include "storage/errors.hpp"

namespace prunella::actors {

struct instance_networks_options {
  std::string data_directory;          ///< absolute
  std::shared_ptr<host_bridge> bridge; ///< null: this host offers no `network: bridge`
  std::string cni_folder = std::string{default_cni_folder};
  std::chrono::milliseconds patience{30'000};    ///< for one call of a plugin
  std::chrono::milliseconds keep_unused{60'000}; ///< for an instance whose containers are not running at the moment
};

struct instance_network_place {
  std::string path;    ///< of the namespace
  std::string address; ///< numeric; empty: it has only loopback
};

/// All functions may be called by any thread.
class instance_networks {
public:
  explicit instance_networks(instance_networks_options options) : options_(std::move(options)) {}

  /// Once, before all others: the networks of `users` (instance, container start) are kept, all others removed.
  void recover(const std::vector<std::pair<std::string, std::string>>& users);

  /// The network of `instance` for the container start `user`; `network` is bridge or none. Errors: network_failed.
  driver_result<instance_network_place> join(const std::string& instance, config::instance_network network,
                                             const std::string& user);

  /// `user` ended. The network goes with its last user if that is `for_good`, else when nobody used it for a while.
  void leave(const std::string& instance, const std::string& user, bool for_good);

  /// The address of an instance on the bridge; empty for others.
  std::string address_of(const std::string& instance) const;

  /// Who answers names on this host, numeric; empty: nobody.
  std::string name_server() const;

private:
  using clock = std::chrono::steady_clock;

  struct place {
    std::mutex mutex; ///< held while it is made or removed
    std::set<std::string> users;
    std::string address;
    bool is_made = false;
    bool is_left = false; ///< a part of it could not be taken away: that is tried again
    clock::time_point unused_since{};
  };

  std::string folder_of(const std::string& instance) const;
  std::string id_of(const std::string& instance) const;
  std::shared_ptr<place> find(const std::string& instance) const;
  driver_result<std::string> make(const std::string& instance, config::instance_network network);
  driver_result<std::string> attach(const std::string& instance);
  cni_call call(const std::string& command, const std::string& instance) const;
  storage::result<void> write_configuration();
  std::string set_aside(const std::string& instance);
  std::string take_down(const std::string& instance, place& x);
  void remove_if_unused(const std::string& instance, place& x, clock::duration unused_for);
  void remove_unused();

  const instance_networks_options options_;
  mutable std::mutex mutex_; ///< of the map; no place's is taken while it is held
  std::mutex configuration_mutex_;
  std::map<std::string, std::shared_ptr<place>> places_;
};

} // namespace prunella::actors
