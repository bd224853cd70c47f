#include <chrono>
#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "tests/runtime/consensus_simulation.hpp"

using namespace prunella::tests;

namespace {

struct seed_range {
  std::uint64_t first = 1;
  std::uint64_t last = 1;
};

/// `PRUNELLA_CONSENSUS_SEEDS=FIRST-LAST` (or one number) instead of the default range.
seed_range seeds(std::uint64_t default_count) {
  const char* text = std::getenv("PRUNELLA_CONSENSUS_SEEDS");
  if (!text)
    return {1, default_count};
  char* rest = nullptr;
  const auto first = std::strtoull(text, &rest, 10);
  return {first, *rest == '-' ? std::strtoull(rest + 1, nullptr, 10) : first};
}

void run_seeds(std::size_t founders, const std::string& test_case) {
  const auto range = seeds(40);
  simulation_totals sum;
  for (auto seed = range.first; seed <= range.last; ++seed) {
    group_simulation group({seed, founders, 2, 3000});
    try {
      group.run();
    } catch (const std::exception& e) {
      const auto report = "seed " + std::to_string(seed) + ": " + e.what() +
                          "\n  replay: PRUNELLA_CONSENSUS_SEEDS=" + std::to_string(seed) +
                          " build-debug/tests/runtime/test_consensus_sim -tc='" + test_case + "'";
      FAIL(report);
    }
    const auto& t = group.totals();
    sum.elections += t.elections;
    sum.commits += t.commits;
    sum.acknowledged += t.acknowledged;
    sum.reads += t.reads;
    sum.crashes += t.crashes;
    sum.lost_writes += t.lost_writes;
    sum.messages += t.messages;
    sum.membership_changes += t.membership_changes;
    sum.snapshots_installed += t.snapshots_installed;
    sum.snapshots_taken += t.snapshots_taken;
    sum.transfers += t.transfers;
    sum.truncations += t.truncations;
    sum.forgotten += t.forgotten;
  }
  MESSAGE(founders << " founders, seeds " << range.first << "-" << range.last << ": " << sum.elections << " elections, "
                   << sum.commits << " commits, " << sum.acknowledged << " acknowledged, " << sum.reads << " reads, "
                   << sum.crashes << " crashes, " << sum.forgotten << " forgotten logs, " << sum.lost_writes << " lost writes, " << sum.truncations
                   << " truncations, " << sum.membership_changes << " membership changes, " << sum.snapshots_taken
                   << " snapshots taken, " << sum.snapshots_installed << " installed, " << sum.transfers
                   << " transfers, " << sum.messages << " messages");
  if (range.last - range.first < 20)
    return; // a replay of few seeds need not contain everything
  CHECK(sum.elections > 0);
  CHECK(sum.acknowledged > 0);
  CHECK(sum.reads > 0);
  CHECK(sum.lost_writes > 0);
  CHECK(sum.truncations > 0);
  CHECK(sum.forgotten > 0);
  CHECK(sum.membership_changes > 0);
  CHECK(sum.snapshots_installed > 0);
  CHECK(sum.transfers > 0);
}

} // namespace

TEST_CASE("three members stay safe under loss, cuts, crashes, repaired logs and membership changes, and recover") {
  run_seeds(3, "three members*");
}

TEST_CASE("five members stay safe under loss, cuts, crashes, repaired logs and membership changes, and recover") {
  run_seeds(5, "five members*");
}
