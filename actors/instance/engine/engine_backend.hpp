#pragma once

// Containers of images, run by a Docker or Podman that is on the host already, over its socket. Needs root, and an engine on
// the same machine: a container's main process is watched and signalled by the kernel's means, so that the end of one is
// known at once and none waits for an engine that hangs. At the engine a container has the name of ours and labels that say
// all that a later agent needs (`engine_api.hpp`). On the disk:
//   DATA/containers/NAME/log             what all starts of the container printed (`../container_log.hpp`)
//   DATA/containers/NAME/engine/START/   files and ephemeral volumes of one start; `id`: what the engine calls it

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "actors/instance/driver_backend.hpp"
#include "actors/instance/engine/engine_client.hpp"
#include "actors/instance/network/instance_networks.hpp"

namespace prunella::actors {

struct engine_backend_options {
  std::string data_directory;          ///< absolute
  std::string agent;                   ///< marks this agent's containers
  std::string socket;                  ///< as in `config::driver_spec`
  std::vector<std::string> host_paths; ///< below these the host's files may be given to containers
  std::shared_ptr<instance_networks> networks; ///< required
  /// Program and first arguments that run a command in a container (`engine_command.hpp`); empty: none can be run.
  std::vector<std::string> command_helper;
  std::chrono::milliseconds patience = engine_patience;
};

std::unique_ptr<driver_backend> make_engine_backend(engine_backend_options options);

} // namespace prunella::actors
