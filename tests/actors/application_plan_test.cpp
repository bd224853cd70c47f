#include <doctest/doctest.h>

#include <algorithm>

#include "actors/application/application_plan.hpp"
#include "actors/application/reconcile.hpp"

using namespace prunella;
using namespace prunella::actors;

namespace {

config::container_spec container(const std::string& name) {
  config::container_spec made;
  made.name = name;
  made.command = {"serve", name};
  return made;
}

config::application_spec shop() {
  config::application_spec spec;
  spec.name = "shop";
  spec.version = "1";
  config::service_spec database;
  database.name = "database";
  database.containers = {container("server")};
  config::service_spec web;
  web.name = "web";
  web.strategy = config::restart_strategy::rest_for_one;
  web.containers = {container("front"), container("side-car")};
  web.containers[0].ports = {{"http", 8080, config::port_protocol::tcp}};
  web.containers[1].ports = {{"admin-port", 9000, config::port_protocol::tcp}};
  spec.services = {database, web};
  return spec;
}

const plan_place place{"market", "host-1", "10.0.0.1"};

application_plan plan(const std::vector<assigned_instance>& assigned, const config::application_spec& spec = shop()) {
  return plan_application(spec, assigned, place);
}

std::vector<std::string> instances(const application_plan& of) {
  std::vector<std::string> names;
  for (const auto& instance : of.instances)
    names.push_back(instance.name + "@" + std::to_string(instance.generation));
  return names;
}

std::vector<std::string> steps(const std::vector<application_plan>& desired, const std::vector<application_plan>& running) {
  std::vector<std::string> texts;
  for (const auto& action : reconcile(desired, running))
    texts.push_back(std::string{to_text(action.step)} + " " + (action.instance.empty() ? action.application : action.instance));
  return texts;
}

using texts = std::vector<std::string>;

} // namespace

TEST_CASE("instances are planned in the order of the spec's services, then by replica") {
  const auto made = plan({{"web", 2, 5}, {"web", 1, 4}, {"database", 1, 3}});
  CHECK(made.name == "default.shop");
  CHECK(instances(made) == texts{"default.shop.database-1@3", "default.shop.web-1@4", "default.shop.web-2@5"});
  const auto& web = made.instances[1];
  CHECK(web.strategy == config::restart_strategy::rest_for_one);
  REQUIRE(web.containers.size() == 2);
  CHECK(web.containers[0].name == "default.shop.web-1.front");
  CHECK(web.containers[0].instance == "default.shop.web-1");
  CHECK(web.containers[0].generation == 4);
  CHECK(web.containers[1].name == "default.shop.web-1.side-car");
}

TEST_CASE("an assignment without a service in the spec is left out, of two of one replica the newer generation counts") {
  CHECK(instances(plan({{"gone", 1, 1}, {"web", 1, 7}, {"web", 1, 6}})) == texts{"default.shop.web-1@7"});
  CHECK(plan({}).instances.empty());
}

TEST_CASE("a container gets every variable of the agent and the ports of its whole instance") {
  const auto made = plan({{"web", 2, 5}});
  const std::map<std::string, std::string> expected{
    {"PRUNELLA_SITE", "market"},
    {"PRUNELLA_HOST", "host-1"},
    {"PRUNELLA_ADDRESS", "10.0.0.1"},
    {"PRUNELLA_TENANT", "default"},
    {"PRUNELLA_APPLICATION", "shop"},
    {"PRUNELLA_SERVICE", "web"},
    {"PRUNELLA_INSTANCE", "default.shop.web-2"},
    {"PRUNELLA_REPLICA", "2"},
    {"PRUNELLA_GENERATION", "5"},
    {"PRUNELLA_CONTAINER", "default.shop.web-2.front"},
    {"PRUNELLA_PORT_HTTP", "8080"},
    {"PRUNELLA_PORT_ADMIN_PORT", "9000"},
  };
  CHECK(made.instances[0].containers[0].env == expected);
}

TEST_CASE("of two ports with one name the own container's is meant") {
  auto spec = shop();
  spec.services[1].containers[1].ports = {{"http", 9000, config::port_protocol::tcp}};
  const auto made = plan({{"web", 1, 1}}, spec);
  CHECK(made.instances[0].containers[0].env.at("PRUNELLA_PORT_HTTP") == "8080");
  CHECK(made.instances[0].containers[1].env.at("PRUNELLA_PORT_HTTP") == "9000");
}

TEST_CASE("a spec's variables may use the agent's, and cannot replace them") {
  auto spec = shop();
  spec.services[0].containers[0].env = {{"URL", "http://${PRUNELLA_HOST}:${PORT}/"}, {"PRUNELLA_HOST", "forged"}};
  const auto env = plan({{"database", 1, 1}}, spec).instances[0].containers[0].env;
  CHECK(env.at("URL") == "http://host-1:${PORT}/");
  CHECK(env.at("PRUNELLA_HOST") == "host-1");
}

