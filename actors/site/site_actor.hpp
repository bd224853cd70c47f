#pragma once

// The site: decides for all of it, on the consensus leader only. Started when this host becomes leader and stopped when it
// no longer is; everything it holds is either in the replicated state or asked for again (reports, heartbeats), so a crash
// or a change of leadership loses nothing.
//
// Messages (`messages.hpp`):
//   host_heartbeat → heartbeat_answer   at once
//   site_request   → site_answer        when the command is applied; site_errc on no quorum; idempotent
//   view_request   → view_answer        at once, from the applied state
//   watch_ready    → ready_table        when it changes, at the latest after `ready_watch_hold`; one per host
//   image_report   (no answer)          who has which image; leads to `image_orders` to the hosts' image keepers
// Bounds: `max_requests` unfinished site_requests, one unfinished plan.

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/host/wall_clock.hpp"
#include "actors/site/host_contacts.hpp"
#include "actors/site/site_errors.hpp"
#include "actors/site/state_cell.hpp"
#include "actors/site/status_cell.hpp"
#include "config/spec.hpp"
#include "runtime/instant.hpp"
#include "runtime/liveness.hpp"

namespace prunella::actors {

struct site_actor_options {
  std::string host;   ///< the leader's own
  std::uint64_t term = 0;
  config::site_spec site; ///< registered if the state knows no site yet
  std::shared_ptr<state_cell> state;
  std::shared_ptr<status_cell> status = std::make_shared<status_cell>(); ///< kept while this actor lives
  std::function<caf::actor()> consensus; ///< looked up anew each time: it may be restarted
  runtime::liveness_figures figures;
  std::shared_ptr<host_contacts> contacts = std::make_shared<host_contacts>(); ///< by this host's clock
  std::map<std::string, runtime::instant> last_heard; ///< of the former leader's host, by this host's clock
  wall_clock clock = wall_clock_ms;
  std::chrono::milliseconds commit_timeout{4'000};
  std::size_t max_requests = 1'000;
  /// The image keeper of a host; empty: this site knows of no images.
  std::function<caf::actor(const std::string& host)> images_on{};
  std::chrono::milliseconds images_every{10'000}; ///< orders are told again, and reports asked for
};

caf::actor spawn_site(caf::local_actor* parent, site_actor_options options);

} // namespace prunella::actors
