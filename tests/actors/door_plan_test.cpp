// What doors are told, and who tells them: values.

#include <doctest/doctest.h>

#include "actors/door/door_plan.hpp"
#include "actors/door/names_plan.hpp"
#include "actors/door/published_views.hpp"
#include "actors/site/ready_board.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::test;

namespace {

using config::instance_network;
using config::port_protocol;

/// Three hosts; `web` publishes 80 and has an instance on each of the first two.
struct shop {
  small_site site{{host("host-1"), host("host-2"), host("host-3")}};
  std::map<std::string, instance_report> own;
  ready_table table;
  std::map<std::string, std::string> service_addresses;
  std::map<std::string, std::uint64_t> draining;

  shop() {
    auto spec = application("shop", {service("web", 2)});
    spec.services[0].containers[0].ports = {{"http", 8000, port_protocol::tcp, 80}, {"admin", 8001, port_protocol::tcp}};
    site.run(put_application{spec});
    assign("default.shop.web-1", 1, "host-1");
    assign("default.shop.web-2", 2, "host-2");
    table.term = 1;
    table.revision = 1;
    table.ready = {{"default.shop.web-1", 1, "host-1"}, {"default.shop.web-2", 1, "host-2"}};
    table.doors = {{"host-1", "10.0.0.1:9001"}, {"host-2", "10.0.0.2:9002"}};
  }

  void assign(const std::string& instance, std::uint32_t replica, const std::string& where, std::uint64_t generation = 1) {
    assignment x;
    x.tenant = "default";
    x.application = "shop";
    x.service = "web";
    x.replica = replica;
    x.host = where;
    x.generation = generation;
    site.state.assignments[instance] = x;
  }

  void report(const std::string& instance, instance_phase phase, std::uint64_t generation = 1) {
    instance_report x;
    x.instance = instance;
    x.generation = generation;
    x.phase = phase;
    own[instance] = x;
  }

  net::door_plan plan(const std::string& on) const {
    return make_door_plan({site.state, on, {"127.0.0.1", "10.0.0.9"}, own, draining, table, service_addresses});
  }

  /// `instance/generation@host` of the only service's backends; `+` behind those that are local.
  std::vector<std::string> backends(const std::string& on) const {
    std::vector<std::string> result;
    const auto made = plan(on);
    for (const auto& x : made.services.at(0).backends)
      result.push_back(x.instance.substr(13) + '/' + std::to_string(x.generation) + '@' + x.host + (x.is_local() ? "+" : ""));
    return result;
  }
};

using texts = std::vector<std::string>;

host_heartbeat beat(const std::string& host, std::vector<instance_report> reports) {
  host_heartbeat x;
  x.host = host;
  x.incarnation = 1;
  x.has_reports = true;
  x.revision = 1;
  x.reports = std::move(reports);
  return x;
}

/// `web` is on a bridge, so the services of the site have names.
void use_names(shop& x) {
  auto spec = x.site.state.applications.at("default.shop").spec;
  spec.services[0].network = instance_network::bridge;
  spec.services[0].containers[0].image = "web";
  x.site.state.applications["default.shop"].spec = spec;
}

std::vector<const net::door_service*> named(const net::door_plan& plan) {
  std::vector<const net::door_service*> found;
  for (const auto& service : plan.services)
    if (service.is_named)
      found.push_back(&service);
  return found;
}

} // namespace

TEST_CASE("where an application is on a bridge each port of each service has a name, listened on where somebody may ask") {
  shop x;
  CHECK(named(x.plan("host-3")).empty());
  use_names(x);
  const auto silent = x.plan("host-3");
  REQUIRE(named(silent).size() == 2);
  CHECK(named(silent)[0]->port == 8000);
  CHECK(named(silent)[0]->target == 8000);
  CHECK(named(silent)[0]->address == "");
  CHECK(named(silent)[1]->port == 8001);
  CHECK(named(silent)[1]->backends.size() == 2);
  x.service_addresses["default.shop.web"] = "10.84.6.7";
  const auto asked = x.plan("host-3");
  CHECK(named(asked)[0]->address == "10.84.6.7");
}

