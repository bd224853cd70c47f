#include <doctest/doctest.h>

#include <random>
#include <set>

#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using actors::assignment;

TEST_CASE("a satisfied site has an empty plan") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 2)})});
  CHECK(site.settle() == 1);
  CHECK(site.plan().changes.changes.empty());
}

TEST_CASE("replicas spread over hosts") {
  small_site site{{host("host-1"), host("host-2"), host("host-3")}};
  site.run(actors::put_application{application("popcorn", {service("web", 3)})});
  site.settle();
  std::set<std::string> hosts;
  for (const auto& [name, x] : site.state.assignments)
    hosts.insert(x.host);
  CHECK(hosts.size() == 3);
}

TEST_CASE("replicas spread over the values of spread-by before they share one") {
  small_site site{{host("a-1", {{"zone", "a"}}), host("a-2", {{"zone", "a"}}), host("b-1", {{"zone", "b"}})}};
  auto web = service("web", 2);
  web.placement.spread_by = "zone";
  site.run(actors::put_application{application("popcorn", {web})});
  site.settle();
  const auto first = site.host_of("default.popcorn.web-1");
  const auto second = site.host_of("default.popcorn.web-2");
  CHECK((first == "b-1") != (second == "b-1"));
}

TEST_CASE("instances of a lost host are placed on survivors with the next generation and the reason") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  site.settle();
  const auto before = site.state.assignments.at("default.popcorn.web-1");
  site.run(actors::set_host_state{before.host, false, "no heartbeat for 1100ms"});
  site.settle();
  const auto after = site.state.assignments.at("default.popcorn.web-1");
  CHECK(after.host != before.host);
  CHECK(after.generation == before.generation + 1);
  CHECK(after.reason == before.host + " is down: no heartbeat for 1100ms");
}

TEST_CASE("a host that returns gets nothing back by itself") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  site.settle();
  const auto lost = site.host_of("default.popcorn.web-1");
  site.run(actors::set_host_state{lost, false, "silent"});
  site.settle();
  const auto survivor = site.host_of("default.popcorn.web-1");
  site.run(actors::set_host_state{lost, true, "heartbeats arrive again"});
  CHECK(site.settle() == 0);
  CHECK(site.host_of("default.popcorn.web-1") == survivor);
}

TEST_CASE("label expressions decide which hosts are eligible, and the refusal counts each reason") {
  small_site site{{host("host-1", {{"zone", "a"}}), host("host-2", {{"zone", "b"}}), host("host-3")}};
  site.run(actors::set_host_state{"host-3", false, "silent"});
  auto web = service("web", 1);
  web.placement.match_host_labels = "zone = c";
  site.run(actors::put_application{application("popcorn", {web})});
  site.settle();
  CHECK(site.host_of("default.popcorn.web-1").empty());
  CHECK(site.state.assignments.at("default.popcorn.web-1").reason
        == "0 of 3 hosts fit: 1 down, 2 not matching the labels `zone = c`");
  CHECK(site.plan().changes.changes.empty()); // said once, not at every look
}

TEST_CASE("what fits runs and the rest is explained when replicas exceed the capacity") {
  small_site site{{host("host-1", {}, {1'000, 1 << 30}), host("host-2", {}, {1'000, 1 << 30})}};
  site.run(actors::put_application{application("popcorn", {service("web", 5, {500, 1 << 20})})});
  site.settle();
  int placed = 0;
  for (const auto& [name, x] : site.state.assignments)
    placed += x.host.empty() ? 0 : 1;
  CHECK(placed == 4);
  CHECK(site.state.assignments.at("default.popcorn.web-5").reason == "0 of 2 hosts fit: 2 with less than 500m cpu left");
}

