#pragma once

// What hosts and containers use, beside what the site reserved for them, as rows of the API. Pure.

#include <string>
#include <utility>
#include <vector>

#include "actors/site/site_state.hpp"
#include "actors/use_messages.hpp"

namespace prunella::actors {

/// `GET /v1/use/hosts` → array of these, by host. Hosts that did not answer are in the header `Prunella-Unreachable`.
struct host_use_view {
  std::string host;
  config::resources capacity; ///< that placement may hand out, as its document says
  config::resources reserved; ///< by the instances assigned to it
  machine_use machine;        ///< measured; also what others use there
  std::uint32_t containers = 0;
  std::string warning; ///< why its capacity cannot be true; empty: it can

  PRUNELLA_FIELDS(host_use_view, host, capacity, reserved, machine, containers, warning)
};

/// `GET /v1/use/containers` → array of these, by name.
struct container_use_view {
  std::string host;
  container_use use;
  config::resources reserved; ///< zero: nothing, or the site does not know it (any more)
  std::int64_t disk_limit_bytes = 0; ///< 0: none

  PRUNELLA_FIELDS(container_use_view, host, use, reserved, disk_limit_bytes)
};

/// A host and its answer.
using host_uses = std::vector<std::pair<std::string, use_answer>>;

std::vector<host_use_view> host_use_views(const site_state& state, const host_uses& answers);
std::vector<container_use_view> container_use_views(const site_state& state, const host_uses& answers);

} // namespace prunella::actors
