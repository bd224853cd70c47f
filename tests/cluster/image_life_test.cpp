// Containers of images through what ends them and what does not: a full disk limit, the agent's death under load, a probe.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <thread>

#include "actors/api/use_views.hpp"
#include "actors/instance/network/cni.hpp"
#include "tests/cluster/image_containers.hpp"
#include "tests/cluster/image_site.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

constexpr std::int64_t mebi = 1 << 20;

/// A core and more of work for nothing.
class busy_threads {
public:
  explicit busy_threads(int count) {
    for (int i = 0; i < count; ++i)
      threads_.emplace_back([this] {
        while (!is_over_)
          continue;
      });
  }
  ~busy_threads() {
    is_over_ = true;
    for (auto& thread : threads_)
      thread.join();
  }

private:
  std::atomic<bool> is_over_{false};
  std::vector<std::thread> threads_;
};

config::volume_spec kept_folder() { return {"/keep", config::volume_kind::persistent, "keep", "", 0, false}; }

std::filesystem::path kept_folder_of(const site_processes& site, const std::string& host, const std::string& instance) {
  return site.data_dir(host) / "volumes" / instance / "keep";
}

bool has_event(const site_processes& site, const std::string& object, const std::string& reason) {
  const auto events = site.get<std::vector<actors::event_view>>(site.some_host(), "/v1/events?limit=1000");
  return std::any_of(events.begin(), events.end(), [&](const auto& x) {
    return x.object == object && x.reason.find(reason) != std::string::npos;
  });
}

/// Main processes of all containers of images on `host`, by name.
std::map<std::string, pid_t> mains_on(const site_processes& site, const std::string& host) {
  std::map<std::string, pid_t> mains;
  for (const auto& found : image_containers_in(site.data_dir(host).string()))
    mains[found.name] = found.main;
  return mains;
}

} // namespace

TEST_CASE("a container that fills its disk limit is started afresh with an empty root, and its neighbour goes on") {
  if (const auto why = image_site_obstacle(); !why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return;
  }
  site_processes site{config::liveness_profile::patient};
  give_image(site);
  auto spec = image_application("shop", "if [ ! -e /keep/once ]; then busybox touch /keep/once; "
                                        "busybox dd if=/dev/zero of=/big bs=1048576 count=40; fi; exec busybox sleep 1000000");
  auto& containers = spec.services[0].containers;
  containers[0].volumes = {kept_folder()};
  containers[0].disk_bytes = 32 * mebi;
  containers[0].logs.max_size_bytes = mebi;
  containers.push_back(containers[0]);
  containers[1].name = "two";
  containers[1].command = {"/bin/sh", "-c", "exec busybox sleep 1000000"};
  containers[1].volumes.clear();
  REQUIRE(site.apply(spec).status == 201);
  const std::string instance = "default.shop.main-1";
  pid_t neighbour = 0;
  const auto took = site.wait_for("it was started afresh", [&] {
    const auto x = site.instance(instance);
    for (const auto& one : x.containers)
      if (one.name == instance + ".two" && one.pid != 0 && neighbour == 0)
        neighbour = static_cast<pid_t>(one.pid);
    return x.state == "running" && x.restarts == 1;
  });
  MESSAGE("a container over its disk limit ran afresh " << took.count() << " ms after it was asked for");
  const auto now = site.instance(instance);
  CHECK(mains_on(site, now.host).at(instance + ".two") == neighbour);
  const auto events = [&] { return has_event(site, "instance/" + instance, "filled 40 MiB of its disk limit of 32 MiB"); };
  site.wait_for("an event says why", events);
  const auto uses = site.get<std::vector<actors::container_use_view>>(site.some_host(), "/v1/use/containers");
  REQUIRE(uses.size() == 2);
  CHECK(uses[0].disk_limit_bytes == 32 * mebi);
  CHECK(uses[0].use.disk_bytes < 8 * mebi);
}

