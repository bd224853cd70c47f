#pragma once

// Plain processes: needs no root, no image, no daemon. One process group per container, in its own session, with the
// environment as given. What it cannot do: limit resources, or catch a process that leaves its session and clears its
// environment.

#include <cstdint>
#include <memory>
#include <string>

#include "actors/instance/driver_backend.hpp"

namespace prunella::actors {

struct process_backend_options {
  std::string data_directory; ///< absolute
  std::string agent;          ///< marks this agent's processes
};

std::unique_ptr<driver_backend> make_process_backend(process_backend_options options);

} // namespace prunella::actors
