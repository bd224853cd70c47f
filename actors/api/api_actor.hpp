#pragma once

// The API of a host: any host of a site answers for all of it. Reads that only the leader knows whole are asked of the
// leader; if none answers, the host says what it knows itself and that it is alone. Writes go to the leader, again and
// again until one is elected or their time is over: each states what is wanted, so repeating is harmless. A write that
// fails says whether it is certain that nothing was changed.
// Restart type: permanent. A crash drops the unfinished calls; their clients get 500.

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/host/trouble_cell.hpp"
#include "actors/host/wall_clock.hpp"
#include "actors/site/leadership.hpp"
#include "actors/site/state_cell.hpp"
#include "actors/site/status_cell.hpp"
#include "net/http_router.hpp"

namespace prunella::actors {

struct api_options {
  std::string host;
  config::site_spec document; ///< of the site, as this host was started with
  std::string version;
  std::shared_ptr<state_cell> state;
  std::shared_ptr<leadership_cell> leader;
  std::shared_ptr<trouble_cell> trouble; ///< of this host
  std::vector<std::string> warnings{}; ///< about this host, sentences: what it does with less than it should
  /// The actor `name` on `host`, local or remote; an invalid handle if it is local and not running.
  std::function<caf::actor(const std::string& host, const std::string& name)> actor_on;
  wall_clock clock = wall_clock_ms;
  time_ms started_at = 0; ///< of the agent
  /// Kept by the `site` actor while this host leads; `GET /status` is answered from it while it is younger than that, by `now`.
  std::shared_ptr<status_cell> status = std::make_shared<status_cell>();
  std::chrono::milliseconds status_age{200};
  std::function<runtime::instant()> now = [] { return std::chrono::steady_clock::now(); };
  std::chrono::milliseconds read_timeout{1'000};
  std::chrono::milliseconds write_deadline{8'000}; ///< less than the HTTP server's answer deadline
  /// A write gives up when no leader has been known for this long: longer than an ordinary election takes.
  std::chrono::milliseconds leader_patience{2'000};
  std::chrono::milliseconds attempt_timeout{2'000}; ///< for one answer of a leader
  std::chrono::milliseconds retry_after{100};
  std::chrono::milliseconds import_patience{5'000}; ///< then an import is answered with 202, and asked about again
  std::size_t max_calls = 512; ///< unfinished writes; more get 503
};

caf::actor spawn_api(caf::local_actor* parent, api_options options);

/// Routes of the API, for the HTTP server; `api` is looked up for each request. `/healthz` answers without it, and so does
/// `/status` on the leader: what is polled most costs no actor a message.
net::http_router make_api_router(std::function<caf::actor()> api, const api_options& options);

} // namespace prunella::actors
