#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include <caf/event_based_actor.hpp>
#include <caf/scoped_actor.hpp>

#include "actors/host/use_actor.hpp"
#include "actors/instance/disk_limit.hpp"
#include "actors/instance/driver.hpp"
#include "actors/type_ids.hpp"
#include "tests/runtime/virtual_time.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace std::chrono_literals;

namespace {

/// A driver with one container that uses half a core of virtual time.
struct driven {
  driven() {
    driver = world.own(world.system().spawn([this](caf::event_based_actor* self) {
      return caf::behavior{[this, self](const actors::get_container_stats&) {
        ++asked;
        actors::container_stats one;
        one.name = "default.shop.web-1.main";
        one.generation = generation;
        one.user_time = std::chrono::duration_cast<std::chrono::microseconds>(self->clock().now().time_since_epoch()) / 2;
        return actors::container_stats_list{{one}};
      }};
    }));
    options.data_directory = "/";
    options.driver = [this] { return has_driver ? driver : caf::actor{}; };
  }

  caf::actor spawn() {
    caf::scoped_actor parent(world.system());
    return world.own(actors::spawn_use(parent.ptr(), options));
  }

  /// Answers end up in `answers`, errors are counted.
  void ask(const caf::actor& use) {
    world.own(world.system().spawn([this, use](caf::event_based_actor* self) {
      self->request(use, 10s, actors::use_request{})
        .then([this](const actors::use_answer& x) { answers.push_back(x); }, [this](const caf::error&) { ++refused; });
    }));
  }

  /// What a container with a limit takes.
  std::int64_t measured(const caf::actor& use, std::int64_t pid) {
    auto bytes = std::make_shared<std::int64_t>(-1);
    world.own(world.system().spawn([=](caf::event_based_actor* self) {
      self->request(use, 10s, actors::measure_disk{"default.shop.web-1.main", pid})
        .then([=](const actors::disk_measured& x) { *bytes = x.bytes; }, [](const caf::error&) {});
    }));
    world.settle();
    return *bytes;
  }

  tests::virtual_time world;
  caf::actor driver;
  bool has_driver = true;
  std::uint64_t generation = 1;
  std::size_t asked = 0;
  std::vector<actors::use_answer> answers;
  std::size_t refused = 0;
  actors::use_actor_options options;
};

} // namespace

TEST_CASE("the first who ask wait for a second reading and share it, the next get one answer a second") {
  driven x;
  const auto use = x.spawn();
  x.world.settle();
  CHECK(x.asked == 0); // nobody asked
  for (int i = 0; i < 3; ++i)
    x.ask(use);
  x.world.settle();
  CHECK(x.asked == 1);
  CHECK(x.answers.empty());
  x.world.advance(500ms);
  CHECK(x.asked == 2);
  REQUIRE(x.answers.size() == 3);
  REQUIRE(x.answers[0].containers.size() == 1);
  CHECK(x.answers[0].containers[0].cpu_millis == 500);
  CHECK(x.answers[0].machine.memory_bytes_total > 0);
  x.world.advance(999ms);
  x.ask(use);
  x.world.settle();
  CHECK(x.asked == 2);
  CHECK(x.answers.size() == 4);
  x.world.advance(1ms);
  x.ask(use);
  x.world.settle();
  CHECK(x.asked == 3); // at once: there is a reading to compare with
  CHECK(x.answers.size() == 5);
}

TEST_CASE("a container that was started since the last answer is looked at twice, so that its use is never told as none") {
  driven x;
  const auto use = x.spawn();
  x.ask(use);
  x.world.advance(500ms);
  REQUIRE(x.answers.size() == 1);
  x.world.advance(10s);
  ++x.generation;
  x.ask(use);
  x.world.settle();
  CHECK(x.answers.size() == 1);
  ++x.generation; // again: a container that crashes all the time is no reason to wait for ever
  x.world.advance(500ms);
  REQUIRE(x.answers.size() == 2);
  CHECK(x.answers[1].containers[0].cpu_millis == 0);
  x.world.advance(10s);
  ++x.generation;
  x.ask(use);
  x.world.advance(500ms);
  REQUIRE(x.answers.size() == 3);
  CHECK(x.answers[2].containers[0].cpu_millis == 500);
}

TEST_CASE("a reading that is older than a minute is taken anew, and one of a minute is not") {
  driven x;
  const auto use = x.spawn();
  x.ask(use);
  x.world.advance(500ms);
  REQUIRE(x.answers.size() == 1);
  x.world.advance(60s);
  x.ask(use);
  x.world.settle();
  REQUIRE(x.answers.size() == 2);
  x.world.advance(60s + 1ms);
  x.ask(use);
  x.world.settle();
  REQUIRE(x.answers.size() == 2);
  x.world.advance(500ms);
  REQUIRE(x.answers.size() == 3);
  CHECK(x.answers[2].containers[0].cpu_millis == 500);
}

TEST_CASE("without a driver the machine's use comes alone, and more than the most who wait are refused") {
  driven x;
  x.has_driver = false;
  x.options.max_waiting = 2;
  const auto use = x.spawn();
  for (int i = 0; i < 3; ++i)
    x.ask(use);
  x.world.settle();
  CHECK(x.refused == 1);
  x.world.advance(500ms);
  REQUIRE(x.answers.size() == 2);
  CHECK(x.answers[0].containers.empty());
  CHECK(x.answers[0].machine.disk_bytes_total > 0);
}

TEST_CASE("what a limited container takes is counted anew when its share of the time allows it, and at once for another start of it") {
  tests::temporary_folder folder;
  const auto own = folder.path() + "/containers/default.shop.web-1.main/work";
  std::filesystem::create_directories(own);
  driven x;
  x.options.data_directory = folder.path();
  x.options.limited_share = 1'000'000'000; // a count of a microsecond is paid for in a quarter of an hour
  const auto use = x.spawn();
  const auto before = x.measured(use, 7);
  REQUIRE(before >= 0);
  std::ofstream{own + "/a"} << std::string(1 << 20, 'x');
  CHECK(x.measured(use, 7) == before);
  const auto after = x.measured(use, 8);
  CHECK(after >= before + (1 << 20));
  std::filesystem::remove(own + "/a");
  CHECK(x.measured(use, 8) == after);
  x.world.advance(61s); // nobody asked for so long: it is forgotten
  CHECK(x.measured(use, 8) == before);
}
