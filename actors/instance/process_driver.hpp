#pragma once

// The driver for plain processes: needs no root, no image, no daemon. One process group per container, in its own session,
// with the environment as given; it outlives this actor and the agent. See `driver.hpp` for the messages.
//
// Spawned by the composition root (detached: it does file and process work), child of the agent's root supervisor,
// restart type permanent. A crash loses nothing but unanswered requests: the next one finds the running processes by
// their records before it answers anything, and kills marked processes that nobody recorded.
//
// What it cannot do: limit resources, or catch a process that leaves its session and clears its environment.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <caf/fwd.hpp>

#include "actors/instance/log_keeper.hpp"
#include "storage/container_records.hpp"

namespace prunella::actors {

struct process_driver_options {
  std::string data_directory; ///< the host's own, used by one agent at a time; made absolute
  std::string agent;          ///< marks this agent's processes; empty: `data_directory`
  std::shared_ptr<storage::container_records> records; ///< required; outlives the actor, used by nobody else
  std::int64_t log_cap_bytes = default_log_cap;    ///< of each log file; a container has at most four
  std::size_t max_containers = 1024;               ///< start → too_many beyond
  std::size_t max_waiting = 64;                    ///< stop and wait requests per container; then too_many
  bool detached = true;                            ///< an own thread; only tests want false
};

/// Quits at once, with a `driver_errc`, if the records cannot be read or the options make no sense.
caf::actor spawn_process_driver(caf::actor_system& system, process_driver_options options);

} // namespace prunella::actors
