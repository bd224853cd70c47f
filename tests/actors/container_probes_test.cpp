// When a container is probed, and what the answers mean: values.

#include <doctest/doctest.h>

#include "actors/instance/container_probes.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace std::chrono_literals;

namespace {

const runtime::instant start{std::chrono::hours{1}};
using kinds = std::vector<probe_kind>;

config::probe_spec probe(std::chrono::milliseconds period = 1s) {
  config::probe_spec x;
  x.tcp.port = 80;
  x.period = period;
  x.failures = 2;
  return x;
}

const probe_outcome good{true, "", "", 1ms};
const probe_outcome bad{false, "refused", "", 1ms};

} // namespace

TEST_CASE("without probes a container is ready and nothing is ever due") {
  container_probes x({}, start);
  CHECK(x.is_ready());
  CHECK(x.start_due(start + 1h).empty());
  CHECK(x.next_due() == runtime::instant::max());
}

TEST_CASE("a probe is due after its start delay, then once in each period, and never twice at once") {
  config::probes_spec spec;
  spec.liveness = probe();
  spec.liveness.start_delay = 500ms;
  container_probes x(spec, start);
  CHECK(x.next_due() == start + 500ms);
  CHECK(x.start_due(start + 499ms).empty());
  CHECK(x.start_due(start + 500ms) == kinds{probe_kind::liveness});
  CHECK(x.next_due() == runtime::instant::max());
  CHECK(x.start_due(start + 5s).empty()); // no answer yet
  x.take(probe_kind::liveness, good, start + 5s);
  CHECK(x.next_due() == start + 1500ms);
  CHECK(x.start_due(start + 5s) == kinds{probe_kind::liveness});
  x.take(probe_kind::liveness, good, start + 5s);
  CHECK(x.next_due() == start + 6s); // what was missed is not made up for
}

TEST_CASE("until the startup probe passes nothing else is probed and the container is not ready") {
  config::probes_spec spec;
  spec.startup = probe();
  spec.liveness = probe();
  container_probes x(spec, start);
  CHECK(x.start_due(start) == kinds{probe_kind::startup});
  CHECK(x.unready_reason() == "its startup probe has not passed yet");
  CHECK(x.take(probe_kind::startup, bad, start).give_up == "");
  CHECK(x.start_due(start + 1s) == kinds{probe_kind::startup});
  const auto verdict = x.take(probe_kind::startup, good, start + 1s);
  CHECK(verdict.has_changed);
  CHECK(x.is_ready());
  CHECK(x.start_due(start + 1s) == kinds{probe_kind::liveness});
  CHECK(x.start_due(start + 1h).empty()); // it starts once only
}

TEST_CASE("a startup or liveness probe that fails as often as it may is not given up, once more in a row is") {
  for (const auto kind : {probe_kind::startup, probe_kind::liveness}) {
    config::probes_spec spec;
    (kind == probe_kind::startup ? spec.startup : spec.liveness) = probe();
    container_probes x(spec, start);
    auto now = start;
    const auto answer = [&](const probe_outcome& outcome) {
      REQUIRE(x.start_due(now) == kinds{kind});
      now += 1s;
      return x.take(kind, outcome, now).give_up;
    };
    CHECK(answer(bad) == "");
    if (kind == probe_kind::liveness) {
      CHECK(answer(good) == "");
      CHECK(answer(bad) == ""); // in a row
    }
    CHECK(answer(bad) == std::string(to_text(kind)) + " probe failed: refused");
  }
}

TEST_CASE("readiness begins with no, needs its successes in a row, and is lost with its failures in a row") {
  config::probes_spec spec;
  spec.readiness = probe();
  spec.readiness.successes = 2;
  container_probes x(spec, start);
  auto now = start;
  const auto ready_after = [&](const probe_outcome& outcome) {
    x.start_due(now);
    now += 1s;
    CHECK(x.take(probe_kind::readiness, outcome, now).give_up == "");
    return x.is_ready();
  };
  CHECK_FALSE(x.is_ready());
  CHECK_FALSE(ready_after(good));
  CHECK_FALSE(ready_after(bad));
  CHECK(x.unready_reason() == "readiness probe failed: refused");
  CHECK_FALSE(ready_after(good));
  CHECK(ready_after(good));
  CHECK(ready_after(bad));
  CHECK(ready_after(good));
  CHECK(ready_after(bad));
  CHECK_FALSE(ready_after(bad));
}

