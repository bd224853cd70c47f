#pragma once

// The driver of a host: the actor behind `driver.hpp`. It keeps the account of what runs and hands each order to one of
// the host's backends: a container of an image to `oci/oci_backend.hpp` or `engine/engine_backend.hpp`, any other to
// `process_backend.hpp`.
//
// Spawned by the composition root (detached: it does file and process work), child of the agent's root supervisor,
// restart type permanent. A crash loses nothing but unanswered requests: the next one finds the running containers by
// their records before it answers anything, and ends what nobody recorded.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/instance/driver_backend.hpp"
#include "actors/instance/engine/engine_client.hpp"
#include "actors/instance/network/host_bridge.hpp"
#include "config/spec.hpp"
#include "storage/container_records.hpp"

namespace prunella::actors {

struct container_driver_options {
  std::string data_directory; ///< the host's own, used by one agent at a time; made absolute
  std::string agent;          ///< marks this agent's processes; empty: `data_directory`
  std::shared_ptr<storage::container_records> records; ///< required; outlives the actor, used by nobody else
  std::vector<config::driver_spec> drivers{{}};        ///< those of the host that it has (`available_drivers`)
  std::vector<std::string> host_paths;                 ///< of the host: what of its files containers may have
  std::shared_ptr<host_bridge> bridge;                 ///< of the host, for `network: bridge`; null: it has none
  std::function<caf::actor()> images; ///< who provides images (`images.hpp`); called for each; empty: nobody
  std::chrono::milliseconds image_patience{std::chrono::hours{1}}; ///< for an image to be there
  std::vector<std::string> engine_helper{}; ///< as `engine_backend_options::command_helper`
  std::chrono::milliseconds engine_patience = actors::engine_patience;
  std::size_t max_containers = 1024;               ///< start → too_many beyond
  std::size_t max_waiting = 64;                    ///< stop and wait requests per container; then too_many
  std::size_t max_commands = 16;                   ///< in containers at a time; exec → too_many beyond
  std::size_t max_commands_of_instance = 3;        ///< of these
  std::size_t threads = 4;                         ///< that start and clear away containers of slow backends
  bool detached = true;                            ///< an own thread; only tests want false
};

/// The drivers that a host offers: those its document asks for, or if it asks for none, process, and oci where the agent
/// runs as root and has the programs. Of one that was asked for and cannot be had, `missing` says why; whether an engine
/// answers is not looked at, as it may come and go.
struct available_drivers {
  std::vector<config::driver_spec> drivers; ///< `runtime` is the program's path
  std::vector<std::string> missing;
};
available_drivers find_drivers(const std::vector<config::driver_spec>& wanted);

/// Quits at once, with a `driver_errc`, if the records cannot be read or the options make no sense.
caf::actor spawn_container_driver(caf::actor_system& system, container_driver_options options);

} // namespace prunella::actors
