#pragma once

// Debian's etcd with three members on loopback and a small load client: HTTP/1.1 keep-alive connections to the JSON
// gateway, one put of 1 KiB under way on each. etcd runs without TLS, between members and towards the client, and keeps
// its files on the disk that it is given. (Its own benchmark tool, which speaks gRPC, is not in Debian.)

#include <array>
#include <memory>
#include <string>

#include "tools/bench/child_process.hpp"
#include "tools/bench/consensus_group.hpp"

namespace prunella::bench {

/// Whether `etcd` is on this machine.
bool has_etcd();

struct etcd_timing {
  int heartbeat_ms = 100; ///< etcd's defaults
  int election_ms = 1000;
};

class etcd_group {
public:
  /// Throws std::runtime_error when it does not serve in time, as everything here.
  etcd_group(std::string folder, etcd_timing timing);

  int leader(); ///< 1 … 3, waited for
  load_figures load(int connections, double seconds);
  /// Milliseconds from SIGKILL of the leader to the first put that a survivor answers. The victim is started again.
  double failover();

private:
  void start(int number, bool new_group);
  void wait_until_whole();
  bool put(int number, int timeout_ms);

  std::string folder_;
  etcd_timing timing_;
  std::array<int, group_size> client_ports_{};
  std::array<int, group_size> peer_ports_{};
  std::array<std::unique_ptr<child_process>, group_size> members_;
};

} // namespace prunella::bench
