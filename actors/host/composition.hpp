#pragma once

// Everything that an agent runs, put together under one supervision tree. It has nothing of the world but its outer parts
// (links, disks, driver, clock), so the agent and the simulation of a whole site run the very same composition.
//
//   root (one_for_one)
//   ├─ links                           net: other hosts
//   ├─ images                          what containers run from; only where there is a store for them
//   ├─ driver                          runs containers
//   ├─ journal                         events
//   ├─ leading (supervisor)            holds `site` while this host leads
//   ├─ core (supervisor, rest_for_one) log, consensus, leadership, link-watch
//   ├─ applications (supervisor)       application → instance → container
//   ├─ host                            reconciles, reports
//   ├─ door                            tells the front door which instances are ready, if the host has one
//   ├─ address                         holds the site's address, if the host has an interface for it
//   ├─ logs, terminals                 what containers print; commands that somebody sits at, and tasks; with a data directory
//   ├─ tree, api                       answers

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <caf/actor.hpp>
#include <caf/fwd.hpp>

#include "actors/api/api_actor.hpp"
#include "actors/door/door_actor.hpp"
#include "actors/host/host_actor.hpp"
#include "actors/host/image_worker.hpp"
#include "actors/host/log_sink.hpp"
#include "actors/host/trouble_cell.hpp"
#include "actors/host/wall_clock.hpp"
#include "actors/site/host_contacts.hpp"
#include "actors/site/leadership.hpp"
#include "actors/site/membership.hpp"
#include "actors/site/site_actor.hpp"
#include "actors/site/state_cell.hpp"
#include "config/spec.hpp"
#include "net/address_device.hpp"
#include "net/http_router.hpp"
#include "net/links.hpp"
#include "runtime/supervisor.hpp"
#include "storage/event_journal.hpp"
#include "storage/images/shared_images.hpp"
#include "storage/site_database.hpp"

namespace prunella::actors {

/// What the log writer tells; called in its thread.
struct log_hooks {
  std::function<void()> say_ready;                       ///< its log is open
  std::function<void(const std::string&)> on_stalled; ///< why its disk takes nothing; empty: it does again
};

/// Takes a sentence about a file that was replaced.
using file_trouble = std::function<void(const std::string& sentence)>;

/// What reaches out of the process. All but `make_links` and `make_door` are called again when a supervisor restarts what uses them.
struct outer_parts {
  /// Links of this host. `options` names host, peers, exports and timeouts; addresses are as in the site's document.
  /// Called once.
  std::function<std::shared_ptr<net::links>(net::link_options options)> make_links;
  /// What the driver actor can run, as it is known now; the site places by it. Any thread may ask.
  std::function<host_offer()> offer = [] { return host_offer{{config::driver_kind::process}, {}, {}}; };
  std::vector<std::string> warnings; ///< sentences: what it does with less than it should; told in its status and once as events
  /// The front door of this host; empty: it has none. Called once. `options` names the host and its addresses as in the
  /// site's document, and what to tell.
  std::function<host_door_parts(net::door_options options)> make_door;
  /// Asks what probes want to know (`net/prober.hpp`); empty: nothing is probed.
  ask_probe probe;
  /// Takes the site's address; null: this host never holds it.
  std::shared_ptr<net::address_device> address_device;
  /// The driver actor (`actors/instance/driver.hpp`).
  std::function<caf::actor()> spawn_driver;
  /// The log writer of this member.
  std::function<caf::actor(log_hooks hooks)> spawn_log;
  /// A damaged one is begun anew: the sentence about it goes to `told`. The same for the journal.
  std::function<storage::result<std::unique_ptr<storage::site_database>>(const file_trouble& told)> open_database;
  std::function<storage::result<std::unique_ptr<storage::event_journal>>(const file_trouble& told)> open_journal;
  /// A number that no other host and no other start draws.
  std::function<std::uint64_t()> draw_seed;
  /// Of this host, absolute: what is used there is measured. Empty: nothing is.
  std::string data_directory;
  /// The images of this host; null: it keeps none.
  std::shared_ptr<storage::shared_images> images;
  /// What fetches images; called once. `keeper_of` finds the image keeper of a host, `settings` are the site's.
  std::function<image_runner(std::function<caf::actor(const std::string& host)> keeper_of,
                             std::function<config::image_settings()> settings)>
    make_image_runner;
  image_name_finder find_image_name; ///< of a file to import; with `images`
  bool may_unpack_images = false; ///< the agent is root
  wall_clock clock = wall_clock_ms;
  /// Actors that wait for a disk get threads of their own, so that a disk that hangs holds up no other actor. Never under
  /// virtual time.
  bool own_threads = false;
  log_sink log; ///< what an operator expects to read; may be empty
};

struct composition_options {
  config::site_spec site;
  std::string host; ///< one of the site's
  std::string version;
};

/// What an agent has to announce to CAF before its actor system starts: message types and error categories.
void announce(caf::actor_system_config& config);

/// Throws std::runtime_error with a sentence if `site` has no `host`.
void require_host(const config::site_spec& site, const std::string& host);

/// Must outlive the actors that it starts: they hold on to it.
class composition {
public:
  /// Makes the links and starts nothing. Throws std::runtime_error if the site has no such host, and what `make_links`
  /// throws.
  composition(caf::actor_system& system, composition_options options, outer_parts outer);

