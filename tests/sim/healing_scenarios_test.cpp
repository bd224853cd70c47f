// What a site does when containers and actors fail, by name.

#include <algorithm>
#include <set>

#include "tests/sim/site_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;

namespace {

/// One instance that gives up soon: two restarts in place, one afresh, then the site decides.
config::application_spec fragile(std::uint32_t replicas = 1) {
  auto service = simulated_service("web", replicas);
  service.restart.intensity = 2;
  service.restart.backoff_initial = 50ms;
  service.restart.backoff_max = 100ms;
  auto application = simulated_application("shop", {service});
  application.intensity = 1;
  return application;
}

std::string body_of(simulated_site& site, const std::string& host, const std::string& target) {
  const auto got = site.request(host, "GET", target);
  REQUIRE(site.await([&] { return got->has_value(); }, 3s));
  return (*got)->body;
}

} // namespace

TEST_CASE("a crashed container is restarted in place, in the same generation") {
  simulated_site site({1, 3});
  establish(site, fragile());
  const auto before = site.running();
  const auto host = host_of(site, "default.shop.web-1");
  REQUIRE(site.machine(host).end("default.shop.web-1.main", 1));
  CHECK(site.await([&] { return site.is_satisfied(); }, 1s));
  CHECK(site.running() == before);
  CHECK(site.machine(host).starts.size() == 2);
}

TEST_CASE("what has ended and is not started again stays at its end, whatever becomes of its host, until it is restarted by hand") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    auto spec = fragile();
    spec.services[0].restart.type = config::restart_type::transient;
    establish(site, spec);
    const std::string instance = "default.shop.web-1";
    const auto host = host_of(site, instance);
    const auto has_ended = [&] { return site.state().assignments.at(instance).ended == actors::instance_end::finished; };
    REQUIRE(site.machine(host).end(instance + ".main", 0));
    REQUIRE(site.await(has_ended, 1s));
    site.crash_agent(host);
    site.start_host(host);
    site.advance(5s);
    CHECK(starts(site) == 1);
    CHECK_MESSAGE(site.is_satisfied(), site.difference());
    site.crash_host(host);
    REQUIRE(site.await([&] { return !site.state().hosts.at(host).up; }, 5s));
    site.advance(3s);
    CHECK(starts(site) == 1);
    CHECK(host_of(site, instance) == host);
    for (const auto& id : site.hosts())
      site.crash_host(id);
    for (const auto& id : site.hosts())
      site.start_host(id);
    REQUIRE(site.await_leader());
    site.advance(5s);
    CHECK(starts(site) == 1);
    CHECK(has_ended());
    REQUIRE(site.ask(site.leader(), "POST", "/v1/instances/" + instance + "/restart", R"({"generation": 1})") == 200);
    CHECK(site.await([&] { return starts(site) == 2; }, 5s));
    CHECK(site.state().assignments.at(instance).generation == 2);
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 5s), site.difference());
  });
}

TEST_CASE("a crash loop escalates to another host and then is failed with its reason, and heals when the cause is gone") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, fragile());
    const std::string instance = "default.shop.web-1";
    const auto first = host_of(site, instance);
    site.begin_crash_loop(instance, first);
    REQUIRE(site.await([&] { return host_of(site, instance) != first && site.is_satisfied(); }, 10s));
    const auto& moved = site.state().assignments.at(instance);
    CHECK(moved.generation == 2);
    CHECK(moved.reason.find("gave up on " + first) != std::string::npos);
    CHECK(moved.reason.find("exited with code 3") != std::string::npos);

    site.begin_crash_loop(instance, {});
    REQUIRE(site.await([&] { return host_of(site, instance).empty(); }, 20s));
    CHECK(site.state().assignments.at(instance).reason.find("0 of 3 hosts fit") != std::string::npos);
    CHECK(site.running().empty());
    for (const auto& host : site.hosts()) {
      const auto body = body_of(site, host, "/v1/applications");
      CHECK(body.find("\"state\":\"failed\"") != std::string::npos);
      CHECK(body.find("exited with code 3") != std::string::npos);
    }

    site.end_crash_loops();
    CHECK_MESSAGE(site.await([&] { return site.running().size() == 1 && site.is_satisfied(); }, 60s), site.difference());
    CHECK(site.state().assignments.at(instance).generation > 2);
  });
}

TEST_CASE("a new version of an application replaces its only instance on the host where it runs") {
  simulated_site site({1, 3});
  establish(site, fragile());
  const auto host = host_of(site, "default.shop.web-1");
  auto next = fragile();
  next.version = "2";
  next.services.front().containers.front().command = {"serve", "2"};
  const auto put = site.put(next, host);
  REQUIRE(site.await([&] { return put->has_value(); }, 2s));
  const auto is_new = [&] {
    const auto& runs = site.machine(host).running;
    const auto it = runs.find("default.shop.web-1.main");
    return it != runs.end() && it->second.order.spec.command.size() == 2;
  };
  CHECK(site.await(is_new, 3s));
  CHECK_MESSAGE(site.is_satisfied(), site.difference());
}