TEST_CASE("where an instance in the host's own network listens, nobody listens on that port of a service's address") {
  shop x;
  use_names(x);
  auto& services = x.site.state.applications["default.shop"].spec.services;
  services.push_back(services[0]);
  services.back().name = "cash";
  services.back().network = instance_network::host;
  services.back().containers[0].ports = {{"http", 8000, port_protocol::tcp}};
  x.service_addresses = {{"default.shop.web", "10.84.6.7"}, {"default.shop.cash", "10.84.6.8"}};
  auto& cash = x.site.state.assignments["default.shop.cash-1"];
  cash = x.site.state.assignments.at("default.shop.web-1");
  cash.service = "cash";
  const auto addresses = [&](const std::string& host) {
    texts result;
    const auto plan = x.plan(host);
    for (const auto* service : named(plan))
      result.push_back(service->address.empty() ? "-" : service->address + ':' + std::to_string(service->port));
    return result;
  };
  CHECK(addresses("host-1") == texts{"-", "10.84.6.7:8001", "-"});
  CHECK(addresses("host-3") == texts{"10.84.6.7:8000", "10.84.6.7:8001", "10.84.6.8:8000"});
  services.back().containers[0].ports[0].protocol = port_protocol::udp;
  CHECK(addresses("host-1") == texts{"10.84.6.7:8000", "10.84.6.7:8001", "-"});
}

TEST_CASE("an instance with an address of its own is reached there and nowhere else") {
  shop x;
  use_names(x);
  x.report("default.shop.web-1", instance_phase::running);
  x.own["default.shop.web-1"].address = "10.84.0.2";
  const auto plan = x.plan("host-1");
  for (const auto& service : plan.services)
    for (const auto& backend : service.backends)
      if (backend.is_local())
        CHECK(backend.addresses == texts{"10.84.0.2:" + std::to_string(service.target)});
}

TEST_CASE("services keep their address, new ones get what their name stands for, and a full range leaves some without") {
  shop x;
  const auto range = *config::parse_network("10.84.6.0/30"); // room for two
  CHECK(place_services(x.site.state, range, {}).empty());
  use_names(x);
  const auto first = place_services(x.site.state, range, {});
  REQUIRE(first.size() == 1);
  CHECK(first.begin()->first == "default.shop.web");
  CHECK((first.begin()->second == range.base + 1 || first.begin()->second == range.base + 2));
  CHECK(place_services(x.site.state, range, first) == first);
  const actors::service_addresses other{{"default.shop.web", range.base + 3 - (first.begin()->second - range.base)}};
  CHECK(place_services(x.site.state, range, other) == other);
  CHECK(place_services(x.site.state, range, {{"default.shop.web", 1}}) == first); // of another range
  auto& services = x.site.state.applications["default.shop"].spec.services;
  for (const auto* name : {"a", "b"}) {
    services.push_back(services[0]);
    services.back().name = name;
  }
  const auto full = place_services(x.site.state, range, first);
  CHECK(full.size() == 2);
  CHECK(full.at("default.shop.web") == first.at("default.shop.web"));
}

TEST_CASE("the names of a host are its site's services, and its instances ask as their tenant") {
  shop x;
  use_names(x);
  x.report("default.shop.web-1", instance_phase::running);
  x.own["default.shop.web-1"].address = "10.84.0.2";
  const auto table = make_name_table(x.site.state, {{"default.shop.web", 7}}, x.own);
  const auto& web = table.tenants.at("default").at("shop").at("web");
  CHECK(web.address == 7);
  REQUIRE(web.ports.size() == 2);
  CHECK(web.ports[0] == net::named_port{"http", config::port_protocol::tcp, 8000});
  CHECK(table.tenant_of == std::map<std::uint32_t, std::string>{{0x0A540002, "default"}});
  CHECK(make_name_table(x.site.state, {}, {}).tenants.at("default").at("shop").empty());
}

TEST_CASE("a published port leads to instances of other hosts as the leader says, and to own ones as they report themselves") {
  shop x;
  CHECK(x.backends("host-3") == texts{"web-1/1@host-1", "web-2/1@host-2"});
  CHECK(x.backends("host-1") == texts{"web-2/1@host-2"}); // the leader may not know yet that it ended
  x.report("default.shop.web-1", instance_phase::running);
  CHECK(x.backends("host-1") == texts{"web-1/1@host-1+", "web-2/1@host-2"});
  x.report("default.shop.web-1", instance_phase::stopping);
  CHECK(x.backends("host-1") == texts{"web-2/1@host-2"});
  const auto plan = x.plan("host-3");
  REQUIRE(plan.services.size() == 1); // `admin` is not published
  CHECK(plan.services[0].name == "default.shop.web");
  CHECK(plan.services[0].port == 80);
  CHECK(plan.peers.at("host-1").tunnel == "10.0.0.1:9001");
  CHECK(plan.peers.count("host-3") == 0);
}

