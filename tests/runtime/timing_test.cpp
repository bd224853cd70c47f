// The values that judge time: restart intensity, backoff, failure detector, liveness figures.

#include <doctest/doctest.h>

#include <cmath>
#include <random>
#include <vector>

#include "runtime/backoff.hpp"
#include "runtime/deadlines.hpp"
#include "runtime/failure_detector.hpp"
#include "runtime/liveness.hpp"
#include "runtime/restart_intensity.hpp"

using namespace prunella;
using namespace prunella::runtime;
using namespace std::chrono_literals;

namespace {

constexpr instant origin{1h};

/// OTP's add_restart as it is written there: a list, newest first, cut at the first entry that is too old.
class otp_model {
public:
  explicit otp_model(restart_limit limit) : limit_(limit) {}

  bool add_restart(instant now) {
    std::vector<instant> kept{now};
    for (auto restart : restarts_) {
      if (restart < now - limit_.period)
        break;
      kept.push_back(restart);
    }
    restarts_ = std::move(kept);
    return restarts_.size() <= limit_.intensity;
  }

private:
  restart_limit limit_;
  std::vector<instant> restarts_;
};

} // namespace

TEST_CASE("the intensity window agrees with OTP's definition on 2,000 random histories, also beyond the limit") {
  const std::uint64_t seed = 20261121;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  for (int history = 0; history < 2000; ++history) {
    const restart_limit limit{static_cast<std::uint32_t>(random() % 6), std::chrono::milliseconds{1 + random() % 20}};
    restart_intensity ours{limit};
    otp_model model{limit};
    auto now = origin;
    for (int restart = 0; restart < 50; ++restart) {
      // Small steps, zero included, so that many restarts are exactly one period old.
      now += std::chrono::milliseconds{random() % 8};
      CAPTURE(history);
      CAPTURE(restart);
      REQUIRE(ours.add_restart(now) == model.add_restart(now));
    }
  }
}

TEST_CASE("a window of intensity 3: three restarts pass, a fourth within the period is too many") {
  restart_intensity window{{3, 5s}};
  CHECK(window.add_restart(origin));
  CHECK(window.add_restart(origin + 1s));
  CHECK(window.add_restart(origin + 2s));
  CHECK(!window.add_restart(origin + 5s));
  CHECK(window.add_restart(origin + 6s + 1ms));
}

TEST_CASE("backoff: 0, 100, 200, 400 … up to the maximum, and stays there") {
  restart_backoff backoff{{100ms, 1000ms, 20s, 0}};
  std::vector<int> delays;
  for (int i = 0; i < 7; ++i)
    delays.push_back(static_cast<int>(backoff.next(origin, origin + 1s).count()));
  CHECK(delays == std::vector<int>{0, 100, 200, 400, 800, 1000, 1000});
  CHECK(backoff.in_a_row() == 7);
}

TEST_CASE("backoff: a run of exactly the calm stretch starts afresh, one millisecond less does not") {
  for (auto run : {20'000ms, 19'999ms}) {
    CAPTURE(run.count());
    restart_backoff backoff{{100ms, 1000ms, 20s, 0}};
    backoff.next(origin, origin + 1s);
    backoff.next(origin, origin + 1s);
    CHECK(backoff.next(origin, origin + run) == (run == 20s ? 0ms : 200ms));
  }
}

TEST_CASE("backoff: a thousand restarts in a row do not overflow, also with a maximum of years") {
  restart_backoff backoff{{1ms, 24h * 3650, 24h * 3650, 0}};
  auto last = 0ms;
  for (int i = 0; i < 1000; ++i) {
    const auto delay = backoff.next(origin, origin);
    REQUIRE(delay >= last);
    last = delay;
  }
  CHECK(last == 24h * 3650);
}

TEST_CASE("backoff: jitter takes off at most its fraction, and nothing at a draw of zero") {
  for (double uniform : {0.0, 0.5, 0.999}) {
    restart_backoff backoff{{100ms, 1000ms, 20s, 0.2}};
    backoff.next(origin, origin, uniform);
    const auto delay = backoff.next(origin, origin, uniform);
    CHECK(delay == 100ms - std::chrono::milliseconds{static_cast<int>(20 * uniform)});
  }
}

TEST_CASE(
    "a host that falls silent on a regular link is suspected after exactly down_after, not a millisecond sooner") {
  for (auto profile :
       {config::liveness_profile::fast, config::liveness_profile::balanced, config::liveness_profile::patient}) {
    const auto figures = figures_of(profile);
    failure_detector detector{detector_for(figures), origin};
    auto now = origin;
    for (int i = 0; i < 500; ++i)
      detector.heartbeat(now += figures.contact());
    CHECK(detector.suspect_at() == now + figures.down_after);
    CHECK(!detector.is_suspect(now + figures.down_after - 1ms));
    CHECK(detector.is_suspect(now + figures.down_after));
  }
}