TEST_CASE("a service scaled to zero and back runs again") {
  simulated_site site({1, 3});
  establish(site, fragile(3));
  for (const std::uint32_t replicas : {0u, 2u, 0u, 3u}) {
    const auto scaled = site.scale("default.shop", "web", replicas, "host-1");
    REQUIRE(site.await([&] { return scaled->has_value(); }, 2s));
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied() && site.running().size() == replicas; }, 4s), site.difference());
  }
}

TEST_CASE("host actor killed: nothing that runs is disturbed") {
  with_seeds(5, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, fragile(6));
    const auto before = site.running();
    const auto count = starts(site);
    for (const auto& host : site.hosts())
      REQUIRE(site.kill_actor(host + "/root/host"));
    site.advance(8s);
    CHECK(site.running() == before);
    CHECK(starts(site) == count);
    CHECK_MESSAGE(site.is_satisfied(), site.difference());
    for (const auto& host : site.hosts())
      CHECK(site.machine(host).stops.empty());
  });
}

TEST_CASE("host actor killed while it carries out a change: the change is completed") {
  with_seeds(10, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, fragile(3));
    const auto scaled = site.scale("default.shop", "web", 9, "host-1");
    REQUIRE(site.await([&] { return scaled->has_value(); }, 2s));
    for (int i = 0; i < 3; ++i) {
      for (const auto& host : site.hosts())
        site.kill_actor(host + "/root/host");
      site.advance(std::chrono::milliseconds{seed});
    }
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 10s), site.difference());
    CHECK(site.running().size() == 9);
  });
}

TEST_CASE("each actor of the tree killed in turn: the site converges and no container is restarted") {
  simulated_site site({1, 3});
  establish(site, fragile(3));
  const auto before = site.running();
  const auto count = starts(site);
  std::set<std::string> names;
  std::size_t killed = 0;
  for (const auto& host : {site.leader(), a_follower(site)})
    for (const auto& row : site.inside(host).tree().list({})) {
      CAPTURE(row.path);
      // Without its root the agent ends, which is a scenario of its own; the site actor of a former leader is gone.
      if (row.path == host + "/root" || !site.kill_actor(row.path))
        continue;
      ++killed;
      names.insert(row.path.substr(row.path.rfind('/') + 1));
      site.advance(10s); // each supervisor's children end once within its period: less than any intensity
      CHECK_MESSAGE(site.is_satisfied(), site.difference());
      CHECK(site.running() == before);
      CHECK(starts(site) == count);
      CHECK(!site.leader().empty());
    }
  for (const std::string name : {"links", "driver", "journal", "leading", "core", "log", "consensus", "leadership", "link-watch",
                           "applications", "default.shop", "main", "host", "tree", "api"})
    CHECK_MESSAGE(names.count(name) == 1, name);
  CHECK(killed >= 30);
}

TEST_CASE("site actor killed, or the supervisor above it: the leader goes on deciding") {
  for (const std::string path : {"leading/site", "leading"}) {
    CAPTURE(path);
    simulated_site site({1, 3});
    establish(site, fragile(3));
    const auto leader = site.leader();
    REQUIRE(site.kill_actor(leader + "/root/" + path));
    site.crash_host(a_follower(site));
    CHECK_MESSAGE(site.await([&] { return site.is_satisfied() && site.running().size() == 3; }, 5s), site.difference());
    CHECK(site.leader() == leader);
  }
}

TEST_CASE("a container whose actors were killed for good is stopped, not forgotten") {
  simulated_site site({1, 3});
  establish(site, fragile(1));
  const std::string instance = "default.shop.web-1";
  const auto first = host_of(site, instance);
  const auto path = first + "/root/applications/default.shop/web-1";
  for (int i = 0; i < 4 && host_of(site, instance) == first; ++i) {
    site.kill_actor(path);
    site.advance(300ms);
  }
  REQUIRE(host_of(site, instance) != first);
  CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 10s), site.difference());
  CHECK(site.running().size() == 1);
}

TEST_CASE("actors killed faster than any intensity allows end the agent, and the next one adopts what runs") {
  simulated_site site({1, 3});
  establish(site, fragile(3));
  const auto before = site.running();
  const auto count = starts(site);
  const auto host = a_follower(site);
  for (int i = 0; i < 40; ++i) {
    site.kill_actor(host + "/root/tree");
    site.advance(20ms);
    site.restart_ended_agents();
  }
  CHECK_MESSAGE(site.await([&] { return site.is_satisfied(); }, 10s), site.difference());
  CHECK(site.running() == before);
  CHECK(starts(site) == count);
}

TEST_CASE("links killed together with the consensus group: the agent lives and watches the new links") {
  with_seeds(10, [](std::uint64_t seed) {
    simulated_site site({seed, 3});
    establish(site, fragile(3));
    for (const auto& host : site.hosts()) {
      REQUIRE(site.kill_actor(host + "/root/core/log"));
      REQUIRE(site.kill_actor(host + "/root/links"));
    }
    CHECK_MESSAGE(site.await([&] { return !site.leader().empty() && site.is_satisfied(); }, 5s), site.difference());
    CHECK(site.running().size() == 3);
  });
}
