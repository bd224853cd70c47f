// A site whose hosts have their images run by a Podman or Docker: the same ladder as with our own runtime.

#include <doctest/doctest.h>

#include <csignal>
#include <string>

#include "tests/actors/engine_service.hpp"
#include "tests/cluster/image_site.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

TEST_CASE_TEMPLATE("a site on an engine heals a killed container in place and a lost agent elsewhere, and that agent clears up when it is back", Engine,
                   podman_service, docker_service) {
  if (const auto why = Engine::obstacle(); !why.empty()) {
    MESSAGE("SKIPPED: ", why);
    return;
  }
  const Engine engine; // one for all hosts, which tell their containers apart by labels
  auto site = site_processes::with_document(config::liveness_profile::balanced, 3, [&](config::site_spec& spec) {
    for (auto& host : spec.hosts)
      host.drivers = {{config::driver_kind::process, ""}, {config::driver_kind::engine, "", engine.socket()}};
  });
  give_image(site);
  site.wait_for("hosts say which engine they have", [&] {
    const auto drivers = site.host("host-1").drivers;
    return drivers.size() == 2 && drivers[1].rfind("engine (" + std::string{Engine::product} + " ", 0) == 0;
  });
  const std::string instance = "default.shop.main-1";
  const auto pid = [&] {
    const auto x = site.instance(instance);
    return x.state == "running" && !x.containers.empty() ? static_cast<pid_t>(x.containers[0].pid) : 0;
  };
  REQUIRE(site.apply(image_application("shop", "exec busybox sleep 1000000")).status == 201);
  site.wait_for_running(1);
  REQUIRE(engine.containers() == std::vector<std::string>{instance + ".one"});
  const auto first = site.instance(instance);
  const auto killed = pid();
  REQUIRE(killed > 1);
  REQUIRE(::kill(killed, SIGKILL) == 0);
  const auto back = site.wait_for("it was started again in place", [&] {
    const auto now = pid();
    return now > 1 && now != killed;
  });
  CHECK(site.instance(instance).host == first.host);
  CHECK(site.instance(instance).restarts == 1);
  site.wait_for("the ended one is cleared away", [&] { return engine.containers().size() == 1; });

  site.kill_agent(first.host);
  const auto moved = site.wait_for("another host has the work", [&] {
    const auto x = site.instance(instance);
    return x.host != first.host && x.state == "running";
  });
  const auto kept = pid();
  REQUIRE(engine.containers().size() == 2); // nobody was there who could end the first
  site.start(first.host);
  const auto cleared = site.wait_for("the agent that is back ended what it must not run any more", [&] {
    return engine.containers().size() == 1;
  });
  MESSAGE(Engine::product, ": back in place after ", back.count(), " ms, elsewhere after ", moved.count(), " ms, cleared away after ",
          cleared.count(), " ms");
  CHECK(pid() == kept);
  CHECK(site.instance(instance).host != first.host);
}
