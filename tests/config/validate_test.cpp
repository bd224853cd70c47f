#include <doctest/doctest.h>

#include <functional>

#include "config/limits.hpp"
#include "config/validate.hpp"

using namespace prunella::config;
using namespace std::chrono_literals;

namespace {

site_spec a_site(std::size_t hosts) {
  site_spec site;
  site.name = "shop";
  for (std::size_t i = 1; i <= hosts; ++i)
    site.hosts.push_back({"host-" + std::to_string(i), "10.0.0." + std::to_string(i) + ":7101", {}, {1, 1}, {}});
  return site;
}

application_spec an_application() {
  container_spec container;
  container.name = "main";
  container.command = {"run"};
  service_spec service;
  service.name = "web";
  service.containers = {container};
  application_spec app;
  app.name = "shop";
  app.version = "1";
  app.services = {service};
  return app;
}

/// The paths with problems after `change`.
std::vector<std::string> bad_paths(const std::function<void(application_spec&)>& change) {
  auto app = an_application();
  change(app);
  std::vector<std::string> paths;
  for (const auto& p : validate(app)) {
    CHECK(!p.what.empty());
    CHECK(!p.fix.empty());
    paths.push_back(p.path);
  }
  return paths;
}

using paths = std::vector<std::string>;

/// The same for its only service and container.
paths bad_service_paths(const std::function<void(service_spec&)>& change) {
  return bad_paths([&](application_spec& app) { change(app.services[0]); });
}

paths bad_container_paths(const std::function<void(container_spec&)>& change) {
  return bad_paths([&](application_spec& app) { change(app.services[0].containers[0]); });
}

} // namespace

TEST_CASE("the smallest site and application are valid") {
  CHECK(validate(a_site(1)).empty());
  CHECK(validate(an_application()).empty());
}

TEST_CASE("a name has 1 to 63 of a-z, 0-9 and - with a letter or digit at both ends") {
  CHECK(is_name("a"));
  CHECK(is_name("0-9"));
  CHECK(is_name(std::string(63, 'a')));
  CHECK_FALSE(is_name(std::string(64, 'a')));
  for (const char* text : {"", "-a", "a-", "A", "a_b", "a.b", "a b", "ä", "-"})
    CHECK_MESSAGE(!is_name(text), text);
}

TEST_CASE("a version has 1 to 64 letters, digits and . + -") {
  CHECK(is_version("1.0.0-rc.1+build"));
  CHECK(is_version(std::string(64, '1')));
  CHECK_FALSE(is_version(std::string(65, '1')));
  CHECK_FALSE(is_version(""));
  CHECK_FALSE(is_version("1/2"));
  CHECK(bad_paths([](auto& app) { app.version.clear(); }) == paths{"version"});
}

TEST_CASE("labels have keys and values as in Kubernetes") {
  CHECK(is_label_key("zone"));
  CHECK(is_label_key("example.com/Zone_1"));
  CHECK(is_label_key(std::string(253, 'a') + '/' + std::string(63, 'b')));
  CHECK_FALSE(is_label_key(std::string(254, 'a') + "/b"));
  CHECK_FALSE(is_label_key(std::string(64, 'b')));
  for (const char* text : {"", "/", "a/", "/a", "a/b/c", "-a", "a-", "a b", "Example.com/x"})
    CHECK_MESSAGE(!is_label_key(text), text);
  CHECK(is_label_value(""));
  CHECK(is_label_value("Rack_4.b-1"));
  CHECK_FALSE(is_label_value("rack 4"));
  CHECK_FALSE(is_label_value(std::string(64, 'b')));
}

TEST_CASE("a site has 1 to 64 hosts") {
  CHECK(validate(a_site(64)).empty());
  CHECK(validate(a_site(0)).at(0).path == "hosts");
  CHECK(validate(a_site(65)).at(0).path == "hosts");
}

