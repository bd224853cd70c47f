#include <doctest/doctest.h>

#include <optional>

#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/response_promise.hpp>

#include "actors/instance/container_actor.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/actors/scripted_driver.hpp"
#include "tests/runtime/virtual_time.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

struct fixture {
  virtual_time world;
  std::shared_ptr<scripted_host> host = std::make_shared<scripted_host>();
  virtual_time::collector<container_report> observer = world.collect<container_report>();
  bool has_driver = true;
  std::string image;
  config::probes_spec probes;
  ask_probe probe;
  time_ms now_ms = 1'000'000;
  caf::actor door;
  std::chrono::milliseconds drain{0};
  caf::actor driver = world.own(spawn_scripted_driver(world.system(), host));

  container_order order(std::uint64_t generation = 1) const {
    container_order made;
    made.name = "default.shop.web-1.front";
    made.instance = "default.shop.web-1";
    made.generation = generation;
    made.spec_hash = "hash";
    made.spec.name = "front";
    made.spec.grace = 10s;
    made.spec.image = image;
    made.spec.probes = probes;
    return made;
  }

  container_context context() {
    container_context made;
    made.driver = [this] { return has_driver ? driver : caf::actor{}; };
    made.observer = [this] { return observer.handle; };
    made.driver_retry = 50ms;
    made.driver_patience = 30s;
    made.margin = 20s;
    made.probe = probe;
    made.probe_addresses = {"127.0.0.1", "10.0.0.9"};
    made.clock = [this] { return now_ms; };
    made.door = [this] { return door; };
    made.drain = drain;
    return made;
  }

  // As an instance supervisor would, without being one.
  caf::actor spawn(std::uint64_t generation = 1) {
    auto container = std::make_shared<caf::actor>();
    world.own(world.system().spawn([=](caf::event_based_actor* parent) -> caf::behavior {
      *container = spawn_container(parent, order(generation), context(), {});
      return {[](caf::unit_t) {}};
    }));
    world.settle();
    return world.own(*container);
  }

  void stop(const caf::actor& container) {
    caf::anon_send_exit(container, caf::exit_reason::user_shutdown);
    world.settle();
  }

  void restart_driver() {
    caf::anon_send_exit(driver, caf::exit_reason::kill);
    world.settle();
    driver = world.own(spawn_scripted_driver(world.system(), host));
    world.settle();
  }

  std::vector<std::string> phases() const {
    std::vector<std::string> texts;
    for (const auto& report : *observer.got)
      texts.emplace_back(to_text(report.phase));
    return texts;
  }

  const container_report& last() const { return observer.got->back(); }
};

using texts = std::vector<std::string>;
const std::string front = "default.shop.web-1.front";

} // namespace

TEST_CASE_FIXTURE(fixture, "a container is reported as starting, then as running with its process") {
  host->start_time = 5ms;
  spawn();
  CHECK(phases() == texts{"starting"});
  world.advance(5ms);
  CHECK(phases() == texts{"starting", "running"});
  CHECK(last().container == front);
  CHECK(last().instance == "default.shop.web-1");
  CHECK(last().generation == 1);
  CHECK(last().pid == host->running[front].pid);
  CHECK_FALSE(last().adopted);
}

TEST_CASE_FIXTURE(fixture, "exit code 0 is a normal end, every other end an abnormal one with a sentence") {
  const auto good = world.watch(spawn());
  host->end(front, 0);
  world.settle();
  REQUIRE(*good);
  CHECK_FALSE(**good);
  CHECK(last().phase == container_phase::exited);
  CHECK(last().reason == "exited with code 0");

  const auto bad = world.watch(spawn());
  host->end(front, 3);
  world.settle();
  REQUIRE(*bad);
  CHECK(runtime::exit_kind_of(**bad) == runtime::exit_kind::abnormal);
  CHECK(runtime::reason_text(**bad) == "exited with code 3");
  CHECK(last().phase == container_phase::failed);
  CHECK(last().pid == 0);

  const auto killed = world.watch(spawn());
  host->end(front, 0, 9);
  world.settle();
  REQUIRE(*killed);
  CHECK(runtime::reason_text(**killed) == "was killed by signal 9 (SIGKILL)");
}

TEST_CASE_FIXTURE(fixture, "a refused start ends the actor with the driver's sentence") {
  host->refuse[front].push_back({driver_errc::command_not_found, "the command `x` was not found"});
  const auto end = world.watch(spawn());
  REQUIRE(*end);
  CHECK(is_driver_error(**end, driver_errc::command_not_found));
  CHECK(runtime::reason_text(**end) == "the command `x` was not found");
  CHECK(phases() == texts{"starting", "failed"});
  CHECK(last().reason == "the command `x` was not found");
}

