// What was acknowledged is never lost: a client keeps its own record while leaders are killed under it.

#include <doctest/doctest.h>

#include "tests/cluster/recording_client.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

TEST_CASE("no acknowledged change is lost when the leader is killed right behind an answer, five times in a row") {
  constexpr int kills = 5;
  site_processes site;
  site.start_all();
  recording_client client{site.endpoints(site.hosts())};
  for (int kill = 0; kill < kills; ++kill) {
    const auto leader = site.leader();
    REQUIRE(leader != "");
    client.set_endpoints(site.endpoints(site.hosts_without(leader))); // who asks the victim never knows
    const auto before = client.acknowledged();
    site.wait_for("changes are acknowledged", [&] { return client.acknowledged() > before + 5; });
    const auto last = client.acknowledged();
    while (client.acknowledged() == last && client.unsure() == 0) {
    } // no pause: the kill shall follow the answer as closely as it can
    site.kill_host(leader);
    const auto at_kill = client.acknowledged();
    site.wait_for("changes are acknowledged without " + leader, [&] { return client.acknowledged() > at_kill + 2; });
    site.start(leader);
    site.wait_for_leader(site.hosts());
  }
  MESSAGE(client.acknowledged() << " changes acknowledged, " << client.unsure() << " not, over " << kills << " kills");
  CHECK(client.acknowledged() > 10 * kills);
  client.stop();
  site.wait_for_agreement(site.hosts());
  client.check(site, site.hosts());
}