TEST_CASE("hosts share neither an id nor an address and all have capacity") {
  auto site = a_site(2);
  site.hosts[1] = site.hosts[0];
  site.hosts[1].capacity = {0, 0};
  paths found;
  for (const auto& p : validate(site))
    found.push_back(p.path);
  CHECK(found == paths{"hosts[1].id", "hosts[1].capacity.cpu", "hosts[1].capacity.memory", "hosts[1].address"});
}

TEST_CASE("one to five hosts may be named controllers and not all of them excluded") {
  auto site = a_site(6);
  for (std::size_t i = 0; i < 5; ++i)
    site.hosts[i].controller = controller_choice::yes;
  CHECK(validate(site).empty());
  site.hosts[5].controller = controller_choice::yes;
  CHECK(validate(site).size() == 1);
  for (auto& host : site.hosts)
    host.controller = controller_choice::no;
  CHECK(validate(site).size() == 1);
  site.hosts[0].controller = controller_choice::automatic;
  CHECK(validate(site).empty());
}

TEST_CASE("an application has 1 to 64 services of different names") {
  const auto with_services = [](std::size_t count) {
    return bad_paths([count](application_spec& app) {
      app.services.resize(count, app.services[0]);
      for (std::size_t i = 0; i < count; ++i)
        app.services[i].name = "s" + std::to_string(i);
    });
  };
  CHECK(with_services(64) == paths{});
  CHECK(with_services(0) == paths{"services"});
  CHECK(with_services(65) == paths{"services"});
  CHECK(bad_paths([](auto& app) { app.services.push_back(app.services[0]); }) == paths{"services[1].name"});
}

TEST_CASE("a service has 0 to 1000 replicas and 1 to 16 containers of different names") {
  CHECK(bad_service_paths([](auto& s) { s.replicas = 0; }) == paths{});
  CHECK(bad_service_paths([](auto& s) { s.replicas = 1000; }) == paths{});
  CHECK(bad_service_paths([](auto& s) { s.replicas = 1001; }) == paths{"services[0].replicas"});
  CHECK(bad_service_paths([](auto& s) { s.containers.clear(); }) == paths{"services[0].containers"});
  CHECK(bad_service_paths([](auto& s) { s.containers.push_back(s.containers[0]); }) ==
        paths{"services[0].containers[1].name"});
  const auto with_containers = [](std::size_t count) {
    return bad_service_paths([count](service_spec& s) {
      s.containers.resize(count, s.containers[0]);
      for (std::size_t i = 0; i < count; ++i)
        s.containers[i].name = "c" + std::to_string(i);
    });
  };
  CHECK(with_containers(16) == paths{});
  CHECK(with_containers(17) == paths{"services[0].containers"});
}

TEST_CASE("durations are within their bounds, both included") {
  CHECK(bad_paths([](auto& app) { app.period = 1ms; }) == paths{});
  CHECK(bad_paths([](auto& app) { app.period = 24h; }) == paths{});
  CHECK(bad_paths([](auto& app) { app.period = 0ms; }) == paths{"period"});
  CHECK(bad_paths([](auto& app) { app.period = 24h + 1ms; }) == paths{"period"});
  CHECK(bad_container_paths([](auto& c) { c.grace = 0ms; }) == paths{});
  CHECK(bad_container_paths([](auto& c) { c.grace = 1h; }) == paths{});
  CHECK(bad_container_paths([](auto& c) { c.grace = 1h + 1ms; }) == paths{"services[0].containers[0].grace"});
  CHECK(bad_container_paths([](auto& c) { c.grace = -1ms; }) == paths{"services[0].containers[0].grace"});
  CHECK(bad_service_paths([](auto& s) { s.restart.backoff_initial = s.restart.backoff_max; }) == paths{});
  CHECK(bad_service_paths([](auto& s) { s.restart.backoff_initial = s.restart.backoff_max + 1ms; }) ==
        paths{"services[0].restart.backoff.max"});
}

TEST_CASE("an intensity of 0 to 1000 restarts is valid") {
  CHECK(bad_paths([](auto& app) { app.intensity = 0; }) == paths{});
  CHECK(bad_paths([](auto& app) { app.intensity = 1000; }) == paths{});
  CHECK(bad_paths([](auto& app) { app.intensity = 1001; }) == paths{"intensity"});
  CHECK(bad_service_paths([](auto& s) { s.restart.intensity = 1001; }) == paths{"services[0].restart.intensity"});
}

