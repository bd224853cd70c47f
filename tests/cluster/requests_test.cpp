// What clients ask of a site: at any host, good and bad.

#include <doctest/doctest.h>

#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

TEST_CASE("every host of a site takes a change, and every host shows it") {
  site_processes site;
  site.start_all();
  const auto followers = site.hosts_without(site.leader());
  CHECK(site.apply(followers[0], simple_application("one")).status == 201);
  CHECK(site.apply(followers[1], simple_application("two")).status == 201);
  CHECK(site.apply(site.leader(), simple_application("three")).status == 201);
  CHECK(site.apply(followers[1], simple_application("two")).status == 200); // as it is already
  site.wait_for_running(3);
  for (const auto& host : site.hosts()) {
    INFO(host);
    const auto status = site.status(host);
    CHECK(status.site == "market");
    CHECK(status.host == host);
    CHECK(status.health == "healthy");
    CHECK(status.hosts_up == 3);
    CHECK(status.applications == 3);
    CHECK(status.instances_running == 3);
    CHECK(site.get<std::vector<actors::instance_view>>(host, "/v1/instances").size() == 3);
    CHECK(site.call(host, "GET", "/readyz").status == 200);
  }
  CHECK(site.application("two").revision == 1);
}

TEST_CASE("replicas beyond what the hosts can hold: those that fit run, the others say why they wait") {
  site_processes site;
  site.start_all();
  auto spec = simple_application("shop", {"sleep", "1000000"}, 4);
  spec.services[0].containers[0].resources.cpu_millis = 1'500; // of 2000 on each of three hosts
  REQUIRE(site.apply(spec).status == 201);
  site.wait_for("what fits runs", [&] { return site.status(site.some_host()).instances_running == 3; });
  CHECK(site.application("shop").state == "degraded");
  std::size_t waiting = 0;
  for (const auto& x : site.instances())
    if (x.state != "running") {
      ++waiting;
      CHECK(x.state == "pending");
      CHECK(x.reason == "0 of 3 hosts fit: 3 with less than 1500m cpu left");
    }
  CHECK(waiting == 1);
  REQUIRE(site.scale("shop", "main", 3).is_good());
  site.wait_for_running(3);
}

TEST_CASE("bad requests are answered with a status, a cause and a fix, and change nothing") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop")).status == 201);
  site.wait_for_running(1);
  site.wait_for_agreement(site.hosts());
  const auto host = site.hosts_without(site.leader()).front(); // an answer of the leader's takes the whole way
  const auto applications = site.call(host, "GET", "/v1/applications").body;
  const auto instances = site.call(host, "GET", "/v1/instances").body;

  struct bad_request {
    const char* method;
    std::string target;
    std::string body;
    unsigned status;
    const char* says; ///< somewhere in the answer
  };
  const std::string unknown_key = R"({"kind": "application", "name": "shop", "version": "1", "replica": 3, "services":
    [{"name": "main", "replicas": -1, "containers": [{"name": "one", "command": []}]}]})";
  const std::vector<bad_request> requests = {
    {"GET", "/v1/applications/nothing", "", 404, "there is no application nothing"},
    {"DELETE", "/v1/applications/nothing", "", 404, "there is no application"},
    {"POST", "/v1/applications/nothing/scale", R"({"service": "main", "replicas": 2})", 404, "there is no"},
    {"POST", "/v1/applications/shop/scale", R"({"service": "mian", "replicas": 2})", 404, "mian"},
    {"POST", "/v1/applications/shop/scale", R"({"service": "main", "replicas": 2)", 400, "line 1"},
    {"POST", "/v1/applications/shop/scale", R"({"service": "main", "replicas": "two"})", 400, "replicas"},
    {"POST", "/v1/applications/shop/scale", R"({"service": "main", "replicas": 1001})", 422, "1000"},
    {"POST", "/v1/applications/shop/scale", R"({"service": "main"})", 400, "replicas: is missing"},
    {"PUT", "/v1/applications/shop", unknown_key, 422, "replicas"},
    {"PUT", "/v1/applications/shop", "\x01\xff\xfe binary", 422, "errors"},
    {"PUT", "/v1/applications/shop", "", 422, "errors"},
    {"PUT", "/v1/applications/other", "kind: application\nname: shop\n", 422, "errors"},
    {"PUT", "/v1/applications/..%2Fetc", "{}", 400, "is not the name of an application"},
    {"PUT", "/v1/applications/shop", std::string(2 * 1024 * 1024, 'a'), 413, "1048576 bytes"},
    {"GET", "/v1/events?limit=0", "", 400, "1 to 1000"},
    {"GET", "/v1/nothing", "", 404, "/v1/nothing"},
    {"PATCH", "/v1/applications/shop", "{}", 405, "PUT"},
    {"POST", "/v1/actors/kill", R"({"path": "host-9/root/api"})", 404, "there is no actor"},
  };
  for (const auto& x : requests) {
    INFO(x.method << ' ' << x.target << ' ' << x.body.substr(0, 100));
    const auto answer = site.call(host, x.method, x.target, x.body);
    INFO(answer.body);
    CHECK(answer.status == x.status);
    CHECK(answer.body.find(x.says) != std::string::npos);
    const auto problem = answer.problem();
    CHECK(problem.status == x.status);
    CHECK(problem.detail != "");
    CHECK(problem.cause != "");
    CHECK(problem.fix != "");
  }
  const auto invalid = site.call(host, "PUT", "/v1/applications/shop", unknown_key).problem();
  CHECK(invalid.errors.size() >= 3); // all of them, not only the first

  CHECK(site.call(host, "GET", "/v1/applications").body == applications);
  CHECK(site.call(host, "GET", "/v1/instances").body == instances);
}

TEST_CASE("a script piped into the console changes the site, and stops at the first line that fails") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop")).status == 201);
  const auto url = site.url(site.some_host());
  const auto good = run_prunella({"--endpoint", url, "console"}, site.folder(),
                                 "status\nscale shop/main 3\nget applications\nexit\nscale shop/main 1\n");
  INFO(good.output);
  CHECK(good.code == 0);
  CHECK(good.output.find("market") != std::string::npos);
  CHECK(good.output.find("shop") != std::string::npos);
  site.wait_for_running(3);

  const auto bad = run_prunella({"--endpoint", url, "console"}, site.folder(), "scale shop/mian 2\ndelete shop\n");
  INFO(bad.output);
  CHECK(bad.code == 1);
  CHECK(bad.output.find("stopped at line 1") != std::string::npos);
  CHECK(site.application("shop").revision == 2);
}
