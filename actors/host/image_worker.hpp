#pragma once

// The threads that fetch images: one for each order that the image keeper gives, ended with it. They ask other hosts over
// links and registries through skopeo.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/host/image_fetch.hpp"
#include "actors/host/wall_clock.hpp"
#include "storage/images/shared_images.hpp"

namespace prunella::actors {

/// How this host asks registries. Secrets stay in files: nothing of them is in a spec, a command line or a log.
struct registry_options {
  std::string auth_file;             ///< as `skopeo login --authfile` writes it; not there: anonymous
  std::string certificates;          ///< folder of authorities (`ca.crt`); empty: the system's
  std::vector<std::string> insecure; ///< `HOST:PORT` of registries that speak plain HTTP
  std::chrono::milliseconds stall_after{30'000};

  PRUNELLA_FIELDS(registry_options, auth_file, certificates, insecure, stall_after)
};

struct image_worker_options {
  std::shared_ptr<storage::shared_images> images;
  registry_options registry;
  /// Of copies from other hosts, all together; 0: no bound.
  std::function<std::int64_t()> bytes_per_second = [] { return std::int64_t{0}; };
  /// Of what comes from registries, all together; 0: no bound.
  std::function<std::int64_t()> uplink_bytes_per_second = [] { return std::int64_t{0}; };
  std::function<caf::actor(const std::string& host)> keeper_of;
  wall_clock clock = wall_clock_ms;
  std::chrono::milliseconds part_timeout{5'000}; ///< for an answer of another host
};

/// What `image_keeper_options::run` is for.
using image_runner = std::function<void(const fetch_order& order, std::function<bool(const fetch_progress&)> progress,
                                        std::function<void(const fetch_outcome&)> done)>;

/// Runs each order in a thread of its own in `system`, which waits for them when it ends; `progress` then has to say no.
image_runner make_image_runner(caf::actor_system& system, image_worker_options options);

/// What `image_keeper_options::find_name` is for.
using image_name_finder =
  std::function<void(const std::string& path, std::function<void(const storage::result<std::string>&)> done)>;

/// Reads each file in a thread of its own in `system`.
image_name_finder make_image_name_finder(caf::actor_system& system);

/// What to ask `registry` with.
storage::registry_access access_of(const registry_options& options, const std::string& registry);

} // namespace prunella::actors
