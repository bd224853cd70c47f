#pragma once

// A site of real hosts on this machine, one `prunella host run` process each: started, lost, restarted and asked by tests.

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "actors/api/views.hpp"
#include "config/json.hpp"
#include "config/spec.hpp"
#include "tests/cluster/program.hpp"
#include "tests/cluster/scratch_area.hpp"
#include "tests/cluster/site_network.hpp"

namespace prunella::tests {

/// What a host's API answered. `status` 0: nothing did, and `body` says why.
struct api_answer {
  unsigned status = 0;
  std::string body;
  std::chrono::milliseconds took{0};
  bool was_not_sent = false; ///< nobody took the connection

  bool is_good() const { return status >= 200 && status < 300; }
  actors::problem_view problem() const;
};

/// Where a host's API is, to be asked from any thread.
struct api_endpoint {
  std::string url;
  int network = -1; ///< namespace to ask from; -1: this process's own
};

api_answer call_api(const api_endpoint& endpoint, const std::string& method, const std::string& target,
                    const std::string& body = {}, std::chrono::milliseconds limit = std::chrono::seconds{20});

class site_processes {
public:
  /// Makes the site's file and keys, and starts nothing. Hosts are `host-1` … with the label `host` of the same value, 2
  /// cores and 1 GiB each. `balanced` (the default of a site) survives busy machines and finds a host down after 1 s.
  explicit site_processes(config::liveness_profile liveness = config::liveness_profile::balanced, int hosts = 3)
    : site_processes{liveness, hosts, false} {}
  /// The same; `change` may change the site's document.
  static site_processes with_document(config::liveness_profile liveness, int hosts,
                                      const std::function<void(config::site_spec&)>& change) {
    return {liveness, hosts, false, change};
  }
  /// The same with a network namespace for each host (`network()`); `change` may change the site's document.
  static site_processes with_network(config::liveness_profile liveness, int hosts,
                                     const std::function<void(config::site_spec&)>& change = {}) {
    return {liveness, hosts, true, change};
  }

  const std::vector<std::string>& hosts() const { return names_; }
  std::vector<std::string> hosts_without(const std::string& host) const;
  std::filesystem::path folder() const { return area_.path(); }
  std::filesystem::path site_file() const { return area_.path() / "site.yaml"; }
  std::filesystem::path data_dir(const std::string& host) const { return area_.path() / host; }
  std::filesystem::path log_file(const std::string& host) const { return area_.path() / (host + ".log"); }
  std::string link_address(const std::string& host) const;
  std::string url(const std::string& host) const;
  api_endpoint endpoint(const std::string& host) const { return {url(host), network_ ? network_->fd(host) : -1}; }
  std::vector<api_endpoint> endpoints(const std::vector<std::string>& hosts) const;
  site_network& network() { return *network_; }

  std::vector<std::string> more_words; ///< of `host run`, for every host that is started from now on

  /// The words behind `prunella` that start `host`.
  std::vector<std::string> run_words(const std::string& host, const std::string& on_exit = "keep") const;

  // -- what happens to hosts -------------------------------------------------------------------------------------------

  /// Starts the agent of `host`, waits until its API answers.
  void start(const std::string& host, const std::string& on_exit = "keep");
  /// Starts all and waits until they follow one leader.
  void start_all();
  /// SIGKILL to the agent only.
  void kill_agent(const std::string& host);
  /// The power cut: agent and all process groups of its containers, killed at once.
  void kill_host(const std::string& host) { kill_hosts({host}); }
  void kill_hosts(const std::vector<std::string>& hosts);
  /// SIGTERM; its exit code.
  int end(const std::string& host);
  program& agent(const std::string& host) { return agents_[host]; }
  /// SIGSTOP to the agent: it is there and does nothing, and nobody waits for its answers.
  void pause(const std::string& host);
  void resume(const std::string& host);

  /// The processes that run for containers of `host`, by container name: oldest one of each.
  std::map<std::string, pid_t> containers_of(const std::string& host) const;
  std::size_t processes_of(const std::string& host) const;

  // -- asking ----------------------------------------------------------------------------------------------------------

  api_answer call(const std::string& host, const std::string& method, const std::string& target,
                  const std::string& body = {}) const;

  /// What `host` answers to GET `target`; a default value if it does not answer.
  template <class View>
  View get(const std::string& host, const std::string& target) const {
    View view{};
    const auto answer = call(host, "GET", target);
    if (!answer.is_good())
      return view;
    const auto parsed = config::parse_json(answer.body);
    const auto problems = config::from_json(parsed.value, view);
    CHECK_MESSAGE((parsed.error.empty() && problems.empty()), target << " answered " << answer.body);
    return view;
  }
  actors::status_view status(const std::string& host) const { return get<actors::status_view>(host, "/status"); }
  /// As the leader sees it.
  std::vector<actors::instance_view> instances() const;
  actors::instance_view instance(const std::string& name) const;
  actors::host_view host(const std::string& id) const;
  actors::application_view application(const std::string& name) const;

  /// A living host that knows a leader; the first living one if none does.
  std::string some_host() const;
  /// The host that a majority calls leader; empty: none.
  std::string leader() const;

  api_answer apply(const config::application_spec& spec) const { return apply(some_host(), spec); }
  api_answer apply(const std::string& host, const config::application_spec& spec) const;
  api_answer scale(const std::string& application, const std::string& service, unsigned replicas) const;

  // -- waiting ---------------------------------------------------------------------------------------------------------

  /// Until `done()`; the test fails after `limit` with `what` and the state of the site. Returns how long it took.
  std::chrono::milliseconds wait_for(const std::string& what, const std::function<bool()>& done,
                                     std::chrono::milliseconds limit = std::chrono::seconds{30}) const;
  /// Until each of `hosts` follows the same living leader and has applied all that it has.
  void wait_for_agreement(const std::vector<std::string>& hosts) const;
  /// Until each of `hosts` follows the same living leader, while somebody writes.
  void wait_for_leader(const std::vector<std::string>& hosts) const;
  /// Until `count` instances are wanted and all run, and no other.
  std::chrono::milliseconds wait_for_running(std::size_t count) const;
  bool all_running(std::size_t count) const;

  /// Everything that helps to understand a failure: hosts, instances, last lines of the logs.
  std::string describe() const;

private:
  site_processes(config::liveness_profile liveness, int hosts, bool with_network,
                 const std::function<void(config::site_spec&)>& change = {});
  void make_keys() const;
  bool lives(const std::string& host) const;

  scratch_area area_; // first: its cleaner must not inherit anything of the rest
  std::unique_ptr<site_network> network_; ///< null: all are on loopback
  config::site_spec spec_;
  std::vector<std::string> names_;
  mutable std::map<std::string, program> agents_;
  std::map<std::string, std::string> urls_;
  std::set<std::string> paused_;
};

/// An application `name` of one service `main` with one container `one` that runs `command`, `replicas` times.
config::application_spec simple_application(const std::string& name, std::vector<std::string> command = {"sleep", "1000000"},
                                            unsigned replicas = 1);

/// `spec` as the body of a request.
std::string application_document(const config::application_spec& spec);

/// `spec`, to be placed only where the label expression holds.
config::application_spec on(const std::string& expression, config::application_spec spec);

} // namespace prunella::tests
