// An application from an image on a site of three real hosts: adopted by the next agent, moved when its host is lost.

#include <doctest/doctest.h>

#include <signal.h>

#include <algorithm>

#include "actors/instance/container_log.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "tests/cluster/image_containers.hpp"
#include "tests/cluster/image_site.hpp"
#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

const std::string instance = "default.shop.main-1";
const std::string container = "default.shop.main-1.one";

image_container the_container(const site_processes& site, const std::string& host) {
  const auto found = image_containers_in(site.data_dir(host).string());
  REQUIRE(found.size() == 1);
  CHECK(found[0].name == container);
  return found[0];
}

} // namespace

TEST_CASE("a container of an image outlives its agent, its end is seen by the next, and a lost host's work moves") {
  if (const auto why = image_site_obstacle(); !why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return;
  }
  site_processes site{config::liveness_profile::patient}; // a host is not given up before its agent is back
  give_image(site);
  auto spec = image_application("shop", "busybox id -u; echo on $PRUNELLA_HOST from ${PRUNELLA_SITE}; exec busybox sleep 1000000");
  spec.services[0].init_containers = {spec.services[0].containers[0]};
  spec.services[0].init_containers[0].name = "before";
  spec.services[0].init_containers[0].command = {"/bin/sh", "-c", "echo prepared"};
  REQUIRE(site.apply(spec).status == 201);
  site.wait_for_running(1);
  const auto before = site.instance(instance);
  const auto home = before.host;
  const auto first = the_container(site, home);
  CHECK(first.main == before.pid);
  const auto log = actors::container_log_path(site.data_dir(home).string(), container);
  site.wait_for("its output is in its log", [&] { return file_text(log).find(" stdout F on " + home + " from market\n") != std::string::npos; });

  site.kill_agent(home);
  CHECK(the_container(site, home).main == first.main);
  site.start(home);
  site.wait_for_agreement(site.hosts());
  site.wait_for_running(1);
  const auto now = site.instance(instance);
  CHECK(now.host == home);
  CHECK(now.generation == before.generation);
  CHECK(now.pid == first.main);
  CHECK(now.restarts == 0);

  REQUIRE(kill(static_cast<pid_t>(now.pid), SIGKILL) == 0);
  const auto took = site.wait_for("a killed container is restarted", [&] {
    const auto next = site.instance(instance);
    return next.state == "running" && next.pid != now.pid;
  });
  MESSAGE("a killed container of an image ran again after " << took.count() << " ms");
  CHECK(site.instance(instance).host == home);

  site.kill_host(home);
  actors::instance_view after; // one view: the next host that is asked may be behind
  const auto moved = site.wait_for("it runs elsewhere", [&] {
    after = site.instance(instance);
    return after.state == "running" && after.host != home;
  });
  MESSAGE("a lost host's container of an image ran elsewhere after " << moved.count() << " ms");
  CHECK(image_containers_in(site.data_dir(home).string()).empty());
  CHECK(the_container(site, after.host).main == after.pid);

  REQUIRE(site.call(site.some_host(), "DELETE", "/v1/applications/shop").is_good());
  site.wait_for("nothing of it runs", [&] { return image_containers_in(site.folder().string()).empty(); });
}