TEST_CASE("only stop-after takes a duration, and then one above zero") {
  CHECK(bad_service_paths([](auto& s) { s.when_cut_off = {cut_off_mode::stop_after, 1ms}; }) == paths{});
  CHECK(bad_service_paths([](auto& s) {
          s.when_cut_off = {cut_off_mode::stop_after, 0ms};
        }) == paths{"services[0].when-cut-off.stop-after"});
  CHECK(bad_service_paths([](auto& s) {
          s.when_cut_off = {cut_off_mode::exclusive, 1ms};
        }) == paths{"services[0].when-cut-off.after"});
}

TEST_CASE("placement is an expression, a label key and services of the same application") {
  CHECK(bad_service_paths([](auto& s) { s.placement = {"a = b", "zone", {"web"}}; }) == paths{});
  CHECK(bad_service_paths([](auto& s) {
          s.placement = {"a =", "a b", {"web", "web", "api"}};
        }) == paths{"services[0].placement.match-host-labels", "services[0].placement.spread-by",
                    "services[0].placement.anti-affinity[1]", "services[0].placement.anti-affinity[2]"});
}

TEST_CASE("a port of one protocol is used once in a service, by any of its containers") {
  const auto with_ports = [](port_spec first, port_spec second) {
    return bad_service_paths([&](service_spec& s) {
      s.containers.push_back(s.containers[0]);
      s.containers[1].name = "other";
      s.containers[0].ports = {first};
      s.containers[1].ports = {second};
    });
  };
  CHECK(with_ports({"a", 53, port_protocol::tcp}, {"a", 53, port_protocol::udp}) == paths{});
  CHECK(with_ports({"a", 53, port_protocol::tcp}, {"b", 53, port_protocol::tcp}) ==
        paths{"services[0].containers[1].ports[0].port"});
  CHECK(with_ports({"a", 0, port_protocol::tcp}, {"", 65535, port_protocol::tcp}) ==
        paths{"services[0].containers[0].ports[0].port", "services[0].containers[1].ports[0].name"});
  CHECK(bad_container_paths([](auto& c) {
          c.ports = {{"a", 1, {}}, {"a", 2, {}}};
        }) == paths{"services[0].containers[0].ports[1].name"});
}

TEST_CASE("a published port is published once in an application, and no container listens on it") {
  const auto with_ports = [](port_spec first, port_spec second) {
    return bad_paths([&](application_spec& app) {
      app.services.push_back(app.services[0]);
      app.services[1].name = "other";
      app.services[0].containers[0].ports = {first};
      app.services[1].containers[0].ports = {second};
    });
  };
  const auto all = publish_scope::all;
  const auto loopback = publish_scope::loopback;
  const std::string first = "services[0].containers[0].ports[0]";
  const std::string second = "services[1].containers[0].ports[0]";
  CHECK(with_ports({"a", 8000, port_protocol::tcp, 1, all}, {"a", 8000, port_protocol::tcp, 65535, loopback}) == paths{});
  CHECK(with_ports({"a", 8000, port_protocol::tcp, 80, all}, {"a", 8001, port_protocol::udp, 80, all}) == paths{});
  CHECK(with_ports({"a", 8000, port_protocol::tcp, 80, all}, {"a", 8001, port_protocol::tcp, 80, all}) ==
        paths{second + ".publish"});
  CHECK(with_ports({"a", 8000, port_protocol::tcp, 80, all}, {"a", 80, port_protocol::tcp}) == paths{second + ".port"});
  CHECK(with_ports({"a", 8000, port_protocol::tcp, 80, all}, {"a", 80, port_protocol::udp}) == paths{});
  CHECK(with_ports({"a", 80, port_protocol::tcp, 80, all}, {"a", 1, port_protocol::tcp}) == paths{first + ".port"});
  CHECK(with_ports({"a", 80, port_protocol::tcp, 0, loopback}, {"a", 1, port_protocol::tcp}) == paths{first + ".publish-on"});
}