TEST_CASE("containers of images do not notice their agent's death under load, and what ended meanwhile is told by the next") {
  if (const auto why = image_site_obstacle(); !why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return;
  }
  site_processes site{config::liveness_profile::patient}; // a host is not given up before its agent is back
  give_image(site);
  auto spec = image_application("shop", "while [ ! -e /keep/go ]; do busybox usleep 20000; done; busybox rm /keep/go; exit 7", 3);
  auto& containers = spec.services[0].containers;
  containers[0].volumes = {kept_folder()};
  containers[0].resources = {100, 16 * mebi};
  containers.push_back(containers[0]);
  containers[1].name = "two";
  containers[1].command = {"/bin/sh", "-c", "exec busybox sleep 1000000"};
  containers[1].volumes.clear();
  REQUIRE(site.apply(on("host = host-1", spec)).status == 201);
  site.wait_for_running(3);
  const auto before = mains_on(site, "host-1");
  REQUIRE(before.size() == 6);
  const std::string ends = "default.shop.main-2";
  std::map<std::string, std::uint64_t> generations;
  for (const auto& x : site.instances())
    generations[x.name] = x.generation;

  const busy_threads load{4};
  site.kill_agent("host-1");
  CHECK(mains_on(site, "host-1") == before);
  std::ofstream{kept_folder_of(site, "host-1", ends) / "go"} << "now";
  site.wait_for("one ended while nobody was there", [&] { return mains_on(site, "host-1").count(ends + ".one") == 0; });
  site.start("host-1");
  site.wait_for("it was started again, and its exit code is known", [&] {
    const auto x = site.instance(ends);
    return x.state == "running" && x.restarts == 1 && !x.containers.empty() && x.containers[0].reason.find("exited with code 7") != std::string::npos;
  });
  site.wait_for_running(3);
  auto after = mains_on(site, "host-1");
  CHECK(after.at(ends + ".one") != before.at(ends + ".one"));
  after[ends + ".one"] = before.at(ends + ".one");
  CHECK(after == before);
  for (const auto& x : site.instances()) {
    CHECK(x.generation == generations.at(x.name));
    CHECK(x.restarts == (x.name == ends ? 1U : 0U));
  }
}

TEST_CASE("an instance on a bridge is adopted with its address by the next agent, whose http probe reaches and heals it there") {
  auto why = image_site_obstacle();
  if (why.empty())
    why = site_network::why_not();
  if (why.empty())
    why = actors::missing_for_cni(std::string{actors::default_cni_folder}, true);
  if (!why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return;
  }
  auto site = site_processes::with_network(config::liveness_profile::patient, 3);
  give_image(site);
  auto spec = image_application("shop", "busybox mkdir /srv; echo well > /srv/health; exec busybox httpd -f -p 8080 -h /srv");
  auto& container = spec.services[0].containers[0];
  spec.services[0].network = config::instance_network::bridge;
  container.ports = {{"http", 8080, config::port_protocol::tcp}};
  container.probes.liveness.http.port = 8080;
  container.probes.liveness.http.path = "/health";
  container.probes.liveness.period = 100ms;
  container.probes.liveness.failures = 2;
  container.probes.startup = container.probes.liveness;
  container.probes.startup.failures = 100;
  REQUIRE(site.apply(spec).status == 201);
  site.wait_for_running(1);
  const std::string instance = "default.shop.main-1";
  const auto before = site.instance(instance);
  CHECK_FALSE(before.address.empty());
  site.kill_agent(before.host);
  site.start(before.host);
  site.wait_for_agreement(site.hosts());
  site.wait_for_running(1);
  const auto now = site.instance(instance);
  CHECK(now.pid == before.pid);
  CHECK(now.address == before.address);
  CHECK(now.restarts == 0);
  const auto body = R"({"of": "shop.main-1", "command": ["/bin/sh", "-c", "busybox rm /srv/health"]})";
  REQUIRE(site.call(site.some_host(), "POST", "/v1/sessions", body).status == 201);
  site.wait_for("the probe healed it", [&] {
    const auto x = site.instance(instance);
    return x.state == "running" && x.ready && x.restarts == 1 && x.pid != now.pid;
  });
  site.wait_for("an event says why", [&] { return has_event(site, "instance/" + instance, "liveness probe failed"); });
}
