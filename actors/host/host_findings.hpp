#pragma once

// From what an agent found on its machine to what it offers the site. Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/site/host_offer.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

/// Obstacles are sentences; empty: there is none.
struct host_findings {
  std::vector<config::driver_kind> drivers; ///< that can be used; the first that is not `process` runs images
  std::string oci_runtime;                  ///< first line of `RUNTIME --version`; empty: it told none
  std::string engine;                       ///< `Docker 20.10.24+dfsg1`; empty: it has not told yet
  bool engine_joins_networks = false;       ///< it takes networks from outside
  std::string bridge_obstacle;              ///< to `network: bridge`, whatever the driver
  std::string users_obstacle;               ///< to user namespaces with oci
  std::string seccomp_obstacle;             ///< to a filter of system calls with oci
};

/// Nothing to offer while images are to be run by an engine that has not told yet what it is: what the site knows from before
/// still holds, and a host that is new runs no images until then.
host_offer offer_of(const host_findings& found);

/// The same from a host that cannot hold the site's address; empty: it can, or need not.
host_offer with_address_obstacle(host_offer offer, const std::string& why);

/// `runc version 1.1.5+ds1` → `runc 1.1.5`: name and version as people know them.
std::string short_version(std::string_view line);

} // namespace prunella::actors
