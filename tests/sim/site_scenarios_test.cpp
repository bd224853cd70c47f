#include <doctest/doctest.h>

#include "tests/sim/simulated_site.hpp"

using namespace prunella::tests;
using namespace std::chrono_literals;

TEST_CASE("a site elects a leader, takes an application and runs it") {
  simulated_site site({1, 3});
  REQUIRE(site.await_leader());
  CHECK(site.ask("host-2", "GET", "/readyz") == 200);
  const auto put = site.put(simulated_application("shop", {simulated_service("web", 3)}), "host-2");
  REQUIRE(site.await([&] { return put->has_value(); }, 2s));
  CHECK((*put)->status == 201);
  CHECK(site.await([&] { return site.is_satisfied(); }, 2s));
  CHECK(site.difference() == "");
  CHECK(site.running().size() == 3);
}