TEST_CASE("the hash covers what a process was started with and nothing else") {
  const auto of = [](auto change) {
    auto spec = shop();
    change(spec.services[0].containers[0]);
    return plan({{"database", 1, 1}}, spec).instances[0].containers[0].spec_hash;
  };
  const auto base = of([](auto&) {});
  CHECK(base.size() == 32);
  CHECK(of([](auto&) {}) == base);
  CHECK(of([](auto& c) { c.grace = std::chrono::seconds{1}; }) == base);
  CHECK(of([](auto& c) { c.logs.max_size_bytes *= 2; }) == base);
  CHECK(of([](auto& c) { c.probes.liveness.tcp.port = 80; }) == base);
  CHECK(of([](auto& c) { c.resources.memory_bytes = 1; }) == base);
  CHECK(of([](auto& c) { c.command = {"serve", "serve", ""}; }) != base);
  CHECK(of([](auto& c) { c.command = {"serves", "erver"}; }) != base);
  CHECK(of([](auto& c) { c.env = {{"A", ""}}; }) != base);
  CHECK(of([](auto& c) { c.working_directory = "/srv"; }) != base);
  CHECK(of([](auto& c) { c.ports = {{"http", 1, config::port_protocol::tcp}}; }) != base);
}

TEST_CASE("a port that is published, or no longer, changes nothing of what runs") {
  auto spec = shop();
  const auto before = plan({{"web", 1, 1}}, spec);
  auto& port = spec.services[1].containers[0].ports[0];
  port.publish = 80;
  port.publish_on = config::publish_scope::loopback;
  CHECK(plan({{"web", 1, 1}}, spec) == before);
}

TEST_CASE("the hash of a container of an image covers its limits and what it is made with, and not its grace") {
  const auto of = [](auto change) {
    auto spec = shop();
    spec.services[0].containers[0].image = "shop/database:1";
    change(spec.services[0].containers[0]);
    return plan({{"database", 1, 1}}, spec).instances[0].containers[0].spec_hash;
  };
  const auto base = of([](auto&) {});
  CHECK(of([](auto& c) { c.grace = std::chrono::seconds{1}; }) == base);
  CHECK(of([](auto& c) { c.logs.max_size_bytes *= 2; }) == base);
  CHECK(of([](auto& c) { c.image = ""; }) != base);
  CHECK(of([](auto& c) { c.image = "shop/database:2"; }) != base);
  CHECK(of([](auto& c) { c.resources.memory_bytes = 1; }) != base);
  CHECK(of([](auto& c) { c.user = "1"; }) != base);
  CHECK(of([](auto& c) { c.read_only_root = true; }) != base);
  CHECK(of([](auto& c) { c.pids = 7; }) != base);
  CHECK(of([](auto& c) { c.files = {{"/a", "b", "0644"}}; }) != base);
  CHECK(of([](auto& c) { c.volumes = {{"/a", config::volume_kind::tmpfs, "", "", 0, false}}; }) != base);
  CHECK(of([](auto& c) { c.stop_signal = "INT"; }) != base);
  auto alone = shop();
  alone.services[0].containers[0].image = "shop/database:1";
  alone.services[0].network = config::instance_network::none;
  CHECK(plan({{"database", 1, 1}}, alone).instances[0].containers[0].spec_hash != base);
}

TEST_CASE("variables of the place are replaced in command, environment and files") {
  auto spec = shop();
  auto& made = spec.services[0].containers[0];
  made.ports = {{"web-ui", 8080, config::port_protocol::tcp}};
  made.command = {"serve", "${PORT_web-ui}", "$${HOST} ${HOST}"};
  made.env = {{"URL", "http://${PRUNELLA_HOST}:${PRUNELLA_PORT_WEB_UI}/${REPLICA}"}};
  made.files = {{"/etc/x", "instance=${INSTANCE}", "0644"}};
  const auto order = plan({{"database", 1, 1}}, spec).instances[0].containers[0];
  const auto host = order.env.at("PRUNELLA_HOST");
  CHECK(order.spec.command == std::vector<std::string>{"serve", "8080", "${HOST} " + host});
  CHECK(order.env.at("URL") == "http://" + host + ":8080/1");
  CHECK(order.spec.files[0].content == "instance=" + order.instance);
}

TEST_CASE("nothing is done when what runs is what is wanted") {
  const auto made = plan({{"web", 1, 1}, {"database", 1, 1}});
  CHECK(reconcile({made}, {made}).empty());
  CHECK(reconcile({}, {}).empty());
}

TEST_CASE("an application appears with its first instance and goes with its last") {
  const auto made = plan({{"web", 1, 1}});
  CHECK(steps({made}, {}) == texts{"start application default.shop"});
  CHECK(steps({}, {made}) == texts{"stop application default.shop"});
  CHECK(steps({plan({})}, {made}) == texts{"stop application default.shop"});
  CHECK(steps({plan({})}, {}).empty());
}

