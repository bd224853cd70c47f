// Two hosts, real sockets.

#include "link_fixture.hpp"

using namespace prunella::net;

TEST_CASE("a request goes to the named actor of the other host and its answer comes back, both ways") {
  link_host a("host-1"), b("host-2");
  connect(a, b);
  const auto there = a.ask("host-2", "answerer", 41);
  REQUIRE_MESSAGE(there.engaged(), describe(there.error()));
  CHECK(there->number == 42);
  CHECK(there->text == "how are you");
  const auto back = b.ask("host-1", "answerer", 1);
  REQUIRE_MESSAGE(back.engaged(), describe(back.error()));
  CHECK(back->number == 2);
  CHECK(a.status().counters.links_up == 1);
  CHECK(b.status().counters.links_up == 1);
}