TEST_CASE("a good answer at max-latency is good, one a millisecond later is bad, and without a limit none is") {
  config::probes_spec spec;
  spec.liveness = probe();
  spec.liveness.failures = 1;
  const auto verdict_of = [&](std::chrono::milliseconds took) {
    container_probes x(spec, start);
    x.start_due(start);
    return x.take(probe_kind::liveness, {true, "", "", took}, start).give_up;
  };
  CHECK(verdict_of(1h) == "");
  spec.liveness.max_latency = 100ms;
  CHECK(verdict_of(100ms) == "");
  CHECK(verdict_of(101ms) == "liveness probe failed: it answered later than its max-latency of 100 ms");
}

TEST_CASE("an answer that nobody waits for changes nothing") {
  config::probes_spec spec;
  spec.liveness = probe();
  spec.liveness.failures = 1;
  container_probes x(spec, start);
  CHECK(x.take(probe_kind::liveness, bad, start).give_up == "");
  CHECK(x.take(probe_kind::readiness, bad, start).give_up == "");
}

TEST_CASE("what was adopted is presumed ready until its first answer, startup probe or not") {
  config::probes_spec spec;
  spec.readiness = probe();
  SUBCASE("readiness") {}
  SUBCASE("startup") { spec.startup = probe(); }
  const auto kind = spec.startup.is_set() ? probe_kind::startup : probe_kind::readiness;
  container_probes x(spec, start, true);
  CHECK(x.is_ready());
  REQUIRE(x.start_due(start) == kinds{kind});
  CHECK(x.is_ready());
  CHECK(x.take(kind, bad, start).has_changed);
  CHECK_FALSE(x.is_ready());
}

TEST_CASE("what was adopted stays ready while liveness and startup answer well, and its first good readiness is enough") {
  config::probes_spec spec;
  spec.startup = probe();
  spec.liveness = probe();
  spec.readiness = probe();
  spec.readiness.successes = 3;
  container_probes x(spec, start, true);
  auto now = start;
  const auto take = [&](probe_kind kind, const probe_outcome& outcome) {
    x.start_due(now);
    now += 10s;
    x.take(kind, outcome, now);
    return x.is_ready();
  };
  CHECK(take(probe_kind::startup, good));
  CHECK(take(probe_kind::liveness, good));
  CHECK(take(probe_kind::readiness, good));
  CHECK(take(probe_kind::readiness, good));
}

TEST_CASE("what a failed probe printed is told when the failure is new, and is no news while it stays the same") {
  config::probes_spec spec;
  spec.readiness = probe();
  spec.liveness = probe();
  container_probes x(spec, start);
  auto now = start;
  const auto take = [&](probe_kind kind, const std::string& problem, const std::string& detail) {
    x.start_due(now);
    now += 1s;
    return x.take(kind, {false, problem, detail, 1ms}, now);
  };
  CHECK(take(probe_kind::readiness, "exit code 1", "at 12:00").has_changed);
  CHECK(x.unready_reason() == "readiness probe failed: exit code 1: at 12:00");
  CHECK_FALSE(take(probe_kind::readiness, "exit code 1", "at 12:01").has_changed);
  CHECK(take(probe_kind::readiness, "exit code 2", "").has_changed);
  take(probe_kind::liveness, "exit code 1", "first");
  CHECK(take(probe_kind::liveness, "exit code 1", "last").give_up == "liveness probe failed: exit code 1: last");
}

TEST_CASE("a probe that nobody could ask says nothing, and is asked again when it is due") {
  config::probes_spec spec;
  spec.liveness = probe();
  spec.liveness.failures = 1;
  container_probes x(spec, start);
  x.start_due(start);
  CHECK(x.next_due() == runtime::instant::max());
  x.give_back(probe_kind::liveness);
  CHECK(x.next_due() == start + 1s);
  CHECK(x.start_due(start + 1s) == kinds{probe_kind::liveness});
}