  composition(const composition&) = delete;
  composition& operator=(const composition&) = delete;

  /// Spawns the root supervisor; once.
  caf::actor start();

  /// The actor that other parts know as `name` ("site", "consensus", "host", "driver", "api", …), now; an invalid handle
  /// while it does not run.
  caf::actor local(const std::string& name) const;

  /// The API's routes, for an HTTP server.
  net::http_router router();

  /// The actors by path, for people and for fault injection.
  const runtime::actor_tree& tree() const { return *tree_; }

  const state_cell& state() const { return *state_; }
  const leadership_cell& leader() const { return *leader_; }

  /// Lets go of all actors of other hosts; after the root ended.
  void release();

private:
  net::link_options link_options();
  runtime::supervision_tree make_tree();
  runtime::supervised_child core_child();
  void on_log_stalled(const std::string& why);
  void on_replaced_file(const std::string& what);
  caf::actor start_images(const runtime::start_context& my);
  caf::actor start_journal(const runtime::start_context& my);
  caf::actor start_consensus(const runtime::start_context& my);
  caf::actor start_leadership(const runtime::start_context& my);
  const config::host_spec& own() const;
  std::vector<runtime::supervised_child> children_with_files();
  caf::actor start_logs(const runtime::start_context& my);
  caf::actor start_terminals(const runtime::start_context& my);
  caf::actor start_use(const runtime::start_context& my);
  caf::actor start_host(const runtime::start_context& my);
  host_door_parts make_door();
  caf::actor start_door(const runtime::start_context& my);
  caf::actor start_address(const runtime::start_context& my);
  api_options api_parts();
  caf::actor start_api(const runtime::start_context& my);
  site_actor_options site_options(std::uint64_t term, const std::string& former);
  void on_event(const runtime::supervision_event& event);
  void on_leader(const leadership& now);
  void say(log_level level, const std::string& line) const;
  void keep_containers(const std::string& why) const;
  void record(storage::journal_event event) const;
  caf::actor lookup(const std::string& path) const;
  caf::actor actor_on(const std::string& host, const std::string& name);
  caf::actor site_of_leader(); ///< an invalid handle if none is known

  caf::actor_system& system_;
  composition_options options_;
  outer_parts outer_;
  bool warned_ = false; ///< of `outer_parts::warnings`
  runtime::liveness_figures figures_;
  const time_ms started_at_;
  std::shared_ptr<runtime::actor_tree> tree_ = std::make_shared<runtime::actor_tree>();
  std::shared_ptr<state_cell> state_ = std::make_shared<state_cell>();
  std::shared_ptr<status_cell> status_ = std::make_shared<status_cell>();
  std::shared_ptr<leadership_cell> leader_ = std::make_shared<leadership_cell>();
  std::shared_ptr<trouble_cell> trouble_ = std::make_shared<trouble_cell>();
  std::shared_ptr<trouble_cell> address_trouble_ = std::make_shared<trouble_cell>(); ///< why this host cannot hold the site's address
  const hosts_by_member hosts_; ///< of the site's document
  std::shared_ptr<host_contacts> contacts_; ///< by consensus
  std::shared_ptr<host_memory> memory_ = std::make_shared<host_memory>();
  std::shared_ptr<net::links> links_;
  image_runner run_fetch_;
  host_door_parts door_;
  std::mutex proxies_mutex_;
  std::map<std::pair<std::string, std::string>, caf::actor> proxies_; ///< bounded: hosts × exported names
};

} // namespace prunella::actors
