#pragma once

// Three members of a consensus group, each a process of its own, as their parent sees them.

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "tools/bench/child_process.hpp"
#include "tools/bench/consensus_member.hpp"

namespace prunella::bench {

struct load_figures {
  double per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
};

class consensus_group {
public:
  /// `folder` exists; the members keep their files there. Returns when all three have the same log under one leader.
  /// Throws std::runtime_error, as everything here, when something takes longer than it may.
  consensus_group(std::string folder, std::string profile);

  int leader(); ///< 1 … 3, waited for
  /// Commands of 1 KiB from a client in the process of member `at` to the leader.
  load_figures load(int at, int outstanding, double seconds);
  /// Milliseconds from SIGKILL of the leader (or SIGSTOP: no connection breaks) to the first command committed by its
  /// successor. The victim is started again and has caught up when this returns.
  double failover(bool silent);

private:
  void start(int number);
  void start_again(int number);
  void introduce();
  void wait_until_whole();
  std::string ask(int number, const std::string& question);
  child_process& member(int number) { return *members_[static_cast<std::size_t>(number - 1)]; }

  std::string folder_;
  std::string profile_;
  std::array<std::unique_ptr<child_process>, group_size> members_;
  std::array<std::string, group_size> addresses_;
};

} // namespace prunella::bench
