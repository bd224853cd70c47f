#pragma once

// The logs of a host's containers, and the API's `/v1/logs` for those of the whole site: each host reads its own files in
// bounded pages, and the host that is asked gathers and merges them. Cursors are the clients': no reader costs anything
// between two requests. Who waits for news (`-f`) costs a look at the sizes of files ten times a second, here.
// Restart type: permanent. A crash drops the unfinished requests.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/host/wall_clock.hpp"
#include "actors/logs/log_messages.hpp"
#include "actors/site/state_cell.hpp"

namespace prunella::actors {

struct logs_actor_options {
  std::string host;
  std::shared_ptr<state_cell> state;
  /// The actor `name` on `host`; an invalid handle if it is local and not running.
  std::function<caf::actor(const std::string& host, const std::string& name)> actor_on;
  std::function<std::string(const std::string& container)> log_path; ///< on this host; empty: it keeps no logs
  wall_clock clock = wall_clock_ms;
  std::chrono::milliseconds host_timeout{2'000}; ///< for a page of another host, beyond what it was told to wait
  std::chrono::milliseconds look_every{100};     ///< at files that are waited for
  std::size_t max_waiting = 128;                 ///< requests of other hosts' and own readers that wait for news
  bool detached = false;                         ///< a thread of its own, as it waits for disks
};

/// Understands `read_logs`, and `api_call` of `/v1/logs`.
caf::actor spawn_logs(caf::local_actor* parent, logs_actor_options options);

} // namespace prunella::actors
