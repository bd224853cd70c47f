#pragma once

// A running site on cables of its own, with an application spread over its hosts, a client that writes and a watch.

#include <memory>
#include <string>
#include <vector>

#include "tests/cluster/recording_client.hpp"
#include "tests/cluster/site_watch.hpp"

namespace prunella::tests {

struct wired_site {
  site_processes site = site_processes::with_network(config::liveness_profile::balanced, 3);
  std::vector<config::application_spec> specs{simple_application("shop", {"sleep", "1000000"}, 3)};
  std::unique_ptr<copies_watch> watch;
  std::unique_ptr<recording_client> client;

  wired_site();

  /// False, with a word to who reads the output, where this machine has no network namespaces.
  static bool is_possible();

  site_network& network() { return site.network(); }
  std::string a_follower() const { return site.hosts_without(site.leader()).front(); }

  /// Two of three go on: they have a leader, take changes, and run everything.
  void require_others_go_on(const std::string& without);

  /// After all is whole again: everybody follows one leader, all hosts are up, exactly what was asked for runs.
  void require_healed();

  /// Holds the client's record against what each host has.
  void finish();
};

/// For `how_long`, as a part of a scenario: a fault lasts so long.
void last_for(std::chrono::milliseconds how_long);

} // namespace prunella::tests
