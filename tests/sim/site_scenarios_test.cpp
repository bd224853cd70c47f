// What a site does when machines, leaders and links fail, by name.

#include <algorithm>

#include "tests/sim/site_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

config::application_spec shop(std::uint32_t replicas, std::string version = "1") {
  return simulated_application("shop", {simulated_service("web", replicas)}, std::move(version));
}

std::size_t runs_on(const simulated_site& site, const std::string& host) {
  const auto all = site.running();
  return static_cast<std::size_t>(
    std::count_if(all.begin(), all.end(), [&](const auto& x) { return x.second.first == host; }));
}

} // namespace

TEST_CASE("worker host lost: its instances run elsewhere within down_after plus one second") {
  with_seeds(10, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(3));
    const auto lost = a_follower(site);
    REQUIRE(runs_on(site, lost) == 1);
    site.crash_host(lost);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, balanced().down_after + 1s), site.difference());
    CHECK(site.running().size() == 3);
  });
}

TEST_CASE("leader lost: another is elected and its instances run elsewhere within an election and down_after plus one second") {
  with_seeds(10, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(3));
    const auto lost = site.leader();
    REQUIRE(runs_on(site, lost) == 1);
    site.crash_host(lost);
    const auto limit = balanced().election_max() + balanced().down_after + 1s;
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, limit), site.difference());
    CHECK(site.running().size() == 3);
    CHECK(site.leader() != lost);
  });
}

TEST_CASE("two of five hosts lost at once, the leader among them: three run everything") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 5});
    establish(site, shop(10));
    const auto leader = site.leader();
    site.crash_host(a_follower(site));
    site.crash_host(leader);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 8s), site.difference());
    CHECK(site.running().size() == 10);
  });
}

TEST_CASE("the minority refuses writes in bounded time with a reason, and what runs there keeps running") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(3));
    const auto cut_off = site.leader(); // the harder case: it believes to lead for a while
    site.network().isolate(cut_off);
    const auto answer = site.put(shop(3, "2"), cut_off);
    REQUIRE(site.await([&] { return answer->has_value(); }, 9s));
    CHECK((*answer)->status == 503);
    CHECK((*answer)->body.find("the site did not confirm the change") != std::string::npos); // it is in its log
    CHECK((*answer)->body.find("more than half of the controllers") != std::string::npos);
    CHECK(runs_on(site, cut_off) == 1);
    const auto status = site.request(cut_off, "GET", "/status");
    REQUIRE(site.await([&] { return status->has_value(); }, 3s));
    CHECK((*status)->body.find("\"quorum\":false") != std::string::npos);
    // The majority has gone on meanwhile.
    CHECK(site.leader() != cut_off);
    const auto other = site.put(shop(3, "3"), site.leader());
    CHECK(site.await([&] { return other->has_value(); }, 2s));
    CHECK((*other)->status < 300);
    site.network().heal();
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 10s), site.difference());
    CHECK(site.state().applications.at("default.shop").spec.version == "3");
  });
}

TEST_CASE("a write that met a leader that was cut off is carried out by its successor as soon as that is reached") {
  std::size_t asked = 0;
  with_seeds(20, [&](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(1));
    const auto old_leader = site.leader();
    site.network().isolate(old_leader);
    const auto believes = [&] { return site.inside(old_leader).leader().get().role == "leader"; };
    REQUIRE(site.await([&] { return !site.leader().empty() && site.leader() != old_leader; }, 5s));
    const auto put = site.put(simulated_application("bakery", {simulated_service("oven", 1)}), site.leader());
    REQUIRE(site.await([&] { return put->has_value(); }, 5s));
    REQUIRE((*put)->status == 201);
    asked += believes() ? 1 : 0;
    const auto scaled = site.scale("default.bakery", "oven", 2, old_leader);
    site.advance(100ms);
    site.network().heal();
    REQUIRE(site.await([&] { return scaled->has_value(); }, 3s));
    CHECK((*scaled)->status == 200);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 10s), site.difference());
  });
  CHECK(asked > 0); // else nothing was tested
}

TEST_CASE("a site without a majority keeps what runs and decides nothing until one returns") {
  simulated_site site({3, 3});
  establish(site, shop(3));
  const auto left = site.leader();
  for (const auto& host : site.hosts())
    if (host != left)
      site.crash_host(host);
  site.advance(10s);
  CHECK(site.leader().empty());
  CHECK(runs_on(site, left) == 1);
  CHECK(site.running().size() == 1);
  for (const auto& host : site.hosts())
    site.start_host(host);
  CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 8s), site.difference());
}

TEST_CASE("a returning host whose machine was off starts nothing that moved") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(3));
    const auto host = a_follower(site);
    site.crash_host(host);
    REQUIRE(site.await([&] { return site.is_satisfied(); }, 3s));
    const auto before = starts(site);
    site.start_host(host);
    site.advance(8s);
    CHECK(starts(site) == before);
    CHECK(runs_on(site, host) == 0);
    CHECK(site.is_satisfied());
    CHECK(site.state().hosts.at(host).up);
  });
}

TEST_CASE("a returning agent stops what moved meanwhile and starts nothing") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(3));
    const auto host = a_follower(site);
    site.crash_agent(host);
    site.advance(3s); // declared down, replaced; its own copy goes on (keep-running)
    REQUIRE(runs_on(site, host) == 1);
    REQUIRE(site.running().size() == 4);
    const auto before = starts(site);
    site.start_host(host);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 5s), site.difference());
    CHECK(runs_on(site, host) == 0);
    CHECK(starts(site) == before);
  });
}

