#pragma once

// Containers of images, run by an OCI runtime (runc, else crun) under conmon, each container with a conmon as its parent
// that outlives the agent. Needs root, an overlayfs and the two programs. Every start is a new container at the runtime,
// with an id and a folder of its own (`bundle.hpp`), so that the next need not wait until the last was cleared away:
//   DATA/containers/NAME/log       what all starts of the container printed (`../container_log.hpp`)
//   DATA/containers/NAME/run/ID/   the bundle of one start
//   DATA/oci/runtime/              what the runtime knows
//   DATA/oci/exits/ID              exit codes, by conmon
//   DATA/networks/                 of instances with a network of their own (`../network/instance_networks.hpp`)

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "actors/instance/driver_backend.hpp"
#include "actors/instance/network/instance_networks.hpp"

namespace prunella::actors {

struct oci_backend_options {
  std::string data_directory; ///< absolute
  std::string runtime;        ///< path of runc or crun
  std::string conmon;         ///< path of conmon
  std::vector<std::string> host_paths; ///< below these the host's files may be given to containers
  std::shared_ptr<instance_networks> networks{}; ///< required
};

/// The programs that this host has for it; `runtime` is a path, or empty for runc, else crun. Failure (no_driver): the
/// sentence says what is missing and which Debian package brings it.
struct oci_programs {
  std::string runtime;
  std::string conmon;
};
driver_result<oci_programs> find_oci_programs(const std::string& runtime);

std::unique_ptr<driver_backend> make_oci_backend(oci_backend_options options);

} // namespace prunella::actors