TEST_CASE("an application that lost all its instances here keeps its supervisor for the next ones") {
  CHECK(steps({plan({{"web", 1, 1}})}, {plan({})}) == texts{"start instance default.shop.web-1"});
  CHECK(steps({}, {plan({})}) == texts{"stop application default.shop"});
}

TEST_CASE("scaling touches only the replicas that come and go, the last one first") {
  const auto one = plan({{"web", 1, 1}});
  const auto three = plan({{"web", 1, 1}, {"web", 2, 1}, {"web", 3, 1}});
  CHECK(steps({three}, {one}) == texts{"start instance default.shop.web-2", "start instance default.shop.web-3"});
  CHECK(steps({one}, {three}) == texts{"stop instance default.shop.web-3", "stop instance default.shop.web-2"});
}

TEST_CASE("a new generation replaces that instance only, a changed container waits for one") {
  const auto before = plan({{"database", 1, 1}, {"web", 1, 1}});
  CHECK(steps({plan({{"database", 1, 1}, {"web", 1, 2}})}, {before}) == texts{"replace instance default.shop.web-1"});
  CHECK(reconcile({plan({{"database", 1, 1}, {"web", 1, 2}})}, {before})[0].reason == "generation 2 was assigned, 1 ran");
  auto spec = shop();
  spec.version = "2";
  spec.services[0].containers[0].command.push_back("--fast");
  const auto after = plan({{"database", 1, 1}, {"web", 1, 1}}, spec);
  std::map<std::string, instance_plan> started;
  for (const auto& x : before.instances)
    started[x.name] = x;
  CHECK(in_force(after, started) == before);
  CHECK(in_force(after, {}) == after);
  const auto next = plan({{"database", 1, 2}, {"web", 1, 1}}, spec);
  CHECK(in_force(next, started) == next);
  CHECK(steps({in_force(next, started)}, {before}) == texts{"replace instance default.shop.database-1"});
}

TEST_CASE("a new version with equal services restarts nothing") {
  auto spec = shop();
  spec.version = "2";
  spec.labels = {{"tier", "gold"}};
  spec.services[1].replicas = 9;
  CHECK(steps({plan({{"web", 1, 1}}, spec)}, {plan({{"web", 1, 1}})}).empty());
}

TEST_CASE("a changed grace, reservation or restart policy of a service puts other actors over the same containers") {
  const auto before = plan({{"web", 1, 1}});
  for (const int change : {0, 1, 2, 3}) {
    auto spec = shop();
    for (auto& service : spec.services) {
      if (change == 0)
        service.containers[0].grace += std::chrono::seconds{1};
      else if (change == 1)
        service.containers[0].resources.cpu_millis += 100;
      else if (change == 2)
        ++service.restart.intensity;
      else
        service.strategy = config::restart_strategy::one_for_all;
    }
    const auto after = plan({{"web", 1, 1}}, spec);
    REQUIRE(after != before);
    std::map<std::string, instance_plan> started{{before.instances[0].name, before.instances[0]}};
    CHECK(in_force(after, started) == after);
    CHECK(steps({after}, {before}) == texts{"resupervise instance default.shop.web-1"});
  }
}

TEST_CASE("a changed strategy or intensity of the application puts another supervisor over all of it") {
  auto spec = shop();
  spec.intensity = 9;
  CHECK(steps({plan({{"web", 1, 1}, {"web", 2, 1}}, spec)}, {plan({{"web", 1, 1}})})
        == texts{"resupervise application default.shop"});
}

TEST_CASE("what frees resources comes first, what needs them last") {
  auto other = shop();
  other.name = "bakery";
  auto third = shop();
  third.name = "zoo";
  const auto running = std::vector{plan({{"web", 1, 1}, {"web", 2, 1}}), plan({{"web", 1, 1}}, third)};
  const auto desired = std::vector{plan({{"database", 1, 1}, {"web", 1, 2}}), plan({{"web", 1, 1}}, other)};
  CHECK(steps(desired, running)
        == texts{"stop application default.zoo", "stop instance default.shop.web-2",
                 "replace instance default.shop.web-1", "start instance default.shop.database-1",
                 "start application default.bakery"});
}

TEST_CASE("after a start of the agent, containers of no desired instance or of another generation are unwanted") {
  const std::map<std::string, application_plan> desired{{"default.shop", plan({{"web", 1, 2}})}};
  std::vector<recovered_container> recovered(4);
  recovered[0].name = "default.shop.web-1.side-car";
  recovered[0].generation = 1;
  recovered[1].name = "default.shop.web-1.front";
  recovered[1].generation = 2;
  recovered[2].name = "default.old.web-1.front";
  recovered[2].generation = 2;
  recovered[3].name = "default.shop.web-1.removed";
  recovered[3].generation = 2;
  const auto unwanted = unwanted_containers(recovered, desired);
  REQUIRE(unwanted.size() == 3);
  CHECK(unwanted[0].name == "default.old.web-1.front");
  CHECK(unwanted[1].name == "default.shop.web-1.removed");
  CHECK(unwanted[2].name == "default.shop.web-1.side-car");
}