TEST_CASE("a host that was cut off stops what moved when it is back") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(3));
    const auto host = a_follower(site);
    site.network().isolate(host);
    site.advance(4s);
    REQUIRE(site.running().size() == 4);
    site.network().heal();
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 5s), site.difference());
    CHECK(site.running().size() == 3);
  });
}

TEST_CASE("an agent that is killed and started again within down_after adopts its containers: nothing is restarted or moved") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(6));
    const auto before = site.running();
    const auto count = starts(site);
    for (const auto& host : site.hosts()) {
      site.crash_agent(host);
      site.advance(200ms);
      site.start_host(host);
      site.advance(5s);
      CHECK(site.running() == before);
    }
    CHECK(starts(site) == count);
    CHECK(site.is_satisfied());
  });
}

TEST_CASE("an outage shorter than down_after declares no host down") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(3));
    const auto before = site.state();
    const auto host = a_follower(site);
    site.network().cut(host, site.leader());
    site.advance(600ms);
    site.network().heal();
    site.advance(3s);
    CHECK(site.state().hosts == before.hosts);
    CHECK(site.state().assignments == before.assignments);
  });
}

TEST_CASE("all hosts lose power at once: no acknowledged command is lost and everything runs again") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(3));
    const auto scaled = site.scale("default.shop", "web", 5, a_follower(site));
    REQUIRE(site.await([&] { return scaled->has_value(); }, 2s));
    REQUIRE((*scaled)->status == 200);
    for (const auto& host : site.hosts())
      site.crash_host(host);
    site.advance(1s);
    CHECK(site.running().empty());
    for (const auto& host : site.hosts())
      site.start_host(host);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 8s), site.difference());
    CHECK(site.running().size() == 5);
  });
}

TEST_CASE("apply while the leader dies is either acknowledged and kept or refused") {
  std::size_t acknowledged = 0;
  std::size_t cut_short = 0; // the leader died before the answer
  with_seeds(20, [&](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, shop(2));
    const auto leader = site.leader();
    const auto answer = site.put(shop(2, "2"), a_follower(site));
    site.advance(std::chrono::milliseconds{seed});
    cut_short += answer->has_value() ? 0 : 1;
    site.crash_host(leader);
    REQUIRE(site.await([&] { return answer->has_value(); }, 9s));
    const auto status = (*answer)->status;
    CHECK((status == 200 || status == 503));
    acknowledged += status == 200 ? 1 : 0;
    site.start_host(leader);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 10s), site.difference());
    if (status == 200)
      CHECK(site.state().applications.at("default.shop").spec.version == "2");
  });
  CHECK(acknowledged > 0);
  CHECK(cut_short > 0);
}

TEST_CASE("the leader dies as soon as it has placed an application: its successor learns of it and places nothing twice") {
  with_seeds(20, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    REQUIRE(site.await_leader());
    site.put(shop(6), a_follower(site));
    for (int i = 0; i < 2'000 && site.state().assignments.empty(); ++i)
      site.advance(1ms);
    REQUIRE(site.state().assignments.size() == 6);
    const auto leader = site.leader();
    site.crash_host(leader); // nobody else may know yet that this is committed
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 6s), site.difference());
    for (const auto& [name, x] : site.state().assignments)
      CHECK_MESSAGE(x.generation == (x.reason == "placed" ? 1 : 2), name << ": " << x.reason);
  });
}

TEST_CASE("leadership handed over twenty times within a minute restarts no actor and loses no request") {
  simulated_site site({5, 3});
  establish(site, shop(3));
  std::size_t handed_over = 0;
  for (std::uint32_t i = 0; i < 20; ++i) {
    const auto from = site.leader();
    site.transfer_leadership(a_follower(site));
    const auto scaled = site.scale("default.shop", "web", 2 + i % 2, a_follower(site));
    REQUIRE(site.await([&] { return scaled->has_value(); }, 5s));
    CHECK((*scaled)->status == 200);
    site.advance(1s);
    handed_over += site.leader() != from ? 1 : 0;
  }
  CHECK(handed_over >= 15);
  for (const auto& host : site.hosts())
    for (const auto& row : site.inside(host).tree().list({}))
      CHECK_MESSAGE(row.restarts == 0, row.path << ": " << row.last_reason);
  CHECK(site.is_satisfied());
}

TEST_CASE("links that lose, double and reorder one message in ten: a site still elects, places and heals") {
  with_seeds(3, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    site.network().set_faults({1ms, 20ms, 0.1, 0.1, 0.1});
    REQUIRE(site.await_leader(20s));
    const auto put = site.put(shop(3), "host-1");
    REQUIRE(site.await([&] { return put->has_value(); }, 9s));
    REQUIRE((*put)->status < 300);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 10s), site.difference());
    site.crash_host(a_follower(site));
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 15s), site.difference());
  });
}

TEST_CASE("a site of one host needs nobody else") {
  simulated_site site({1, 1});
  establish(site, shop(3));
  CHECK(site.running().size() == 3);
  site.crash_host("host-1");
  site.start_host("host-1");
  CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 5s), site.difference());
}
