// What ends a container that runs: its probes, and its disk limit.

#include <doctest/doctest.h>

#include <optional>

#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/response_promise.hpp>

#include "actors/instance/container_actor.hpp"
#include "actors/instance/driver_error.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/actors/container_fixture.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

// -- probes --------------------------------------------------------------------------------------------------------------

namespace {

/// Answers probes at once, as the test says.
struct probed_fixture : container_fixture {
  bool is_good = true;
  std::chrono::milliseconds took{1};
  int asked = 0;
  texts addresses; ///< of the last question
  std::string problem = "127.0.0.1:80 answered 503, not 200-399";

  probed_fixture() {
    probe = [this](const net::probe_question& question, const std::function<void(const net::probe_finding&)>& done) {
      ++asked;
      addresses = question.addresses;
      done({is_good, is_good ? "" : problem, took});
    };
  }

  static config::probe_spec every_second() {
    config::probe_spec made;
    made.http.port = 80;
    made.period = 1s;
    made.failures = 2;
    return made;
  }
};

} // namespace

TEST_CASE_FIXTURE(probed_fixture, "a container without probes is ready when it runs, and nobody asks it") {
  spawn();
  world.advance(1min);
  CHECK(last().phase == container_phase::running);
  CHECK(last().is_ready);
  CHECK(asked == 0);
}

TEST_CASE_FIXTURE(probed_fixture, "readiness comes and goes with its probe, and ends nothing") {
  probes.readiness = every_second();
  is_good = false;
  spawn();
  CHECK(last().phase == container_phase::running);
  CHECK_FALSE(last().is_ready);
  CHECK(last().unready_reason == "readiness probe failed: 127.0.0.1:80 answered 503, not 200-399");
  CHECK(addresses == texts{"127.0.0.1:80", "10.0.0.9:80"});
  is_good = true;
  world.advance(1s);
  CHECK(last().is_ready);
  CHECK(last().unready_reason == "");
  is_good = false;
  world.advance(1s);
  CHECK(last().is_ready); // once is not enough
  world.advance(1s);
  CHECK_FALSE(last().is_ready);
  world.advance(1min);
  CHECK(last().phase == container_phase::running);
}

TEST_CASE_FIXTURE(probed_fixture, "a container whose liveness probe fails is ended, and ends abnormally with that reason") {
  probes.liveness = every_second();
  const auto end = world.watch(spawn());
  world.advance(1s);
  CHECK(asked == 2);
  is_good = false;
  world.advance(1s);
  CHECK_FALSE(*end);
  world.advance(1s);
  REQUIRE(*end);
  CHECK(host->running.count(front) == 0);
  CHECK(host->stops.size() == 1);
  CHECK(last().phase == container_phase::failed);
  CHECK(last().reason == "liveness probe failed: 127.0.0.1:80 answered 503, not 200-399");
  CHECK(runtime::exit_kind_of(**end) == runtime::exit_kind::abnormal);
  CHECK(**end == caf::make_error(container_errc::unhealthy));
  const auto so_far = asked;
  world.advance(10s);
  CHECK(asked == so_far);
}

TEST_CASE_FIXTURE(probed_fixture, "answers that are later than max-latency for too long end a container as no answer does") {
  probes.liveness = every_second();
  probes.liveness.max_latency = 200ms;
  const auto end = world.watch(spawn());
  took = 200ms;
  world.advance(3s);
  CHECK_FALSE(*end);
  took = 201ms;
  world.advance(2s);
  REQUIRE(*end);
  CHECK(last().reason == "liveness probe failed: it answered later than its max-latency of 200 ms");
}

TEST_CASE_FIXTURE(probed_fixture, "a container that is stopped while its probe is being answered is stopped, not failed") {
  std::function<void(const net::probe_finding&)> answer;
  probe = [&](const net::probe_question&, const std::function<void(const net::probe_finding&)>& done) { answer = done; };
  probes.liveness = every_second();
  probes.liveness.failures = 1;
  host->stop_time = 3s;
  const auto container = spawn();
  const auto end = world.watch(container);
  stop(container);
  answer({false, "refused", 1ms});
  world.advance(3s);
  REQUIRE(*end);
  CHECK(runtime::exit_kind_of(**end) == runtime::exit_kind::shutdown);
  CHECK(phases() == texts{"starting", "running", "stopping", "exited"});
  answer = nullptr;
}

TEST_CASE_FIXTURE(probed_fixture, "what is being ended over its liveness probe and is stopped meanwhile ends once, as stopped") {
  probes.liveness = every_second();
  probes.liveness.failures = 1;
  is_good = false;
  host->stop_time = 3s;
  const auto container = spawn();
  const auto end = world.watch(container);
  stop(container);
  world.advance(10s);
  REQUIRE(*end);
  CHECK(runtime::exit_kind_of(**end) == runtime::exit_kind::shutdown);
  CHECK(host->running.empty());
}

