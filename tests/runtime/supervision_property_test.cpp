// Random children, strategies and events against the supervision value: what must hold after every step.

#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "tests/runtime/supervision_fixture.hpp"

using namespace prunella;
using namespace prunella::runtime;
using namespace prunella::tests;
using namespace std::chrono_literals;
using config::restart_strategy;
using config::restart_type;

namespace {

class random_world {
public:
  explicit random_world(std::uint64_t seed) : random(seed), names(random_spec()) {}

  void run(int steps) {
    misbehave();
    names.begin();
    check();
    for (int i = 0; i < steps && !names.has_ended; ++i) {
      step();
      check();
    }
    finish();
  }

private:
  std::uint64_t below(std::uint64_t n) { return random() % n; }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }

  child_spec random_child(std::string id) {
    auto spec = child(std::move(id), static_cast<restart_type>(below(3)));
    if (chance(3))
      spec.backoff = backoff_options{10ms, 40ms, 100ms, 0};
    if (chance(4))
      spec.shutdown = shutdown_policy::brutal();
    return spec;
  }

  supervisor_spec random_spec() {
    supervisor_spec spec;
    spec.strategy = static_cast<restart_strategy>(below(3));
    spec.order = chance(3) ? shutdown_order::together : shutdown_order::one_by_one;
    spec.limit = {static_cast<std::uint32_t>(5 + below(10)), 100ms};
    const auto n = below(6);
    for (std::uint64_t i = 0; i < n; ++i)
      spec.children.push_back(random_child("c" + std::to_string(i)));
    return spec;
  }

  std::string any_id() { return "c" + std::to_string(below(8)); }

  /// Which children are slow, stubborn or broken from now on.
  void misbehave() {
    names.slow_to_start.clear();
    names.stubborn.clear();
    names.fails_to_start.clear();
    for (int i = 0; i < 3; ++i) {
      if (chance(3))
        names.slow_to_start.insert(any_id());
      if (chance(3))
        names.stubborn.insert(any_id());
      if (chance(8))
        names.fails_to_start.insert(any_id());
    }
  }

  void step() {
    auto& core = names.core;
    switch (below(9)) {
    case 0:
    case 1:
    case 2: {
      const auto id = any_id();
      if (names.alive.count(id))
        names.exit(id, static_cast<exit_kind>(below(4)));
      return;
    }
    case 3: {
      const auto id = any_id();
      if (names.alive.count(id))
        names.say_ready(id);
      return;
    }
    case 4:
      return names.advance(std::chrono::milliseconds{below(60)});
    case 5:
      return names.run(core.start_child(++request, random_child(any_id()), names.now));
    case 6:
      return names.run(core.terminate_child(++request, any_id(), names.now));
    case 7:
      return names.run(chance(2) ? core.restart_child(++request, any_id(), names.now)
                                 : core.delete_child(++request, any_id(), names.now));
    default:
      misbehave();
      if (chance(40))
        names.stop();
    }
  }

  /// The value's picture of who runs is the truth, and groups come up in order.
  void check() {
    std::size_t active = 0;
    for (const auto& one : names.core.which_children()) {
      const bool runs =
          one.state == child_state::starting || one.state == child_state::running || one.state == child_state::stopping;
      CAPTURE(one.id);
      REQUIRE(runs == (names.alive.count(one.id) == 1));
      if (runs)
        REQUIRE(names.alive.at(one.id) == one.incarnation);
      active += runs ? 1 : 0;
    }
    REQUIRE(active == names.alive.size());
    REQUIRE(active == names.core.count_children().active);
    if (names.has_ended)
      REQUIRE(active == 0);
  }

  /// When all children behave, everything comes to rest: each request is answered, and a stop ends the supervisor.
  void finish() {
    names.slow_to_start.clear();
    names.fails_to_start.clear();
    names.stubborn.clear();
    names.advance(1min);
    check();
    for (std::uint64_t i = 1; i <= request; ++i) {
      CAPTURE(i);
      REQUIRE(names.replies.count(i) == 1);
    }
    for (const auto& one : names.core.which_children()) {
      CAPTURE(one.id);
      REQUIRE((one.state == child_state::running || one.state == child_state::stopped));
    }
    if (names.has_ended)
      return;
    names.stop();
    names.advance(1min);
    check();
    REQUIRE(names.has_ended);
    REQUIRE(names.core.current_phase() == supervision::phase::finished);
  }

  std::mt19937_64 random;
  supervised_names names;
  std::uint64_t request = 0;
};

} // namespace

TEST_CASE("3,000 random lives of a supervisor: its picture is true, requests are answered, and it always ends") {
  for (std::uint64_t seed = 1; seed <= 3000; ++seed) {
    INFO("seed " << seed);
    CAPTURE(seed);
    random_world{seed}.run(120);
  }
}