TEST_CASE_FIXTURE(fixture, "an orderly shutdown waits until the container has stopped") {
  host->stop_time = 3s;
  const auto container = spawn();
  const auto end = world.watch(container);
  stop(container);
  CHECK(last().phase == container_phase::stopping);
  CHECK(last().pid > 0);
  world.advance(2999ms);
  CHECK_FALSE(*end);
  world.advance(1ms);
  REQUIRE(*end);
  CHECK(runtime::exit_kind_of(**end) == runtime::exit_kind::shutdown);
  CHECK(phases() == texts{"starting", "running", "stopping", "exited"});
  CHECK(host->running.empty());
}

namespace {

/// A front door with connections open to what it is asked about.
struct draining_fixture : fixture {
  std::vector<std::string> asked;
  std::optional<caf::response_promise> answer;

  draining_fixture() {
    drain = 5s;
    door = world.own(world.system().spawn([this](caf::event_based_actor* self) -> caf::behavior {
      return {[this, self](const drain_instance& x) {
                asked.push_back(x.instance + '/' + std::to_string(x.generation));
                answer = self->make_response_promise();
                return *answer;
              },
              [this](const std::string&) { answer->deliver(caf::unit); }};
    }));
  }
  bool is_running() const { return host->running.count(front) != 0; }
};

} // namespace

TEST_CASE_FIXTURE(draining_fixture, "a container is stopped when the last connection of the front door has ended") {
  const auto container = spawn();
  stop(container);
  CHECK(asked == texts{"default.shop.web-1/1"});
  CHECK(last().phase == container_phase::stopping);
  world.advance(4s);
  CHECK(is_running());
  caf::anon_send(door, std::string{"the connections ended"});
  world.advance(1ms);
  CHECK_FALSE(is_running());
  CHECK(phases() == texts{"starting", "running", "stopping", "exited"});
}