TEST_CASE("an application publishes at most 64 ports") {
  const auto publish = [](std::size_t count) {
    return bad_paths([&](application_spec& app) {
      app.services[0].containers.push_back(app.services[0].containers[0]);
      app.services[0].containers[1].name = "other";
      for (std::size_t i = 0; i < count; ++i) {
        const auto number = static_cast<std::uint16_t>(1000 + i);
        app.services[0].containers[i % 2].ports.push_back(
            {"p" + std::to_string(i), number, port_protocol::tcp, static_cast<std::uint16_t>(number + 1000)});
      }
    });
  };
  CHECK(publish(limits::published) == paths{});
  CHECK(publish(limits::published + 1) == paths{"services"});
}

TEST_CASE("a probe asks one thing, in bounds, and only readiness may need more than one success") {
  const auto bad_probe = [](const std::function<void(probe_spec&)>& change, bool is_readiness = false) {
    return bad_container_paths([&](container_spec& c) {
      auto& probe = is_readiness ? c.probes.readiness : c.probes.liveness;
      probe.http.port = 80;
      change(probe);
    });
  };
  const std::string at = "services[0].containers[0].probes.liveness";
  CHECK(bad_probe([](auto&) {}) == paths{});
  CHECK(bad_probe([](auto& p) { p.http.port = 0; }) == paths{});
  CHECK(bad_probe([](auto& p) { p.http.port = 0, p.period = 1s; }) == paths{at});
  CHECK(bad_probe([](auto& p) { p.tcp.port = 80; }) == paths{at});
  CHECK(bad_probe([](auto& p) { p.command = {"true"}; }) == paths{at});
  CHECK(bad_probe([](auto& p) { p.http.port = 0, p.command = {"test", "-e", "${INSTANCE}"}; }) == paths{});
  CHECK(bad_probe([](auto& p) { p.http.port = 0, p.command = {"", "${NOTHING}"}; }) == paths{at + ".command[0]", at + ".command[1]"});
  CHECK(bad_probe([](auto& p) { p.http.path = "x"; }) == paths{at + ".http.path"});
  CHECK(bad_probe([](auto& p) { p.http.path = "/a b"; }) == paths{at + ".http.path"});
  CHECK(bad_probe([](auto& p) { p.http.headers = {{"A-b", "x"}, {"A:", "x"}, {"C", "x\r\n"}}; }) ==
        paths{at + ".http.headers.A:", at + ".http.headers.C"});
  CHECK(bad_probe([](auto& p) { p.http.expect_min = 100, p.http.expect_max = 599; }) == paths{});
  CHECK(bad_probe([](auto& p) { p.http.expect_min = 400; }) == paths{at + ".http.expect"});
  CHECK(bad_probe([](auto& p) { p.period = 100ms, p.timeout = 1ms, p.failures = 1; }) == paths{});
  CHECK(bad_probe([](auto& p) { p.period = 99ms, p.timeout = 0ms, p.failures = 0; }) ==
        paths{at + ".period", at + ".timeout", at + ".failures"});
  CHECK(bad_probe([](auto& p) { p.timeout = 60s; }) == paths{});
  CHECK(bad_probe([](auto& p) { p.timeout = 60s + 1ms; }) == paths{at + ".timeout"});
  CHECK(bad_probe([](auto& p) { p.successes = 2; }) == paths{at + ".successes"});
  CHECK(bad_probe([](auto& p) { p.successes = 2; }, true) == paths{});
  CHECK(bad_probe([](auto& p) { p.max_latency = p.timeout; }) == paths{});
  CHECK(bad_probe([](auto& p) { p.max_latency = p.timeout + 1ms; }) == paths{at + ".max-latency"});
}

TEST_CASE("a host's door is an address with a port, or left out") {
  auto site = a_site(1);
  site.hosts[0].door = "10.0.0.1:7102";
  CHECK(validate(site).empty());
  site.hosts[0].door = "10.0.0.1";
  REQUIRE(validate(site).size() == 1);
  CHECK(validate(site)[0].path == "hosts[0].door");
}