TEST_CASE("an own instance is reached where it listens, on its own port, at each address it may have") {
  shop x;
  x.report("default.shop.web-1", instance_phase::running);
  CHECK(x.plan("host-1").services[0].backends[0].addresses == texts{"127.0.0.1:8000", "10.0.0.9:8000"});
}

TEST_CASE("an own instance that was told to stop gets no new connections, also before it says so itself") {
  shop x;
  x.report("default.shop.web-1", instance_phase::running);
  CHECK(x.backends("host-1") == texts{"web-1/1@host-1+", "web-2/1@host-2"});
  x.draining["default.shop.web-1"] = 1;
  CHECK(x.backends("host-1") == texts{"web-2/1@host-2"});
  x.assign("default.shop.web-1", 1, "host-1", 2);
  x.report("default.shop.web-1", instance_phase::running, 2);
  CHECK(x.backends("host-1") == texts{"web-1/2@host-1+", "web-2/1@host-2"});
}

TEST_CASE("an instance in an older generation than the state knows is not used, one in a newer is") {
  shop x;
  x.assign("default.shop.web-1", 1, "host-3", 2);
  CHECK(x.backends("host-2") == texts{}); // web-2 is its own and has not reported; web-1 is outdated
  x.table.ready[0] = {"default.shop.web-1", 2, "host-3"};
  CHECK(x.backends("host-2") == texts{"web-1/2@host-3"});
  x.table.ready[0] = {"default.shop.web-1", 3, "host-1"}; // the log comes later
  CHECK(x.backends("host-2") == texts{"web-1/3@host-1"});
  x.report("default.shop.web-1", instance_phase::running, 1);
  CHECK(x.backends("host-3") == texts{"web-2/1@host-2"}); // what still runs here is not what is assigned
}

TEST_CASE("instances of a host that is down are not used, and what is open to it is ended") {
  shop x;
  x.site.state.hosts["host-2"].up = false;
  CHECK(x.backends("host-3") == texts{"web-1/1@host-1"});
  CHECK(x.plan("host-3").peers.at("host-2").is_lost);
  CHECK_FALSE(x.plan("host-3").peers.at("host-1").is_lost);
  x.report("default.shop.web-2", instance_phase::running);
  CHECK(x.backends("host-2") == texts{"web-1/1@host-1", "web-2/1@host-2+"}); // itself it knows better
}

TEST_CASE("a service without replicas is not listened for, neither on its published port nor at its name") {
  shop x;
  use_names(x);
  x.service_addresses["default.shop.web"] = "10.84.6.1";
  CHECK(x.plan("host-3").services.size() == 3);
  x.site.state.applications.at("default.shop").spec.services[0].replicas = 0;
  const auto services = x.plan("host-3").services;
  REQUIRE(services.size() == 2);
  for (const auto& service : services) {
    CHECK(service.is_named);
    CHECK(service.address.empty());
  }
}

TEST_CASE("of two applications that publish one port the first by name has it") {
  shop x;
  auto late = application("late", {service("web", 1)});
  late.services[0].containers[0].ports = {{"http", 7000, port_protocol::tcp, 80}, {"dns", 7053, port_protocol::udp, 80}};
  x.site.run(put_application{late});
  const auto services = x.plan("host-3").services;
  REQUIRE(services.size() == 2);
  CHECK(services[0].name == "default.late.web");
  CHECK(services[1].protocol == port_protocol::udp);
}

TEST_CASE("what a leader has not heard of yet stays as it was known, and a table without a revision changes nothing") {
  shop x;
  ready_table next;
  next.term = 2;
  CHECK(merged(x.table, next) == x.table);
  next.revision = 1;
  next.silent = {"host-2"};
  const auto both = merged(x.table, next);
  CHECK(both.term == 2);
  REQUIRE(both.ready.size() == 1);
  CHECK(both.ready[0].host == "host-2");
  CHECK(both.doors == x.table.doors);
  next.silent.clear();
  CHECK(merged(both, next).ready.empty());
}

// -- the leader ----------------------------------------------------------------------------------------------------------

