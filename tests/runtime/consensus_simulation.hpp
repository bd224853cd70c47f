#pragma once

// A consensus group in one thread from one seed: members with disks that lose what was not synced, a network that
// loses, doubles, delays, reorders and cuts, clocks that run apart, clients that write and read. After each step the
// safety properties of Ongaro 2014, figure 3.2, are checked over all members, and that nothing acknowledged is lost and
// reads are linearizable. In the end everything heals and the group must work again.

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "runtime/consensus/raft.hpp"

namespace prunella::tests {

using runtime::member_id;
using runtime::raft_message;
using runtime::shared_entry;

struct simulation_options {
  std::uint64_t seed = 1;
  std::size_t founders = 3; ///< voters at the start
  std::size_t spares = 2;   ///< may be added later
  std::size_t steps = 3000;
};

/// How much a run had of everything, to see that it was not a quiet one.
struct simulation_totals {
  std::uint64_t elections = 0, commits = 0, acknowledged = 0, reads = 0, crashes = 0, lost_writes = 0, messages = 0,
                membership_changes = 0, snapshots_installed = 0, snapshots_taken = 0, transfers = 0, truncations = 0,
                forgotten = 0;
};

class group_simulation {
public:
  explicit group_simulation(simulation_options options);
  /// Throws std::runtime_error with what was violated and at which step.
  void run();
  const simulation_totals& totals() const { return totals_; }

private:
  /// What a disk holds; survives a crash.
  struct stored {
    runtime::hard_state state;
    runtime::shared_snapshot snapshot;
    runtime::entry_id compacted;
    std::deque<shared_entry> entries;
  };
  struct waiting_write {
    runtime::write_request request;
    std::uint64_t due = 0;
  };
  /// The replicated state machine of the model: a hash chain over the commands, so equal state means equal history.
  struct machine {
    std::uint64_t applied = 0;
    std::uint64_t chain = 0;
  };
  struct waiting_read {
    std::uint64_t floor = 0; // the read must see at least this entry
    std::optional<std::uint64_t> index;
  };
  struct node {
    member_id id = 0;
    std::unique_ptr<runtime::raft> core; // null: crashed
    stored disk;
    std::deque<waiting_write> writes;
    machine state;
    machine stored_state; // of a durable state machine
    std::uint64_t disk_delay = 1;
    std::uint64_t checked_commit = 0;
    std::uint64_t checked_last = 0, checked_last_term = 0, checked_commit_term = 0;
    std::map<std::uint64_t, std::uint64_t> proposed; // index → term
    std::map<std::uint64_t, waiting_read> reads;     // context → read
    std::uint64_t checked_leader_term = 0;
    bool amnesiac = false; // its disk lost promises, and it knows
  };
  struct parcel {
    raft_message message;
    std::uint64_t due = 0;
  };
  struct fact { // about one log index
    std::uint64_t term = 0;
    std::uint64_t hash = 0;
    std::uint64_t seen_in_term = 0;
  };
  struct habits { // of this run, drawn from the seed: per mille of steps or messages
    unsigned loss, doubling, max_delay, crash, cut, membership, snapshot, transfer, slow_disk, reads, proposals,
        restless, restart, tick_odds, amnesia, notices;
    bool durable_machine;
  };

  [[noreturn]] void fail(const std::string& what) const;
  unsigned draw(unsigned below) { return below == 0 ? 0 : static_cast<unsigned>(random_() % below); }
  bool chance(unsigned per_mille) { return draw(1000) < per_mille; }
  node& any_node() { return nodes_[draw(static_cast<unsigned>(nodes_.size()))]; }
  node* leader();

  void start(node& n);
  void crash(node& n);
  void forget(node& n);
  void step_once();
  void inject_faults();
  void act_as_client();
  void change_membership();
  void deliver_due();
  void deliver(raft_message message);
  void finish_writes(node& n, bool all);
  void drain(node& n);
  void apply(node& n, const std::vector<shared_entry>& entries);
  void finish_reads(node& n);
  void post(raft_message message);
  void heal_and_converge();

  static void write(stored& disk, const runtime::write_request& request);
  void check(node& n);
  void check_log(node& n, std::uint64_t from);
  void check_leader(node& n);

  simulation_options options_;
  std::mt19937_64 random_;
  habits habits_;
  std::vector<node> nodes_;
  std::vector<parcel> network_;
  std::set<std::pair<member_id, member_id>> cut_; // from → to
  std::uint64_t now_ = 0;
  bool healing_ = false;
  std::uint64_t next_command_ = 1;
  std::uint64_t next_context_ = 1;

  std::map<std::uint64_t, member_id> leaders_; // term → leader
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<std::uint64_t, std::uint64_t>>
      entries_;                                        // (index, term) → (hash, term before)
  std::map<std::uint64_t, fact> committed_;            // index → entry
  std::map<std::uint64_t, std::uint64_t> chain_after_; // index → machine's chain
  std::uint64_t highest_acknowledged_ = 0;
  std::uint64_t highest_read_ = 0;
  simulation_totals totals_;
};

} // namespace prunella::tests