TEST_CASE_FIXTURE(probed_fixture, "an adopted container is presumed ready until its probe answers, and its start delay is over") {
  probes.readiness = every_second();
  probes.readiness.start_delay = 30s;
  std::function<void(const net::probe_finding&)> answer;
  probe = [&](const net::probe_question&, const std::function<void(const net::probe_finding&)>& done) {
    ++asked;
    answer = done;
  };
  world.advance(1s); // at the very beginning a start has no time
  caf::anon_send_exit(spawn(), caf::exit_reason::kill);
  world.settle();
  CHECK_FALSE(last().is_ready);
  CHECK(asked == 0);
  now_ms = host->running[front].started_at_ms + 30'000;
  spawn();
  CHECK(last().adopted);
  CHECK(last().is_ready);
  REQUIRE(asked == 1);
  answer({false, "refused", 1ms});
  world.settle();
  CHECK_FALSE(last().is_ready);
  answer = nullptr;
}

TEST_CASE_FIXTURE(probed_fixture, "a command probe is run in the container, and its exit code and first line are the reason") {
  probes.liveness.command = {"check", "--fast"};
  probes.liveness.period = 1s;
  probes.liveness.timeout = 300ms;
  probes.liveness.failures = 2;
  const auto end = world.watch(spawn(3));
  REQUIRE(host->execs.size() == 1);
  CHECK(host->execs[0].name == front);
  CHECK(host->execs[0].generation == 3);
  CHECK(host->execs[0].command == texts{"check", "--fast"});
  CHECK(host->execs[0].timeout == 300ms);
  exec_result timed_out;
  timed_out.timed_out = true;
  exec_result failed;
  failed.exit_code = 3;
  failed.output = "\n no database\x01\nmore";
  host->exec_answers[front] = {timed_out, exec_result{}, timed_out, failed};
  world.advance(3s);
  CHECK_FALSE(*end);
  world.advance(1s);
  REQUIRE(*end);
  CHECK(last().reason == "liveness probe failed: `check` ended with exit code 3: no database");
  CHECK(asked == 0);
}

TEST_CASE_FIXTURE(probed_fixture, "a command probe that cannot be run for want of a driver fails nothing and is tried again") {
  probes.liveness.command = {"check"};
  probes.liveness.period = 1s;
  probes.liveness.failures = 1;
  has_driver = true;
  const auto end = world.watch(spawn());
  has_driver = false;
  world.advance(5s);
  CHECK_FALSE(*end);
  CHECK(host->execs.size() == 1);
  has_driver = true;
  exec_result failed;
  failed.exit_code = 1;
  host->exec_answers[front] = {failed};
  world.advance(1s);
  CHECK(*end);
}

TEST_CASE_FIXTURE(probed_fixture, "a command probe that the runtime refuses has failed, with its reason, and one that the engine is not there for has not") {
  auto code = driver_errc::engine_away;
  SUBCASE("the engine is away") {}
  SUBCASE("the runtime refuses") { code = driver_errc::runtime_failed; }
  const bool fails = code == driver_errc::runtime_failed;
  probes.liveness.command = {"check"};
  probes.liveness.period = 1s;
  probes.liveness.failures = 2;
  const auto end = world.watch(spawn());
  driver = world.own(world.system().spawn([code](caf::event_based_actor*) -> caf::behavior {
    return {[code](const exec_container&) -> caf::result<exec_result> { return to_error({code, "no way in"}); }};
  }));
  world.advance(10s);
  CHECK(end->has_value() == fails);
  if (fails)
    CHECK(last().reason.find("no way in") != std::string::npos);
}

// -- disk limit ----------------------------------------------------------------------------------------------------------

TEST_CASE_FIXTURE(container_fixture, "a container over its disk limit is stopped and fails with what it filled") {
  disk_limit_bytes = 1 << 30;
  const auto end = world.watch(spawn());
  world.advance(1s);
  REQUIRE(counts.size() == 1);
  CHECK(counts[0].container == front);
  CHECK(counts[0].pid == host->running[front].pid);
  disk_used = 1 << 30;
  world.advance(1s);
  CHECK(counts.size() == 2);
  CHECK_FALSE(*end);
  disk_used = std::int64_t{6} << 28;
  world.advance(1s);
  REQUIRE(*end);
  CHECK(runtime::reason_text(**end) == "filled 1.5 GiB of its disk limit of 1 GiB");
  CHECK(runtime::exit_kind_of(**end) == runtime::exit_kind::abnormal);
  CHECK(last().phase == container_phase::failed);
  CHECK(host->stops == texts{front});
}

TEST_CASE_FIXTURE(container_fixture, "without a limit nothing is counted, and without a counter it is looked for again") {
  spawn();
  world.advance(20s);
  CHECK(counts.empty());
  disk_limit_bytes = 1 << 30;
  has_counter = false;
  spawn(2);
  world.advance(20s);
  CHECK(counts.empty());
  has_counter = true;
  world.advance(1s);
  CHECK(counts.size() == 1);
}

TEST_CASE_FIXTURE(container_fixture, "a container that is told to stop is not counted any more") {
  disk_limit_bytes = 1 << 30;
  host->stop_time = 5s;
  const auto container = spawn();
  stop(container);
  disk_used = std::int64_t{2} << 30;
  world.advance(3s);
  CHECK(counts.empty());
  CHECK(last().phase == container_phase::stopping);
}