TEST_CASE("the leader's table has the running instances of published services in their present generation") {
  shop x;
  observations seen;
  instance_report one;
  one.instance = "default.shop.web-1";
  one.generation = 1;
  one.phase = instance_phase::running;
  seen.take(beat("host-1", {one}), {});
  ready_board board(7);
  CHECK(board.refresh(x.site.state, seen));
  CHECK(board.table().term == 7);
  CHECK(board.table().revision == 1);
  CHECK(board.table().ready == std::vector<ready_instance>{{"default.shop.web-1", 1, "host-1"}});
  CHECK(board.table().silent == texts{"host-2", "host-3"});
  CHECK_FALSE(board.refresh(x.site.state, seen));

  seen.take(beat("host-2", {}), {});
  CHECK(board.refresh(x.site.state, seen));
  CHECK(board.table().silent == texts{"host-3"});
  board.note_door("host-2", "10.0.0.2:9002");
  CHECK(board.refresh(x.site.state, seen));
  CHECK(board.table().doors == std::vector<host_door>{{"host-2", "10.0.0.2:9002"}});

  x.assign("default.shop.web-1", 1, "host-1", 2);
  CHECK(board.refresh(x.site.state, seen));
  CHECK(board.table().ready.empty());
  CHECK(board.table().revision == 4);
}

TEST_CASE("instances that nobody published, that start, or whose host is down are in no door's table") {
  shop x;
  observations seen;
  const auto ready_with = [&](auto change) {
    auto state = x.site.state;
    instance_report one;
    one.instance = "default.shop.web-1";
    one.generation = 1;
    one.phase = instance_phase::running;
    change(state, one);
    observations heard;
    heard.take(beat("host-1", {one}), {});
    ready_board board(1);
    board.refresh(state, heard);
    return board.table().ready.size();
  };
  CHECK(ready_with([](auto&, auto&) {}) == 1);
  CHECK(ready_with([](auto&, auto& report) { report.phase = instance_phase::starting; }) == 0);
  CHECK(ready_with([](auto& state, auto&) { state.hosts["host-1"].up = false; }) == 0);
  CHECK(ready_with([](auto& state, auto&) {
          state.applications.begin()->second.spec.services[0].containers[0].ports[0].publish = 0;
        }) == 0);
}

// -- what people see -----------------------------------------------------------------------------------------------------

TEST_CASE("a service's row has the addresses of all hosts, sums what is open, and says which host does not answer on it") {
  shop x;
  net::door_listener_status port;
  port.service = "default.shop.web";
  port.port = 80;
  port.addresses = {"[::]:80"};
  port.accepted = 5;
  port.backends = {{"default.shop.web-1", 1, "host-1", true, 2}, {"default.shop.web-2", 1, "host-2", true, 1}};
  auto second = port;
  second.backends[1].is_ready = false; // it is its own
  auto third = port;
  third.addresses.clear();
  third.problem = "[::]:80/tcp is in use on this host";
  x.site.state.hosts["host-1"].spec.address = "10.0.0.1:7101";
  x.site.state.hosts["host-2"].spec.address = "[fd00::2]:7101";
  const auto rows = published_views(x.site.state, {{"host-1", {port}}, {"host-2", {second}}, {"host-3", {third}}});
  REQUIRE(rows.size() == 1);
  const auto& row = rows[0];
  CHECK(row.service == "default.shop.web");
  CHECK(row.protocol == "tcp");
  CHECK(row.publish_on == "all");
  CHECK(row.addresses == texts{"10.0.0.1:80", "[fd00::2]:80"});
  CHECK(row.ready == 1);
  CHECK(row.wanted == 2);
  CHECK(row.connections == 9);
  CHECK(row.accepted == 15);
  REQUIRE(row.backends.size() == 2);
  CHECK(row.backends[0].connections == 6);
  CHECK(row.backends[1].state == "draining");
  CHECK(row.problems == texts{"host-3: [::]:80/tcp is in use on this host"});
  CHECK(row.state == "degraded");
  CHECK(published_views(x.site.state, {}).at(0).state == "unserved");
  x.site.state.site.address = "10.0.0.50/24";
  CHECK(published_views(x.site.state, {{"host-1", {port}}}).at(0).addresses == texts{"10.0.0.1:80"}); // no host can hold it
  CHECK(published_views(x.site.state, {{"host-1", {port}}}).at(0).problems
        == texts{"no host holds the site's address 10.0.0.50; no host with an `interface` is up"});
  x.site.state.hosts["host-2"].spec.interface = "eth0";
  CHECK(published_views(x.site.state, {{"host-1", {port}}}).at(0).addresses == texts{"10.0.0.50:80", "10.0.0.1:80"});
  port.addresses = {"127.0.0.1:80"};
  CHECK(published_views(x.site.state, {{"host-1", {port}}}).at(0).addresses == texts{"127.0.0.1:80"});
}