TEST_CASE_FIXTURE(draining_fixture, "connections that do not end within the drain time of 5 s are cut off") {
  const auto container = spawn();
  stop(container);
  world.advance(4'999ms);
  CHECK(is_running());
  world.advance(1ms);
  CHECK_FALSE(is_running());
  CHECK(last().phase == container_phase::exited);
}

TEST_CASE_FIXTURE(draining_fixture, "a container that ends while its connections do is over, and a lost driver ends the wait") {
  auto container = spawn();
  stop(container);
  host->end(front, 3);
  world.settle();
  CHECK(last().phase == container_phase::exited);
  CHECK(last().reason == "exited with code 3");

  container = spawn();
  stop(container);
  CHECK(is_running());
  restart_driver();
  world.advance(50ms);
  CHECK_FALSE(is_running());
}

TEST_CASE_FIXTURE(draining_fixture, "a container is stopped at once without a drain time, without a door, and before it runs") {
  SUBCASE("no drain time") { drain = 0ms; }
  SUBCASE("no door") { door = nullptr; }
  SUBCASE("it is being started") { host->start_time = 10s; }
  stop(spawn());
  CHECK(asked.empty());
  world.advance(11s);
  CHECK_FALSE(is_running());
}

TEST_CASE_FIXTURE(fixture, "an orderly shutdown in the middle of a start stops what is being started") {
  host->start_time = 5s;
  const auto container = spawn();
  const auto end = world.watch(container);
  stop(container);
  world.advance(1s);
  REQUIRE(*end);
  CHECK(host->running.empty());
  CHECK(phases() == texts{"starting", "stopping", "exited"});
}

TEST_CASE_FIXTURE(fixture, "a killed actor leaves its process, and its successor adopts it") {
  const auto first = spawn();
  const auto pid = last().pid;
  caf::anon_send_exit(first, caf::exit_reason::kill);
  world.settle();
  CHECK(host->running.count(front) == 1);
  spawn();
  CHECK(last().phase == container_phase::running);
  CHECK(last().pid == pid);
  CHECK(last().adopted);
  CHECK(host->starts.size() == 1);
  host->end(front, 3); // the successor is the owner now
  world.settle();
  CHECK(last().phase == container_phase::failed);
}

TEST_CASE_FIXTURE(fixture, "a driver that is restarted changes nothing for a running container") {
  const auto container = spawn();
  const auto end = world.watch(container);
  restart_driver();
  world.advance(50ms);
  CHECK_FALSE(*end);
  CHECK(phases() == texts{"starting", "running"});
  host->end(front, 4);
  world.settle();
  REQUIRE(*end);
  CHECK(runtime::reason_text(**end) == "exited with code 4");
}

TEST_CASE_FIXTURE(fixture, "a container that ended while its driver was away is reported as such") {
  const auto end = world.watch(spawn());
  caf::anon_send_exit(driver, caf::exit_reason::kill);
  world.settle();
  host->running.clear();
  restart_driver();
  world.advance(50ms);
  REQUIRE(*end);
  CHECK(runtime::reason_text(**end) == "ended while its driver was being restarted");
  CHECK(host->starts.size() == 1);
}

TEST_CASE_FIXTURE(fixture, "a container waits for a driver, until its patience ends") {
  has_driver = false;
  const auto end = world.watch(spawn());
  world.advance(29s);
  CHECK_FALSE(*end);
  SUBCASE("it comes in time") {
    has_driver = true;
    world.advance(50ms);
    CHECK(last().phase == container_phase::running);
  }
  SUBCASE("it does not come") {
    world.advance(1100ms);
    REQUIRE(*end);
    CHECK(runtime::reason_text(**end) == "there is no driver for default.shop.web-1.front");
    CHECK(last().phase == container_phase::failed);
  }
}

TEST_CASE_FIXTURE(fixture, "a driver that never answers is given up on after grace and margin") {
  host->silent = true;
  const auto end = world.watch(spawn());
  world.advance(29999ms);
  CHECK_FALSE(*end);
  world.advance(1ms);
  REQUIRE(*end);
  CHECK(**end == caf::make_error(container_errc::driver_unavailable));
}

TEST_CASE_FIXTURE(fixture, "a shutdown while the driver is being restarted is carried out by its successor") {
  const auto container = spawn();
  const auto end = world.watch(container);
  has_driver = false;
  caf::anon_send_exit(driver, caf::exit_reason::kill);
  world.settle();
  stop(container);
  world.advance(1s);
  CHECK_FALSE(*end);
  driver = world.own(spawn_scripted_driver(world.system(), host));
  has_driver = true;
  world.advance(50ms);
  REQUIRE(*end);
  CHECK(host->running.empty());
}

TEST_CASE_FIXTURE(fixture, "a driver that dies over a stop is asked again") {
  host->stop_time = 5s;
  const auto container = spawn();
  const auto end = world.watch(container);
  stop(container);
  world.advance(1s);
  restart_driver();
  world.advance(50ms);
  CHECK_FALSE(*end);
  CHECK(host->stops.size() == 2);
  world.advance(5s);
  REQUIRE(*end);
  CHECK(host->running.empty());
}

TEST_CASE_FIXTURE(fixture, "a report can be asked for at any time") {
  const auto container = spawn(7);
  const auto report = world.ask<container_report>(container, 1s, get_container_report{});
  REQUIRE(report);
  CHECK(*report == last());
  CHECK(report->generation == 7);
}

TEST_CASE_FIXTURE(fixture, "a container of an image is started when its image is there, however long that takes") {
  image = "shop/front:1";
  host->images_are_slow = true;
  spawn();
  world.advance(10min);
  CHECK(phases() == texts{"starting"});
  CHECK(host->starts.empty());
  host->give_images();
  world.settle();
  CHECK(phases() == texts{"starting", "running"});
}

TEST_CASE_FIXTURE(fixture, "a container whose image cannot be had fails with the reason, and one that runs needs no image") {
  image = "shop/front:1";
  host->refuse_image[front].push_back({driver_errc::image_unavailable, "there is no image shop/front:1"});
  const auto ended = world.watch(spawn());
  REQUIRE(*ended);
  CHECK(phases() == texts{"starting", "failed"});
  CHECK(last().reason == "there is no image shop/front:1");
  host->start(order());
  host->refuse_image[front].push_back({driver_errc::image_unavailable, "gone"});
  spawn();
  CHECK(last().phase == container_phase::running);
  CHECK(last().adopted);
}

TEST_CASE_FIXTURE(fixture, "a container that waits for its image is stopped at once") {
  image = "shop/front:1";
  host->images_are_slow = true;
  const auto container = spawn();
  stop(container);
  CHECK(phases() == texts{"starting", "stopping", "exited"});
  host->give_images();
  world.settle();
  CHECK(host->starts.empty());
}

// -- probes --------------------------------------------------------------------------------------------------------------

namespace {

/// Answers probes at once, as the test says.
struct probed_fixture : fixture {
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