TEST_CASE("a command, its arguments and variables are what Linux can take") {
  const std::string at = "services[0].containers[0].";
  CHECK(bad_container_paths([](auto& c) { c.command.clear(); }) == paths{at + "command"});
  CHECK(bad_container_paths([](auto& c) { c.command = {""}; }) == paths{at + "command[0]"});
  CHECK(bad_container_paths([](auto& c) { c.command = {"run", ""}; }) == paths{});
  CHECK(bad_container_paths([](auto& c) { c.command = {"run", std::string(1, '\0')}; }) == paths{at + "command[1]"});
  CHECK(bad_container_paths([](auto& c) { c.command = {"run", std::string(limits::argument_bytes, 'x')}; }) == paths{});
  CHECK(bad_container_paths([](auto& c) {
          c.command = {"run", std::string(limits::argument_bytes + 1, 'x')};
        }) == paths{at + "command[1]"});
  CHECK(bad_container_paths([](auto& c) { c.env = {{"_A1", ""}, {"PRUNELLA", "x"}}; }) == paths{});
  CHECK(bad_container_paths([](auto& c) {
          c.env = {{"", "x"}, {"1A", "x"}, {"A-B", "x"}, {"PRUNELLA_X", "x"}};
        }) == paths{at + "env.", at + "env.1A", at + "env.A-B", at + "env.PRUNELLA_X"});
  CHECK(bad_container_paths([](auto& c) { c.env = {{"A", std::string("x\0", 2)}}; }) == paths{at + "env.A"});
  CHECK(bad_container_paths([](auto& c) { c.working_directory = "/tmp"; }) == paths{});
  CHECK(bad_container_paths([](auto& c) { c.working_directory = "tmp"; }) == paths{at + "working-directory"});
}

TEST_CASE("resources are not negative and leave room for sums") {
  const std::string at = "services[0].containers[0].resources";
  CHECK(bad_container_paths([](auto& c) { c.resources = {limits::cpu_millis, limits::memory_bytes}; }) == paths{});
  CHECK(bad_container_paths([](auto& c) {
          c.resources = {limits::cpu_millis + 1, limits::memory_bytes + 1};
        }) == paths{at + ".cpu", at + ".memory"});
  CHECK(bad_container_paths([](auto& c) { c.resources = {-1, -1}; }) == paths{at + ".cpu", at + ".memory"});
}

TEST_CASE("a site's range of networks is from /8 to /20, and its address needs a device on some host") {
  const auto bad_site = [](const std::function<void(site_spec&)>& change) {
    auto site = a_site(2);
    change(site);
    paths found;
    for (const auto& p : validate(site))
      found.push_back(p.path);
    return found;
  };
  CHECK(bad_site([](auto& s) { s.networks.range = "10.0.0.0/8"; }).empty());
  CHECK(bad_site([](auto& s) { s.networks.range = "192.168.0.0/20"; }).empty());
  for (const auto* range : {"", "10.0.0.0/7", "192.168.0.0/21", "10.84.1.0/16", "fd00::/16"})
    CHECK(bad_site([&](auto& s) { s.networks.range = range; }) == paths{"networks.range"});
  CHECK(bad_site([](auto& s) { s.address = "10.0.0.50/24"; }) == paths{"address"});
  CHECK(bad_site([](auto& s) { s.hosts[1].interface = "eth0"; }) == paths{"hosts[1].interface"});
  const auto with = [&](const std::string& address, const std::string& device) {
    return bad_site([&](auto& s) {
      s.address = address;
      s.hosts[1].interface = device;
    });
  };
  CHECK(with("10.0.0.50/24", "eth0").empty());
  CHECK(with("fd00::50/64", "enp0s31f6.1234").empty());
  CHECK(with("10.0.0.50", "eth0") == paths{"address"});
  CHECK(with("10.0.0.50/24", "sixteen-letters-") == paths{"hosts[1].interface"});
  CHECK(with("10.0.0.50/24", "a/b") == paths{"hosts[1].interface"});
}
