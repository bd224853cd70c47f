#include <doctest/doctest.h>

#include <algorithm>

#include <caf/behavior.hpp>
#include <caf/sec.hpp>

#include "tests/runtime/virtual_time.hpp"

using namespace std::chrono_literals;
using prunella::tests::virtual_time;

namespace {

caf::behavior ticker(caf::event_based_actor* self, std::shared_ptr<int> ticks) {
  self->delayed_send(self, 1s, caf::tick_atom_v);
  return {[=](caf::tick_atom) {
    ++*ticks;
    self->delayed_send(self, 1s, caf::tick_atom_v);
  }};
}

caf::behavior silent(caf::event_based_actor*) {
  return {[](caf::unit_t) {}};
}

} // namespace

TEST_CASE("one jump of ten seconds gives a one-second ticker ten ticks, each at its time") {
  virtual_time world;
  auto ticks = std::make_shared<int>(0);
  world.own(world.system().spawn(ticker, ticks));
  world.settle();
  CHECK(*ticks == 0);
  world.advance(999ms);
  CHECK(*ticks == 0);
  world.advance(1ms);
  CHECK(*ticks == 1);
  world.advance(9s);
  CHECK(*ticks == 10);
  CHECK(world.elapsed() == 10s);
}

TEST_CASE("an hour of ticks passes without an hour passing, and the end of the test is not held up by the ticker") {
  virtual_time world;
  auto ticks = std::make_shared<int>(0);
  world.own(world.system().spawn(ticker, ticks));
  world.advance(1h);
  CHECK(*ticks == 3600);
}

TEST_CASE("a request that is never answered ends at its timeout in virtual time") {
  virtual_time world;
  auto mute = world.own(world.system().spawn([](caf::event_based_actor* self) -> caf::behavior {
    self->set_default_handler(caf::drop);
    auto kept = std::make_shared<std::vector<caf::response_promise>>();
    return {[=](int) -> caf::result<int> {
      auto promise = self->make_response_promise();
      kept->push_back(promise);
      return caf::delegated<int>{};
    }};
  }));
  auto answer = world.ask<int>(mute, 250ms, 1);
  REQUIRE(!answer);
  CHECK(answer.error() == caf::sec::request_timeout);
  CHECK(world.elapsed() == 250ms);
}

TEST_CASE("an actor's end is recorded with its reason, and not before") {
  virtual_time world;
  auto one = world.own(world.system().spawn(silent));
  auto end = world.watch(one);
  CHECK(!end->has_value());
  caf::anon_send_exit(one, caf::exit_reason::kill);
  world.settle();
  REQUIRE(end->has_value());
  CHECK(**end == caf::exit_reason::kill);
}

TEST_CASE("a timer that re-arms itself without delay ends in a sentence, not in a hang") {
  prunella::tests::virtual_time_options options;
  options.max_timers = 1000;
  virtual_time world{options};
  world.own(world.system().spawn([](caf::event_based_actor* self) -> caf::behavior {
    self->delayed_send(self, 0s, caf::tick_atom_v);
    return {[=](caf::tick_atom) { self->delayed_send(self, 0s, caf::tick_atom_v); }};
  }));
  CHECK_THROWS_AS(world.advance(1s), std::runtime_error);
}

TEST_CASE("the same seed gives the same interleaving, and some seeds differ") {
  auto trace_of = [](std::uint64_t seed) {
    prunella::tests::virtual_time_options options;
    options.seed = seed;
    virtual_time world{options};
    auto trace = std::make_shared<std::vector<int>>();
    for (int i = 0; i < 6; ++i) {
      auto one = world.own(world.system().spawn(
          [=](caf::event_based_actor*) -> caf::behavior { return {[=](caf::tick_atom) { trace->push_back(i); }}; }));
      caf::anon_send(one, caf::tick_atom_v);
    }
    world.settle();
    return *trace;
  };
  CHECK(trace_of(7) == trace_of(7));
  bool any_differs = false;
  for (std::uint64_t seed = 1; seed < 10; ++seed)
    any_differs = any_differs || trace_of(seed) != trace_of(seed + 1);
  CHECK(any_differs);
}

TEST_CASE("an actor that hangs handles nothing, not even a kill, until it is woken") {
  virtual_time world;
  auto one = world.own(world.system().spawn(silent));
  auto end = world.watch(one);
  world.hang(one);
  caf::anon_send_exit(one, caf::exit_reason::kill);
  world.advance(1h);
  CHECK(!end->has_value());
  world.wake(one);
  world.settle();
  CHECK(end->has_value());
}
