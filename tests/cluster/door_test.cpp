// The front door of a site of real processes: what clients notice while instances and hosts die.

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>

#include "tests/cluster/site_processes.hpp"
#include "tests/cluster/web_service.hpp"
#include "tests/net/door_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

void report(const char* what, const std::vector<std::unique_ptr<door_client>>& clients, int deaths) {
  std::string text = std::string(what) + ": " + std::to_string(deaths) + " deaths;";
  for (const auto& client : clients) {
    client->stop();
    text += " served " + std::to_string(client->served()) + " failed " + std::to_string(client->failed()) + " longest "
            + std::to_string(client->longest_ms()) + " ms;";
    CHECK(client->failed() <= deaths); // what was open to the one that died
  }
  MESSAGE(text);
}

/// Three hosts, two instances of the application `shop`, and a door on each host that answers.
struct web_site : site_processes {
  std::uint16_t port = 0;
  config::application_spec web;

  web_site() {
    start_all();
    port = free_port(own_address(*this, "host-1"));
    web = web_application(*this, port, 2);
    web.services[0].update.healthy_time = 100ms;
    REQUIRE(apply(web).status == 201);
    wait_for_running(2);
    wait_for_doors(*this, hosts(), port);
  }
};

std::vector<actors::published_view> services(const site_processes& site) {
  return site.get<std::vector<actors::published_view>>(site.some_host(), "/v1/services");
}

} // namespace

TEST_CASE("an update and fewer replicas cost no client a request, though the server ends at once when it is told to stop") {
  web_site site;
  auto& web = site.web;
  const auto clients = clients_at(site, site.hosts(), site.port);
  await_served(site, clients, 5);
  web.version = "2";
  web.services[0].containers[0].env["LOOK"] = "new";
  REQUIRE(site.apply(web).status == 200);
  site.wait_for("both are updated", [&] {
    const auto all = site.instances();
    return all.size() == 2 && std::all_of(all.begin(), all.end(), [](const auto& x) { return x.generation > 1 && x.state == "running"; });
  });
  await_served(site, clients, 5);
  web.services[0].replicas = 1;
  REQUIRE(site.apply(web).status == 200);
  site.wait_for("one is left", [&] { return site.instances().size() == 1; });
  await_served(site, clients, 5);
  report("updated, scaled down", clients, 0);
}

TEST_CASE("a published port answers on every host, and each client loses at most one request per instance that dies") {
  web_site site;
  const auto port = site.port;
  const auto clients = clients_at(site, site.hosts(), port);
  constexpr int deaths = 6;
  for (int i = 0; i < deaths; ++i) {
    await_served(site, clients, 5);
    const auto victim = site.instances().at(static_cast<std::size_t>(i % 2));
    REQUIRE(victim.pid > 0); // 0 would be this test and all that it started
    REQUIRE(::kill(static_cast<pid_t>(victim.pid), SIGKILL) == 0);
    site.wait_for("it runs again", [&] { return site.instance(victim.name).restarts > victim.restarts && site.all_running(2); });
  }
  await_served(site, clients, 5);
  report("instances killed", clients, deaths);

  const auto rows = services(site);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].service == "default.shop.main");
  CHECK(rows[0].port == port);
  CHECK(rows[0].state == "ready");
  CHECK(rows[0].ready == 2);
  CHECK(rows[0].wanted == 2);
  CHECK(rows[0].addresses.size() == 3);
  CHECK(rows[0].unserved == 0);
  CHECK(rows[0].problems.empty());
}

TEST_CASE("clients of the surviving hosts lose at most one request when a host with an instance, then the leader, is lost") {
  web_site site;
  const auto port = site.port;
  for (const bool the_leader : {false, true}) {
    const auto leader = site.leader();
    std::string lost = leader;
    if (!the_leader)
      for (const auto& x : site.instances())
        lost = x.host != leader ? x.host : lost;
    const auto clients = clients_at(site, site.hosts_without(lost), port);
    await_served(site, clients, 5);
    site.kill_host(lost);
    site.wait_for("two instances run elsewhere", [&] {
      const auto all = site.instances();
      return all.size() == 2 && std::all_of(all.begin(), all.end(), [&](const auto& x) {
               return x.state == "running" && x.host != lost;
             });
    });
    await_served(site, clients, 20);
    report(the_leader ? "leader lost" : "host lost", clients, 1);
    site.start(lost);
    site.wait_for_agreement(site.hosts());
    wait_for_doors(site, {lost}, port); // it runs none of them
  }
}

TEST_CASE("a published port that is taken on one host is an event and a problem there, and the others answer") {
  site_processes site;
  const auto port = free_port(own_address(site, "host-1"));
  auto squatter = std::make_unique<test_listener>(own_address(site, "host-2") + ':' + std::to_string(port));
  site.start_all();
  REQUIRE(site.apply(web_application(site, port, 1)).status == 201);
  wait_for_doors(site, {"host-1", "host-3"}, port);
  site.wait_for("host-2 says so", [&] {
    const auto rows = services(site);
    return rows.size() == 1 && rows[0].problems.size() == 1;
  });
  const auto row = services(site).at(0);
  CHECK(row.state == "degraded");
  CHECK(row.problems[0].find("host-2: ") == 0);
  CHECK(row.problems[0].find("in use") != std::string::npos);
  CHECK(row.addresses.size() == 2);
  const auto events = site.get<std::vector<actors::event_view>>(site.some_host(), "/v1/events?limit=1000");
  CHECK(std::any_of(events.begin(), events.end(), [&](const auto& x) {
    return x.object == "service/default.shop.main" && x.to.find("host-2 does not answer on port") == 0;
  }));
  squatter.reset();
  wait_for_doors(site, {"host-2"}, port);
}

TEST_CASE("a door is back with its agent, and what it passes on to was not restarted") {
  site_processes site{config::liveness_profile::patient}; // a host is not given up before its agent is back
  site.start_all();
  const auto port = free_port(own_address(site, "host-1"));
  REQUIRE(site.apply(on("host = host-2", web_application(site, port, 1))).status == 201);
  wait_for_doors(site, site.hosts(), port);
  const auto before = site.instance("default.shop.main-1");
  site.kill_agent("host-2");
  site.start("host-2");
  wait_for_doors(site, site.hosts(), port);
  const auto after = site.instance("default.shop.main-1");
  CHECK(after.pid == before.pid);
  CHECK(after.generation == before.generation);
}
