#pragma once

// A whole site in one thread on virtual time from one seed: the agent's own composition on every host, with links, disks,
// machines and clocks of the simulation. Everything that a site promises at all times is checked while time passes
// (`site_record.hpp`, `client_record.hpp`); a broken promise is an exception with a sentence.
//
//   simulated_site site({seed, 3});
//   REQUIRE(site.await_leader());
//   site.put(app("shop", {service("web", 2)}));
//   site.advance(2s);
//   site.crash_host("host-1");
//   REQUIRE(site.await([&] { return site.is_satisfied(); }, 5s));

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <caf/actor.hpp>
#include <caf/error.hpp>

#include "actors/host/composition.hpp"
#include "config/spec.hpp"
#include "net/http.hpp"
#include "net/memory_links.hpp"
#include "tests/actors/scripted_driver.hpp"
#include "tests/runtime/virtual_time.hpp"
#include "tests/sim/client_record.hpp"
#include "tests/sim/memory_stores.hpp"
#include "tests/sim/site_record.hpp"

namespace prunella::tests {

struct memory_disk;

struct simulation_options {
  std::uint64_t seed = 1; ///< of everything that is random, the order of messages included; not 0
  std::size_t hosts = 3;  ///< host-1 … host-N
  config::resources capacity{4'000, std::int64_t{4} << 30}; ///< of each
  config::liveness_profile liveness = config::liveness_profile::balanced;
  std::chrono::milliseconds clock_skew{300}; ///< wall clocks differ by up to this, either way
};

/// A service whose instances are one container of 100m and 16 MiB.
config::service_spec simulated_service(std::string name, std::uint32_t replicas);
config::application_spec simulated_application(std::string name, std::vector<config::service_spec> services,
                                               std::string version = "1");

class simulated_site {
public:
  using milliseconds = std::chrono::milliseconds;
  /// The answer to a request; empty until it came.
  using answer = std::shared_ptr<std::optional<net::http_response>>;

  explicit simulated_site(simulation_options options);
  ~simulated_site();

  // -- time --------------------------------------------------------------------------------------------------------------

  /// Lets time pass in small steps, checking after each.
  void advance(milliseconds amount);
  /// Until `done()` holds, at most `limit`; returns `done()`.
  bool await(const std::function<bool()>& done, milliseconds limit);
  milliseconds elapsed();

  // -- what can go wrong -------------------------------------------------------------------------------------------------

  /// The machine is gone at once: agent, containers, unsynced writes.
  void crash_host(const std::string& host);
  /// The agent process is killed; containers go on.
  void crash_agent(const std::string& host);
  /// Switches the machine on (if it is off) and starts its agent.
  void start_host(const std::string& host);
  /// Ends the actor at `path` (host-1/root/…) as no handler can prevent; false if there is none.
  bool kill_actor(const std::string& path);
  /// Containers of instances whose name starts with `instance` end with code 3 a moment after each start, on `host`
  /// (empty: on all), until `end_crash_loops`.
  void begin_crash_loop(const std::string& instance, const std::string& host);
  void end_crash_loops() { crash_loops_.clear(); }
  /// Asks the leader to hand over to `host`.
  void transfer_leadership(const std::string& host);

  net::memory_network& network() { return *network_; }
  scripted_host& machine(const std::string& host) { return *hosts_.at(host).machine; }
  /// What a service manager does: starts agents again whose root supervisor gave up.
  void restart_ended_agents();

  // -- what clients do ---------------------------------------------------------------------------------------------------

  answer request(const std::string& host, std::string method, std::string target, std::string body = {});
  /// The same, waited for: status of the answer.
  unsigned ask(const std::string& host, std::string method, std::string target, std::string body = {});
  /// Requests that `client_record` follows; one per application at a time.
  answer put(const config::application_spec& spec, const std::string& host);
  answer scale(const std::string& application, const std::string& service, std::uint32_t replicas, const std::string& host);
  answer remove(const std::string& application, const std::string& host);

  // -- what is -----------------------------------------------------------------------------------------------------------

  std::vector<std::string> hosts() const;
  std::vector<std::string> running_hosts() const; ///< whose agent runs
  bool is_on(const std::string& host) const { return hosts_.at(host).is_on; }
  bool has_agent(const std::string& host) const { return hosts_.at(host).inside != nullptr; }
  actors::composition& inside(const std::string& host) { return *hosts_.at(host).inside; }
  /// The host that leads in the newest term, of those whose agent runs; empty: none.
  std::string leader() const;
  bool await_leader(milliseconds limit = std::chrono::seconds{10});
  /// Where each instance runs, with its generation: of all containers on machines that are on.
  std::multimap<std::string, std::pair<std::string, std::uint64_t>> running() const;
  const actors::site_state& state() const { return record_.latest(); }
  const client_record& clients() const { return clients_; }
  const site_record& record() const { return record_; }
  /// Empty if every wanted instance runs exactly once, where and as the newest state assigns it, nothing else runs and all
  /// agents hold that state; otherwise the first difference as a sentence.
  std::string difference() const;
  bool is_satisfied() const { return difference().empty(); }
  /// The newest `count` events of all journals, for the report of a failure.
  std::string newest_events(std::size_t count) const;
  /// Depends on all that happened: equal runs have equal traces.
  std::uint64_t trace() const { return trace_; }

private:
  struct simulated_host {
    std::shared_ptr<memory_disk> log;
    std::shared_ptr<memory_database_file> database;
    std::shared_ptr<memory_journal_file> journal;
    std::shared_ptr<scripted_host> machine;
    std::unique_ptr<actors::composition> inside; ///< null: no agent runs
    caf::actor root;
    std::shared_ptr<const std::optional<caf::error>> root_end;
    bool is_on = false;
    milliseconds skew{0};
    std::uint64_t looked_at = 0; ///< log index of the state of its agent that `ends` is of
    std::map<std::pair<std::string, std::uint64_t>, milliseconds> ends; ///< (instance, generation) that its agent knows to have ended → since when
    std::set<std::int64_t> pids; ///< that were looked at
  };
  struct crash_loop {
    std::string instance;
    std::string host;
  };

  actors::outer_parts outside(const std::string& host);
  void end_agent(simulated_host& host);
  void check();
  void check_starts(const std::string& id, simulated_host& host);
  void run_crash_loops();
  answer follow(const std::string& application, content_change change, const std::string& host, std::string method,
                std::string target, std::string body);
  static bool suits(const actors::host_record& host, const config::service_spec& service);
  std::string missing(const std::string& name, const actors::assignment& x) const;

  simulation_options options_;
  config::site_spec spec_;
  std::mt19937_64 random_;
  site_record record_;
  client_record clients_;
  std::optional<std::string> broken_; ///< promise, the first
  virtual_time world_;
  std::unique_ptr<net::memory_network> network_;
  std::map<std::string, simulated_host> hosts_;
  std::vector<std::unique_ptr<actors::composition>> ended_; ///< their actors may still get messages
  std::vector<crash_loop> crash_loops_;
  std::uint64_t trace_ = 0;
};

} // namespace prunella::tests
