#include <doctest/doctest.h>

#include <optional>

#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/response_promise.hpp>

#include "actors/instance/container_actor.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/actors/container_fixture.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

TEST_CASE_FIXTURE(container_fixture, "a container is reported as starting, then as running with its process") {
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

TEST_CASE_FIXTURE(container_fixture, "exit code 0 is a normal end, every other end an abnormal one with a sentence") {
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

TEST_CASE_FIXTURE(container_fixture, "a refused start ends the actor with the driver's sentence") {
  host->refuse[front].push_back({driver_errc::command_not_found, "the command `x` was not found"});
  const auto end = world.watch(spawn());
  REQUIRE(*end);
  CHECK(is_driver_error(**end, driver_errc::command_not_found));
  CHECK(runtime::reason_text(**end) == "the command `x` was not found");
  CHECK(phases() == texts{"starting", "failed"});
  CHECK(last().reason == "the command `x` was not found");
}

TEST_CASE_FIXTURE(container_fixture, "an orderly shutdown waits until the container has stopped") {
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
struct draining_fixture : container_fixture {
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

TEST_CASE_FIXTURE(container_fixture, "an orderly shutdown in the middle of a start stops what is being started") {
  host->start_time = 5s;
  const auto container = spawn();
  const auto end = world.watch(container);
  stop(container);
  world.advance(1s);
  REQUIRE(*end);
  CHECK(host->running.empty());
  CHECK(phases() == texts{"starting", "stopping", "exited"});
}

TEST_CASE_FIXTURE(container_fixture, "a killed actor leaves its process, and its successor adopts it") {
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

TEST_CASE_FIXTURE(container_fixture, "a driver that is restarted changes nothing for a running container") {
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

TEST_CASE_FIXTURE(container_fixture, "a container that ended while its driver was away is reported as such") {
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

TEST_CASE_FIXTURE(container_fixture, "a container waits for a driver, until its patience ends") {
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

TEST_CASE_FIXTURE(container_fixture, "a driver that never answers is given up on after grace and margin") {
  host->silent = true;
  const auto end = world.watch(spawn());
  world.advance(29999ms);
  CHECK_FALSE(*end);
  world.advance(1ms);
  REQUIRE(*end);
  CHECK(**end == caf::make_error(container_errc::driver_unavailable));
}

TEST_CASE_FIXTURE(container_fixture, "a shutdown while the driver is being restarted is carried out by its successor") {
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

TEST_CASE_FIXTURE(container_fixture, "a driver that dies over a stop is asked again") {
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

TEST_CASE_FIXTURE(container_fixture, "a report can be asked for at any time") {
  const auto container = spawn(7);
  const auto report = world.ask<container_report>(container, 1s, get_container_report{});
  REQUIRE(report);
  CHECK(*report == last());
  CHECK(report->generation == 7);
}

TEST_CASE_FIXTURE(container_fixture, "a container of an image is started when its image is there, however long that takes") {
  image = "shop/front:1";
  host->images_are_slow = true;
  spawn();
  world.advance(999ms);
  CHECK(phases() == texts{"starting"});
  world.advance(10min);
  CHECK(phases() == texts{"starting", "starting"}); // told once, after a second
  CHECK(last().reason == "the image shop/front:1 is not here yet");
  CHECK(host->starts.empty());
  host->give_images();
  world.settle();
  CHECK(phases() == texts{"starting", "starting", "running"});
  CHECK(last().reason.empty());
}

TEST_CASE_FIXTURE(container_fixture, "a container that waits for an init container for a second says for which, then for its image") {
  image = "shop/front:1";
  host->images_are_slow = true;
  gate = std::make_shared<init_gate>(std::vector<std::string>{"migrate", "fill"});
  spawn();
  world.advance(999ms);
  CHECK(phases() == texts{"starting"});
  world.advance(1ms);
  CHECK(last().reason == "its init container migrate is not done yet");
  gate->pass("migrate");
  world.settle();
  world.advance(1s);
  CHECK(last().reason == "its init container fill is not done yet");
  gate->pass("fill");
  world.settle();
  world.advance(1min);
  CHECK(last().reason == "the image shop/front:1 is not here yet");
  CHECK(phases() == texts{"starting", "starting", "starting", "starting"});
  host->give_images();
  world.settle();
  CHECK(last().phase == container_phase::running);
}

TEST_CASE_FIXTURE(container_fixture, "a container whose image cannot be had fails with the reason, and one that runs needs no image") {
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

TEST_CASE_FIXTURE(container_fixture, "a container whose engine is away goes on to start with the reason, each second, until it is back") {
  image = "shop/front:1";
  for (int i = 0; i < 2; ++i)
    host->refuse[front].push_back({driver_errc::engine_away, "the container engine does not answer"});
  const auto ended = world.watch(spawn());
  CHECK(phases() == texts{"starting", "starting"});
  CHECK(last().reason == "the container engine does not answer");
  world.advance(1s);
  CHECK(phases() == texts{"starting", "starting"}); // the same reason is told once
  world.advance(1s);
  CHECK(phases() == texts{"starting", "starting", "running"});
  CHECK(last().reason.empty());
  CHECK_FALSE(*ended);
}

TEST_CASE_FIXTURE(container_fixture, "a container whose image does not come goes on to start with the reason, and joins what is under way after an hour") {
  image = "shop/front:1";
  host->refuse_image[front].push_back({driver_errc::image_awaited, "the registry does not answer"});
  host->images_are_slow = true;
  const auto ended = world.watch(spawn());
  CHECK(phases() == texts{"starting", "starting"});
  CHECK(last().reason == "the registry does not answer");
  world.advance(1s);
  world.advance(1h);
  CHECK(last().reason == "the registry does not answer"); // which says more than that it is tried again
  CHECK(phases() == texts{"starting", "starting"});
  world.advance(1s);
  host->give_images();
  world.settle();
  CHECK(last().phase == container_phase::running);
  CHECK(host->starts.size() == 1);
  CHECK_FALSE(*ended);
}

TEST_CASE_FIXTURE(container_fixture, "a container for which the disk has no room goes on to start with the reason, once a second, until its driver gives up") {
  for (int i = 0; i < 3; ++i)
    host->refuse[front].push_back({driver_errc::disk_full, "the disk is full"});
  host->refuse[front].push_back({driver_errc::data_directory_unusable, "the disk is still full"});
  const auto ended = world.watch(spawn());
  CHECK(last().reason == "the disk is full");
  world.advance(2s);
  CHECK(phases() == texts{"starting", "starting"});
  CHECK_FALSE(*ended);
  world.advance(1s);
  CHECK(phases() == texts{"starting", "starting", "failed"});
  CHECK(last().reason == "the disk is still full");
  CHECK(*ended);
}

TEST_CASE_FIXTURE(container_fixture, "a container that waits for its image is stopped at once") {
  image = "shop/front:1";
  host->images_are_slow = true;
  const auto container = spawn();
  stop(container);
  CHECK(phases() == texts{"starting", "stopping", "exited"});
  host->give_images();
  world.settle();
  CHECK(host->starts.empty());
}
