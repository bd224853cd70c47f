#pragma once

// What one start of a container is made of on the disk, in a folder of its own:
//   root          where the image's layers show, with upper/ and work/ beside it (`storage::mount_root`)
//   config.json   for the OCI runtime
//   files/        what the spec's `files` say, and /etc/hosts, /etc/hostname, /etc/resolv.conf
//   volumes/      ephemeral ones, and where paths of the host show until the container has them
//   conmon.pid, container.pid  (`conmon.hpp`)
// Persistent volumes live elsewhere, in DATA/volumes/INSTANCE/NAME, and stay.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/object.hpp>

#include "actors/instance/driver.hpp"
#include "actors/instance/images.hpp"
#include "actors/instance/oci/cgroup.hpp"
#include "actors/instance/oci/image_user.hpp"
#include "actors/instance/oci/runtime_spec.hpp"
#include "actors/instance/process.hpp"

namespace prunella::actors {

/// What is the same for all containers of a host.
struct bundle_options {
  std::string data_directory;          ///< absolute
  std::vector<std::string> host_paths; ///< below these the host's files may be given to containers
  std::uint64_t open_files = 0;        ///< as in `runtime_spec_request`
  bool swap_is_counted = false;
  cgroup_controllers controllers;
  boost::json::object seccomp;
  bool is_protected = false; ///< this process from the out-of-memory killer: what it starts is not to be
};

/// The network of the instance that the container is to be in.
struct bundle_network {
  std::string path;        ///< of its namespace; empty: the host's
  std::string address;     ///< numeric; empty: only loopback, or the host's
  std::string name_server; ///< numeric: who answers names here; empty: as on the host
};

/// What a container reads to find others: `host` is the host's own file. A name without a dot is looked for among the
/// services of `application`.
std::string resolver_text(const std::string& host, const std::string& name_server, const std::string& application);

/// Why containers here have no filter of system calls; empty: they have.
std::string seccomp_obstacle();

/// As this machine and this process are: limits, control groups (prepared), swap, and the seccomp profile that Debian ships, if it is there.
bundle_options options_of_machine(std::string data_directory, std::vector<std::string> host_paths);

/// Where a persistent volume of `instance` lies.
std::string persistent_volume_path(const std::string& data_directory, const std::string& instance,
                                   const std::string& volume);

/// The real path of a host path that a container may have. Error: volume_refused, when it is not there or, with all links
/// followed, not below an allowed one.
std::variant<std::string, driver_failure> host_volume(const std::string& path, const std::vector<std::string>& allowed);

/// Makes `folder` (which must exist) into the bundle of `order`, root mounted. `cgroup`: as in `runtime_spec_request`.
/// Errors: volume_refused, invalid_request (user, paths), data_directory_unusable. After one, the folder may hold a part.
std::optional<driver_failure> make_bundle(const container_order& order, const provided_image& image,
                                          const std::string& folder, const std::string& cgroup,
                                          const bundle_network& network, const bundle_options& options);

/// Only the volumes and files of it, for who has another way to a root file system: what is to be mounted, outer ones first.
/// Errors as `make_bundle`.
driver_result<std::vector<container_mount>> make_mounts(const container_order& order, const image_user& user,
                                                        const std::string& folder, const bundle_network& network,
                                                        const bundle_options& options);

/// The host name a container has: the last part of its instance's name, at most the 64 bytes that Linux takes.
std::string hostname_of(const std::string& instance);

} // namespace prunella::actors