TEST_CASE("a host that never says a word is suspected as well") {
  failure_detector detector{failure_detector_options{}, origin};
  CHECK(!detector.is_suspect(origin + 999ms));
  CHECK(detector.is_suspect(origin + 1s));
}

TEST_CASE("an irregular link earns patience above down_after, but never beyond down_at_most") {
  const std::uint64_t seed = 7;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  auto silence_after = [&](double mean_ms, double deviation_ms, std::chrono::milliseconds at_most) {
    std::lognormal_distribution<double> interval{std::log(mean_ms), deviation_ms / mean_ms};
    failure_detector_options options;
    options.down_at_most = at_most;
    failure_detector detector{options, origin};
    auto now = origin;
    for (int i = 0; i < 1000; ++i)
      detector.heartbeat(now += std::chrono::microseconds{static_cast<int>(interval(random) * 1000)});
    return detector.suspect_at() - now;
  };
  CHECK(silence_after(100, 10, 5s) == 1s);
  const auto rough = silence_after(300, 150, 5s);
  CHECK(rough > 1050ms);
  CHECK(rough < 5s);
  CHECK(silence_after(300, 150, 1050ms) == 1050ms);
}

TEST_CASE("an outage is not learnt from: after it, silence is judged as before") {
  failure_detector detector{failure_detector_options{}, origin};
  auto now = origin;
  for (int i = 0; i < 200; ++i)
    detector.heartbeat(now += 100ms);
  detector.heartbeat(now += 1h);
  CHECK(detector.suspect_at() == now + 1s);
}

TEST_CASE("phi grows with the silence, reaches the threshold where suspicion would begin, and stays finite") {
  failure_detector_options options;
  options.down_after = options.heartbeat; // so that the adaptive part decides
  failure_detector detector{options, origin};
  auto now = origin;
  for (int i = 0; i < 200; ++i)
    detector.heartbeat(now += i % 2 == 0 ? 50ms : 150ms);
  double last = 0;
  for (int ms = 0; ms < 1000; ms += 10) {
    const auto phi = detector.phi(now + std::chrono::milliseconds{ms});
    REQUIRE(phi >= last);
    last = phi;
  }
  CHECK(detector.phi(detector.suspect_at()) == doctest::Approx(options.threshold).epsilon(0.001));
  CHECK(detector.phi(now + 24h) == 300);
}

TEST_CASE("a heartbeat that arrives out of order changes nothing") {
  failure_detector detector{failure_detector_options{}, origin};
  detector.heartbeat(origin + 100ms);
  const auto before = detector.suspect_at();
  detector.heartbeat(origin + 50ms);
  CHECK(detector.suspect_at() == before);
}

TEST_CASE("liveness profiles: what the site file promises, and that the figures fit each other") {
  const auto balanced = figures_of(config::liveness_profile::balanced);
  CHECK(balanced.heartbeat == 125ms);
  CHECK(balanced.down_after == 1s);
  CHECK(balanced.election_min() == 500ms);
  CHECK(balanced.election_max() == 1s);
  const auto patient = figures_of(config::liveness_profile::patient);
  CHECK(patient.heartbeat == 500ms);
  CHECK(patient.down_after == 10s);
  CHECK(patient.election_min() == 3s);
  for (auto profile :
       {config::liveness_profile::fast, config::liveness_profile::balanced, config::liveness_profile::patient}) {
    const auto figures = figures_of(profile);
    CHECK(figures.raft_tick * figures.raft_heartbeat_ticks == figures.heartbeat);
    CHECK(figures.election_min() >= 4 * figures.heartbeat);
    CHECK(figures.election_min() >= 2 * figures.contact());
    CHECK(figures.down_after >= 4 * figures.contact());
    CHECK(figures.down_after >= 2 * figures.report());
    CHECK(figures.down_after >= figures.election_max());
  }
}

TEST_CASE("deadlines are taken in their order, none before its time, one exactly at it") {
  deadlines all;
  const instant start{1h};
  all.add(start + 2s, 2);
  all.add(start + 1s, 1);
  all.add(start + 3s, 3);
  const auto always = [](std::uint64_t) { return true; };
  CHECK(all.next(always) == start + 1s);
  CHECK(!all.take_due(start + 1s - 1ns));
  CHECK(all.take_due(start + 2s) == 1u);
  CHECK(all.take_due(start + 2s) == 2u);
  CHECK(!all.take_due(start + 2s));
  CHECK(all.size() == 1);
}

TEST_CASE("deadlines that nobody awaits are passed over, and forgotten at the bound, not before") {
  deadlines all;
  const instant start{1h};
  for (std::uint64_t token = 1; token <= 10; ++token)
    all.add(start + std::chrono::seconds{token}, token);
  const auto even = [](std::uint64_t token) { return token % 2 == 0; };
  all.keep_below(10, even);
  CHECK(all.size() == 10);
  CHECK(all.next(even) == start + 2s);
  CHECK(all.size() == 9);
  all.keep_below(8, even);
  CHECK(all.size() == 5);
  CHECK(!all.next([](std::uint64_t) { return false; }));
  CHECK(all.size() == 0);
}
