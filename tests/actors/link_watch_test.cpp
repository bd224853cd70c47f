#include <doctest/doctest.h>

#include <caf/scoped_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/host/link_watch.hpp"
#include "net/links.hpp"
#include "tests/runtime/virtual_time.hpp"

using namespace prunella;

TEST_CASE("a link that cannot be made is one event for each reason, and another one when it is up at last") {
  tests::virtual_time world;
  const auto links = world.own(world.system().spawn([](caf::event_based_actor*) {
    return caf::behavior{[](const net::subscribe_links&) {}};
  }));
  std::vector<storage::journal_event> events;
  caf::scoped_actor parent(world.system());
  const auto watch = world.own(actors::spawn_link_watch(
    parent.ptr(), {[links] { return links; }, [] { return caf::actor{}; },
                   [&](storage::journal_event x) { events.push_back(std::move(x)); }}));
  const auto problem = [](const char* reason) { return net::link_problem{"host-2", reason}; };
  for (const auto* reason : {"no such name", "no such name", "another host's certificate"})
    caf::anon_send(watch, problem(reason));
  caf::anon_send(watch, net::link_up{"host-3", 1});
  caf::anon_send(watch, net::link_up{"host-2", 1});
  caf::anon_send(watch, net::link_up{"host-2", 2});
  world.settle();
  REQUIRE(events.size() == 3);
  CHECK(events[0].object == "link/host-2");
  CHECK(events[0].to == "failing");
  CHECK(events[0].reason == "no such name");
  CHECK(events[1].reason == "another host's certificate");
  CHECK(events[2].from == "failing");
  CHECK(events[2].to == "up");
}