TEST_CASE("exactly as much memory as is left still fits, one byte more does not") {
  small_site site{{host("host-1", {}, {1'000, 1'000'000})}};
  site.run(actors::put_application{application("a", {service("web", 1, {1, 1'000'000})})});
  site.settle();
  CHECK(site.host_of("default.a.web-1") == "host-1");
  site.run(actors::put_application{application("b", {service("web", 1, {1, 1})})});
  site.settle();
  CHECK(site.state.assignments.at("default.b.web-1").reason == "0 of 1 hosts fit: 1 with less than 1 memory left");
  site.run(actors::put_application{application("c", {service("web", 1, {1, 1'000'001})})});
  site.settle();
  CHECK(site.state.assignments.at("default.c.web-1").reason
        == "0 of 1 hosts fit: 1 with less than 1000001 memory left; none has more than 1M in all");
}

TEST_CASE("two instances that need the same port never share a host") {
  small_site site{{host("host-1"), host("host-2")}};
  auto web = service("web", 3);
  web.containers[0].ports = {{"http", 8080, config::port_protocol::tcp}};
  site.run(actors::put_application{application("popcorn", {web})});
  site.settle();
  CHECK(site.host_of("default.popcorn.web-1") != site.host_of("default.popcorn.web-2"));
  CHECK(site.state.assignments.at("default.popcorn.web-3").reason
        == "0 of 2 hosts fit: 2 with a port it needs already reserved");
}

TEST_CASE("anti-affinity holds in both directions, whichever service names the other") {
  small_site site{{host("host-1")}};
  auto database = service("database", 1);
  database.placement.anti_affinity = {"web"};
  site.run(actors::put_application{application("popcorn", {service("web", 1), database})});
  site.settle();
  // Placed in order of names: the database first, then web, which does not name the database itself.
  CHECK(site.host_of("default.popcorn.database-1") == "host-1");
  CHECK(site.state.assignments.at("default.popcorn.web-1").reason
        == "0 of 1 hosts fit: 1 holding a service that it must not share a host with");
}

TEST_CASE("an instance that gave up moves to another host and the site remembers why") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  site.settle();
  const auto before = site.state.assignments.at("default.popcorn.web-1");
  site.gave_up["default.popcorn.web-1"] = {before.host, before.generation, "exited with code 3"};
  site.settle();
  const auto after = site.state.assignments.at("default.popcorn.web-1");
  CHECK(after.host != before.host);
  REQUIRE(after.avoided.size() == 1);
  CHECK(after.avoided[0].host == before.host);
  CHECK(after.avoided[0].until == site.now + actors::avoidance_ms(1));
  CHECK(after.reason == "gave up on " + before.host + ": exited with code 3");
}

TEST_CASE("a report about an older generation moves nothing") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  site.settle();
  const auto x = site.state.assignments.at("default.popcorn.web-1");
  site.gave_up["default.popcorn.web-1"] = {x.host, x.generation - 1, "exited with code 3"};
  CHECK(site.settle() == 0);
}

TEST_CASE("an instance that gave up everywhere is tried again when the first avoidance ends, not before") {
  small_site site{{host("host-1")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  site.settle();
  site.gave_up["default.popcorn.web-1"] = {"host-1", 1, "exited with code 3"};
  site.settle();
  const auto& failed = site.state.assignments.at("default.popcorn.web-1");
  CHECK(failed.host.empty());
  CHECK(failed.generation == 1);
  CHECK(failed.reason
        == "gave up on host-1: exited with code 3; 0 of 1 hosts fit: 1 avoided because it gave up there");
  const auto until = site.plan().look_again_at;
  CHECK(until == site.now + 30'000);
  site.now = until - 1;
  CHECK(site.settle() == 0);
  site.now = until;
  site.settle();
  CHECK(site.host_of("default.popcorn.web-1") == "host-1");
  CHECK(site.state.assignments.at("default.popcorn.web-1").generation == 2);
}

TEST_CASE("the avoidance doubles from 30 s to at most 1 h") {
  CHECK(actors::avoidance_ms(1) == 30'000);
  CHECK(actors::avoidance_ms(2) == 60'000);
  CHECK(actors::avoidance_ms(7) == 1'920'000);
  CHECK(actors::avoidance_ms(8) == 3'600'000);
  CHECK(actors::avoidance_ms(4'000'000'000) == 3'600'000);
}

TEST_CASE("failures on a host are in a row until an hour has passed since it was avoided last") {
  for (const actors::time_ms peace : {3'599'999, 3'600'000}) {
    small_site site{{host("host-1")}};
    site.run(actors::put_application{application("shop", {service("web", 1)})});
    site.settle();
    for (const bool is_second : {false, true}) {
      const auto& x = site.state.assignments.at("default.shop.web-1");
      if (is_second)
        site.now = x.avoided.at(0).until + peace;
      site.gave_up["default.shop.web-1"] = {"host-1", x.generation, "exited with code 3"};
      site.settle();
      site.gave_up.clear();
      if (!is_second) {
        site.now = site.state.assignments.at("default.shop.web-1").avoided.at(0).until;
        site.settle();
      }
    }
    CHECK(site.state.assignments.at("default.shop.web-1").avoided.at(0).times == (peace < 3'600'000 ? 2 : 1));
  }
}

TEST_CASE("scaling down removes the highest replicas, deleting removes all") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 3)})});
  site.settle();
  site.run(actors::scale_service{"default.popcorn", "web", 1});
  site.settle();
  CHECK(site.state.assignments.size() == 1);
  CHECK(site.state.assignments.count("default.popcorn.web-1") == 1);
  site.run(actors::delete_application{"default.popcorn"});
  site.settle();
  CHECK(site.state.assignments.empty());
}

TEST_CASE("an instance moves when its host no longer matches a changed rule") {
  small_site site{{host("host-1", {{"zone", "a"}}), host("host-2", {{"zone", "b"}})}};
  auto app = application("popcorn", {service("web", 1)});
  app.services[0].placement.match_host_labels = "zone = a";
  site.run(actors::put_application{app});
  site.settle();
  CHECK(site.host_of("default.popcorn.web-1") == "host-1");
  app.services[0].placement.match_host_labels = "zone = b";
  site.run(actors::put_application{app});
  site.settle();
  CHECK(site.host_of("default.popcorn.web-1") == "host-2");
}

TEST_CASE("random sites: no overcommit, no down host, and plans always come to rest") {
  for (std::uint32_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto pick = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
    std::vector<config::host_spec> hosts;
    for (std::uint32_t i = 0; i <= pick(6); ++i)
      hosts.push_back(host("host-" + std::to_string(i), {{"zone", pick(2) == 0 ? "a" : "b"}}, {1'000, 1'000'000}));
    small_site site{hosts};
    for (int step = 0; step < 30; ++step) {
      const auto app = "app-" + std::to_string(pick(3));
      switch (pick(5)) {
      case 0:
      case 1: {
        auto web = service("web", pick(6), {static_cast<std::int64_t>(pick(500)), static_cast<std::int64_t>(pick(500'000))});
        web.placement.match_host_labels = pick(3) == 0 ? "zone = a" : "";
        if (pick(3) == 0)
          web.placement.anti_affinity = {"web"};
        site.run(actors::put_application{application(app, {web, service("db", pick(3), {100, 1'000})})});
        break;
      }
      case 2: site.run(actors::delete_application{"default." + app}); break;
      case 3: site.run(actors::set_host_state{"host-" + std::to_string(pick(7)), pick(2) == 0, "silent"}); break;
      default:
        if (!site.state.assignments.empty()) {
          const auto it = std::next(site.state.assignments.begin(), pick(static_cast<std::uint32_t>(site.state.assignments.size())));
          site.gave_up[it->first] = {it->second.host, it->second.generation, "exited with code 1"};
        }
        site.now += pick(40'000);
      }
      REQUIRE(site.settle() < 40);
      std::map<std::string, std::int64_t> used_cpu_millis;
      for (const auto& [name, x] : site.state.assignments) {
        if (x.host.empty())
          continue;
        REQUIRE(site.state.hosts.at(x.host).up);
        const auto& spec = site.state.applications.at("default." + x.application).spec;
        for (const auto& s : spec.services)
          if (s.name == x.service)
            used_cpu_millis[x.host] += s.containers[0].resources.cpu_millis;
      }
      for (const auto& [id, used] : used_cpu_millis)
        REQUIRE(used <= site.state.hosts.at(id).spec.capacity.cpu_millis);
    }
  }
}

TEST_CASE("an image goes to a host with a driver for images, a command to one for processes, and who has none is counted") {
  using config::driver_kind;
  small_site site{{host("host-1"), host("host-2"), host("host-3")}};
  auto image = service("web", 1);
  image.containers[0].image = "shop/web:1";
  site.run(actors::put_application{application("shop", {image})});
  site.settle();
  CHECK(site.host_of("default.shop.web-1") == "");
  CHECK(site.state.assignments.at("default.shop.web-1").reason == "0 of 3 hosts fit: 3 without a driver for images");
  site.run(actors::set_host_drivers{"host-2", {driver_kind::oci}});
  site.settle();
  CHECK(site.host_of("default.shop.web-1") == "host-2");
  site.run(actors::put_application{application("plain", {service("main", 3)})});
  site.settle();
  for (const auto* name : {"default.plain.main-1", "default.plain.main-2", "default.plain.main-3"})
    CHECK(site.host_of(name) != "host-2");
  site.run(actors::set_host_drivers{"host-2", {driver_kind::process}});
  site.settle();
  CHECK(site.host_of("default.shop.web-1") == "");
  CHECK(site.run(actors::set_host_drivers{"host-9", {driver_kind::oci}}).outcome.result == actors::command_result::not_found);
}

TEST_CASE("what an engine cannot do goes to a host that can, and if none can the refusal says what would be right") {
  using actors::host_lack;
  small_site site{{host("host-1"), host("host-2"), host("host-3")}};
  const std::vector<host_lack> podman{host_lack::user_namespaces, host_lack::disk_limits};
  const std::vector<host_lack> docker{host_lack::bridge, host_lack::user_namespaces, host_lack::disk_limits, host_lack::own_networks};
  site.run(actors::set_host_drivers{"host-1", {config::driver_kind::engine}, docker});
  site.run(actors::set_host_drivers{"host-2", {config::driver_kind::engine}, podman});
  site.run(actors::set_host_drivers{"host-3", {config::driver_kind::oci}});
  auto closed = service("closed", 1);
  closed.network = config::instance_network::none;
  closed.containers[0].image = "shop/web:1";
  auto small = service("small", 1);
  small.containers[0].image = "shop/web:1";
  small.containers[0].disk_bytes = 1 << 30;
  auto both = small;
  both.name = "both";
  both.network = config::instance_network::none;
  site.run(actors::put_application{application("shop", {closed, small, both})});
  site.settle();
  CHECK(site.host_of("default.shop.closed-1") != "host-1");
  CHECK(site.host_of("default.shop.small-1") == "host-3");
  CHECK(site.host_of("default.shop.both-1") == "host-3");
  site.run(actors::set_host_drivers{"host-3", {config::driver_kind::process}});
  site.settle();
  CHECK(site.host_of("default.shop.closed-1") == "host-2");
  CHECK(site.state.assignments.at("default.shop.small-1").reason
        == "0 of 3 hosts fit: 1 without a driver for images, 2 whose container engine cannot limit disk (it takes the driver oci, or no `disk`)");
  CHECK(site.state.assignments.at("default.shop.both-1").reason
        == "0 of 3 hosts fit: 1 without a driver for images, 1 whose container engine cannot limit disk (it takes the driver oci, or no `disk`), "
           "1 whose Docker takes no network from outside (it takes the driver oci or Podman, or `network: host`)");
}

TEST_CASE("what a host lacks, and a host path that it does not allow, keep instances away, and the explanation counts each") {
  auto hosts = std::vector{host("host-1"), host("host-2"), host("host-3")};
  hosts[2].host_paths = {"/srv/"};
  small_site site{std::move(hosts)};
  auto web = service("web", 1);
  web.network = config::instance_network::bridge;
  web.containers[0].user_namespace = true;
  auto media = service("media", 1);
  media.containers[0].volumes = {{"/media", config::volume_kind::host_path, "", "/srv/media", 0, true}};
  site.run(actors::set_host_drivers{"host-1", {config::driver_kind::process}, {actors::host_lack::bridge, actors::host_lack::user_namespaces}});
  site.run(actors::set_host_drivers{"host-2", {config::driver_kind::process}, {actors::host_lack::user_namespaces}});
  site.run(actors::put_application{application("shop", {web, media})});
  site.settle();
  CHECK(site.state.assignments.at("default.shop.web-1").host == "host-3"); // which has not said anything yet
  CHECK(site.state.assignments.at("default.shop.media-1").host == "host-3");
  site.run(actors::set_host_drivers{"host-3", {config::driver_kind::process}, {actors::host_lack::bridge}});
  site.settle();
  CHECK(site.state.assignments.at("default.shop.web-1").reason
        == "0 of 3 hosts fit: 2 without what `network: bridge` needs, 1 without user namespaces");
  site.run(actors::set_host_state{"host-3", false, "silent"});
  site.settle();
  CHECK(site.state.assignments.at("default.shop.media-1").reason == "0 of 3 hosts fit: 1 down, 2 whose `host-paths:` do not allow /srv/media");
}

TEST_CASE("the end of an instance with persistent volumes says on which host they stay") {
  small_site site{{host("host-1")}};
  auto keeper = service("db", 1);
  keeper.containers[0].volumes = {{"/data", config::volume_kind::persistent, "data", "", 0, false}};
  site.run(actors::put_application{application("shop", {keeper, service("web", 1)})});
  site.settle();
  site.run(actors::delete_application{"default.shop"});
  const auto changes = site.plan().changes.changes;
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].next.reason == "application deleted; its persistent volumes stay on host-1, in DATA_DIR/volumes/default.shop.db-1");
  CHECK(changes[1].next.reason == "application deleted");
}

TEST_CASE("an instance with a movable volume goes to another host as if it had none") {
  small_site site{{host("host-1"), host("host-2")}};
  auto keeper = service("db", 1);
  keeper.containers[0].image = "db";
  keeper.containers[0].volumes = {{"/data", config::volume_kind::persistent, "data", "", 0, false, true}};
  for (auto& [id, x] : site.state.hosts)
    x.drivers = {config::driver_kind::oci};
  site.run(actors::put_application{application("shop", {keeper})});
  site.settle();
  const auto first = site.host_of("default.shop.db-1");
  REQUIRE_FALSE(first.empty());
  site.state.hosts.at(first).up = false;
  site.settle();
  CHECK(site.host_of("default.shop.db-1") == (first == "host-1" ? "host-2" : "host-1"));
}

TEST_CASE("a container that names its driver is placed where that is") {
  small_site site{{host("host-1"), host("host-2"), host("host-3")}};
  site.state.hosts.at("host-1").drivers = {config::driver_kind::process, config::driver_kind::oci};
  site.state.hosts.at("host-2").drivers = {config::driver_kind::process, config::driver_kind::engine};
  auto web = service("web", 3);
  web.containers[0].image = "web";
  web.containers[0].driver = config::driver_choice::engine;
  site.run(actors::put_application{application("shop", {web})});
  site.settle();
  for (int i = 1; i <= 3; ++i)
    CHECK(site.host_of("default.shop.web-" + std::to_string(i)) == "host-2");
  site.state.hosts.at("host-2").drivers = {config::driver_kind::oci};
  site.settle();
  CHECK(site.state.assignments.at("default.shop.web-1").reason == "0 of 3 hosts fit: 3 without the driver engine");
}

TEST_CASE("where a change asks for more than there is, the changed application has to leave and not the others") {
  for (const auto* grown : {"a", "z"}) { // before and behind the other by name
    small_site site{{host("host-1", {}, {2'000, 1 << 30})}};
    site.run(actors::put_application{application("m", {service("web", 1, {900, 1 << 20})})});
    site.settle();
    site.now += 1'000;
    site.run(actors::put_application{application(grown, {service("web", 1, {700, 1 << 20})})});
    site.settle();
    site.now += 1'000;
    site.run(actors::put_application{application(grown, {service("web", 1, {1'500, 1 << 20})})});
    site.settle();
    CHECK(site.host_of("default.m.web-1") == "host-1");
    CHECK(site.host_of(std::string{"default."} + grown + ".web-1") == "");
  }
}

TEST_CASE("an instance with persistent volumes waits for its host, and comes back to it after it gave up there") {
  small_site site{{host("host-1"), host("host-2")}};
  auto keeper = service("db", 1);
  keeper.containers[0].volumes = {{"/data", config::volume_kind::persistent, "data", "", 0, false}};
  site.run(actors::put_application{application("shop", {keeper})});
  site.settle();
  const std::string name = "default.shop.db-1";
  const auto home = site.host_of(name);
  const auto generation = site.state.assignments.at(name).generation;
  site.run(actors::set_host_state{home, false, "silent"});
  site.settle();
  CHECK(site.host_of(name) == home);
  site.run(actors::set_host_state{home, true, "heartbeats arrive again"});
  site.settle();
  CHECK(site.state.assignments.at(name).generation == generation); // nothing of it was restarted

  site.gave_up[name] = {home, generation, "exited with code 1"};
  site.settle();
  CHECK(site.host_of(name) == "");
  CHECK(site.state.assignments.at(name).reason
        == "gave up on " + home + ": exited with code 1; its volumes are on " + home
             + ", and 0 of 1 hosts fit: 1 avoided because it gave up there");
  site.gave_up.clear();
  site.now += 60'000;
  site.settle();
  CHECK(site.host_of(name) == home);

  site.run(actors::set_host_state{home, false, "silent"});
  site.run(actors::put_application{application("shop", {service("db", 1)})}); // the next version keeps nothing
  site.settle();
  CHECK(site.host_of(name) != home);
  CHECK(site.state.assignments.at(name).home.empty());
}
