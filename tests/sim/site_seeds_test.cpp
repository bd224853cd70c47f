#include <cstdlib>
#include <string>

#include <doctest/doctest.h>

#include "tests/sim/site_script.hpp"

using namespace prunella::tests;

namespace {

struct seed_range {
  std::uint64_t first = 1;
  std::uint64_t last = 1;
};

/// `PRUNELLA_SITE_SEEDS=FIRST-LAST` (or one number) instead of the default range.
seed_range seeds(std::uint64_t default_count) {
  const char* text = std::getenv("PRUNELLA_SITE_SEEDS");
  if (text == nullptr)
    return {1, default_count};
  char* rest = nullptr;
  const auto first = std::strtoull(text, &rest, 10);
  return {first, *rest == '-' ? std::strtoull(rest + 1, nullptr, 10) : first};
}

/// Of a failure: `PRUNELLA_SITE_EVENTS`, 60 unless told.
std::size_t events_shown() {
  const char* text = std::getenv("PRUNELLA_SITE_EVENTS");
  return text == nullptr ? 60 : std::strtoull(text, nullptr, 10);
}

void run_seeds(std::size_t hosts, const std::string& test_case, std::uint64_t default_count) {
  const auto range = seeds(default_count);
  std::map<std::string, std::uint64_t> steps;
  std::uint64_t acknowledged = 0;
  std::uint64_t unclear = 0;
  std::uint64_t states = 0;
  std::chrono::milliseconds time{0};
  for (auto seed = range.first; seed <= range.last; ++seed) {
    site_script life({seed, hosts, 40});
    try {
      life.run();
    } catch (const std::exception& e) {
      const auto report = "seed " + std::to_string(seed) + ", " + std::to_string(life.site().elapsed().count()) + " ms: "
                          + e.what() + "\n  replay: PRUNELLA_SITE_SEEDS=" + std::to_string(seed)
                          + " build-debug/tests/sim/test_site_seeds -tc='" + test_case + "'\nsteps:\n" + life.story()
                          + "newest events:\n" + life.site().newest_events(events_shown());
      FAIL_CHECK(report);
    }
    for (const auto& [kind, count] : life.counts())
      steps[kind] += count;
    acknowledged += life.site().clients().acknowledged();
    unclear += life.site().clients().unclear();
    states += life.site().record().states();
    time += life.site().elapsed();
  }
  std::string text;
  for (const auto& [kind, count] : steps)
    text += ", " + std::to_string(count) + ' ' + kind;
  MESSAGE(hosts << " hosts, seeds " << range.first << "-" << range.last << ": " << time.count() / 1000 << " s of virtual time, "
                << states << " states, " << acknowledged << " acknowledged, " << unclear << " unclear" << text);
  CHECK(states > 0);
  if (range.last > range.first + 3)
    CHECK(acknowledged > 0);
}

} // namespace

TEST_CASE("a site of three hosts keeps its promises whatever fails, and comes to rest when it is healed") {
  run_seeds(3, "*three hosts*", 8);
}

TEST_CASE("a site of five hosts keeps its promises whatever fails, and comes to rest when it is healed") {
  run_seeds(5, "*five hosts*", 4);
}

TEST_CASE("a site of two hosts keeps its promises whatever fails, and comes to rest when it is healed") {
  run_seeds(2, "*two hosts*", 4);
}

TEST_CASE("a site of one host keeps its promises whatever fails, and comes to rest when it is healed") {
  run_seeds(1, "*one host *", 4);
}

TEST_CASE("the same seed gives the same life to the last message") {
  site_script one({77, 3, 20});
  site_script two({77, 3, 20});
  one.run();
  two.run();
  CHECK(one.story() == two.story());
  CHECK(one.site().trace() == two.site().trace());
  CHECK(one.site().newest_events(1'000) == two.site().newest_events(1'000));
}
