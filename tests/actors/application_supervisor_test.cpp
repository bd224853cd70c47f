// The whole ladder of an application on one host: plan → supervisors → container actors → a scripted driver.

#include <doctest/doctest.h>

#include <algorithm>

#include <caf/exit_reason.hpp>

#include "actors/application/application_supervisor.hpp"
#include "runtime/exit_reason.hpp"
#include "tests/actors/scripted_driver.hpp"
#include "tests/runtime/virtual_time.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

const std::string front = "default.shop.web-1.front";
const std::string side = "default.shop.web-1.side";

struct fixture {
  virtual_time world;
  std::shared_ptr<scripted_host> host = std::make_shared<scripted_host>();
  virtual_time::collector<container_report> observer = world.collect<container_report>();
  caf::actor driver = world.own(spawn_scripted_driver(world.system(), host));
  std::vector<runtime::supervision_event> events;
  std::shared_ptr<runtime::actor_tree> tree = std::make_shared<runtime::actor_tree>();
  caf::actor applications = world.own(spawn_applications());
  config::application_spec spec = shop();

  static config::application_spec shop() {
    config::application_spec made;
    made.name = "shop";
    made.intensity = 2;
    config::service_spec web;
    web.name = "web";
    web.restart.intensity = 3;
    web.restart.backoff_initial = 100ms;
    for (const auto* name : {"front", "side"}) {
      config::container_spec container;
      container.name = name;
      container.command = {name};
      web.containers.push_back(container);
    }
    made.services = {web};
    return made;
  }

  caf::actor spawn_applications() {
    runtime::supervisor_options options;
    options.path = "host-1/root/applications";
    options.tree = tree;
    options.on_event = [this](const runtime::supervision_event& event) { events.push_back(event); };
    return runtime::spawn_supervisor(world.system(), {}, std::move(options));
  }

  container_context context() {
    container_context made;
    made.driver = [this] { return host->driver; };
    made.observer = [this] { return observer.handle; };
    return made;
  }

  application_plan plan(const std::vector<assigned_instance>& assigned) {
    return plan_application(spec, assigned, {"market", "host-1"});
  }

  void start(const std::vector<assigned_instance>& assigned = {{"web", 1, 1}}) {
    const auto started = world.ask<runtime::child_started>(
      applications, 60s, runtime::start_child{application_child(plan(assigned), context())});
    if (!started)
      FAIL(runtime::reason_text(started.error()));
  }

  bool gave_up(const std::string& path) const {
    for (const auto& event : events)
      if (event.path == path && event.report.kind == runtime::report_kind::gave_up)
        return true;
    return false;
  }

  void kill(const std::string& path) {
    REQUIRE(tree->kill("host-1/root/applications/" + path));
    world.settle();
  }
};

} // namespace

TEST_CASE_FIXTURE(fixture, "the containers of an instance start in their order, each after the one before it runs") {
  host->start_time = 10ms;
  start();
  CHECK(host->starts == std::vector<std::string>{front, side});
  std::vector<std::string> order;
  for (const auto& report : *observer.got)
    order.push_back(container_id(report.container) + " " + std::string{to_text(report.phase)});
  CHECK(order == std::vector<std::string>{"front starting", "front running", "side starting", "side running"});
  CHECK(tree->find("host-1/root/applications/default.shop/web-1/side"));
}

TEST_CASE_FIXTURE(fixture, "the first restart of a container is immediate, the second waits for the backoff") {
  start();
  host->end(front, 1);
  world.settle();
  CHECK(host->running.count(front) == 1);
  CHECK(host->starts.size() == 3);
  host->end(front, 1);
  world.advance(99ms);
  CHECK(host->running.count(front) == 0);
  world.advance(1ms);
  CHECK(host->running.count(front) == 1);
  CHECK(std::count(host->starts.begin(), host->starts.end(), side) == 1); // one_for_one: the other went on
}

TEST_CASE_FIXTURE(fixture, "one_for_all restarts the whole instance when one container dies") {
  spec.services[0].strategy = config::restart_strategy::one_for_all;
  start();
  host->end(front, 1);
  world.advance(1ms); // the scripted stop takes a timer
  CHECK(host->starts == std::vector<std::string>{front, side, front, side});
  CHECK(host->stops == std::vector<std::string>{side});
}

TEST_CASE_FIXTURE(fixture, "a transient container that exits with 0 is done, with 1 it is restarted") {
  spec.services[0].restart.type = config::restart_type::transient;
  start();
  host->end(front, 0);
  host->end(side, 1);
  world.advance(10s);
  CHECK(host->running.count(front) == 0);
  CHECK(host->running.count(side) == 1);
}

TEST_CASE_FIXTURE(fixture, "a container whose first start is refused is retried by the rules of restart, and then runs") {
  host->refuse[front] = {{driver_errc::fork_failed, "no memory"}, {driver_errc::fork_failed, "no memory"}};
  start();
  CHECK(host->running.count(side) == 1);
  world.advance(100ms);
  CHECK(host->running.count(front) == 1);
  CHECK_FALSE(gave_up("host-1/root/applications/default.shop/web-1/front"));
}

TEST_CASE_FIXTURE(fixture, "a container that never runs goes up the ladder: instance afresh, then the application gives up here") {
  for (int i = 0; i < 100; ++i)
    host->refuse[front].push_back({driver_errc::command_not_found, "the command `front` was not found"});
  start({{"web", 1, 1}});
  world.advance(60s);
  CHECK(gave_up("host-1/root/applications/default.shop/web-1/front"));
  CHECK(gave_up("host-1/root/applications/default.shop/web-1"));
  CHECK_FALSE(tree->find("host-1/root/applications/default.shop"));
  CHECK(tree->find("host-1/root/applications") == caf::actor{applications});
  CHECK(host->running.empty());
  // intensity 3 of the service in each of 1 + 2 lives of the instance: 3 x 4 starts were tried
  CHECK(host->refuse[front].size() == 88);
  bool told = false;
  for (const auto& event : events)
    told = told
           || (event.path == "host-1/root/applications/default.shop"
               && event.report.reason.find("the command `front` was not found") != std::string::npos);
  CHECK(told);
}

TEST_CASE_FIXTURE(fixture, "killing any actor of the tree restarts no process") {
  start({{"web", 1, 1}});
  const auto pids = std::pair{host->running[front].pid, host->running[side].pid};
  kill("default.shop/web-1/front");
  world.advance(1s);
  kill("default.shop/web-1");
  world.advance(1s);
  CHECK(std::pair{host->running[front].pid, host->running[side].pid} == pids);
  CHECK(host->starts.size() == 2);
  CHECK(observer.got->back().adopted);
  CHECK(tree->find("host-1/root/applications/default.shop/web-1/side"));
}

TEST_CASE_FIXTURE(fixture, "stopping an application stops all its containers at once") {
  host->stop_time = 3s;
  start({{"web", 1, 1}, {"web", 2, 1}});
  REQUIRE(host->running.size() == 4);
  const auto begin = world.now();
  CHECK(world.ask<runtime::child_done>(applications, 60s, runtime::terminate_child{application_id("default.shop")}));
  CHECK(host->running.empty());
  CHECK(world.now() - begin == 3s);
}

TEST_CASE_FIXTURE(fixture, "instances are added to and taken from a running application without touching the others") {
  start({{"web", 1, 1}});
  const auto application = tree->find("host-1/root/applications/default.shop");
  const auto two = plan({{"web", 1, 1}, {"web", 2, 1}});
  CHECK(world.ask<runtime::child_started>(application, 60s, runtime::start_child{instance_child(two.instances[1], context())}));
  CHECK(host->running.size() == 4);
  CHECK(world.ask<runtime::child_done>(application, 60s, runtime::terminate_child{"web-1"}));
  CHECK(world.ask<runtime::child_done>(application, 60s, runtime::delete_child{"web-1"}));
  CHECK(host->running.size() == 2);
  CHECK(host->running.count("default.shop.web-2.front") == 1);
  // again, in a newer generation
  const auto again = plan({{"web", 1, 2}});
  CHECK(world.ask<runtime::child_started>(application, 60s, runtime::start_child{instance_child(again.instances[0], context())}));
  CHECK(host->running[front].order.generation == 2);
}

TEST_CASE_FIXTURE(fixture, "a restarted agent finds the containers as they were and counts no restart") {
  start();
  const auto pid = host->running[front].pid;
  // the agent is gone, with everything in it
  caf::anon_send_exit(applications, caf::exit_reason::kill);
  caf::anon_send_exit(driver, caf::exit_reason::kill);
  world.advance(1s);
  CHECK(host->running.size() == 2);
  // and here again
  driver = world.own(spawn_scripted_driver(world.system(), host));
  tree = std::make_shared<runtime::actor_tree>();
  applications = world.own(spawn_applications());
  world.settle();
  observer.got->clear();
  start();
  CHECK(host->running[front].pid == pid);
  CHECK(host->starts.size() == 2);
  for (const auto& row : tree->list(world.now()))
    CHECK(row.restarts == 0);
}

namespace {

const std::string migrate = "default.shop.web-1.migrate";
const std::string warm = "default.shop.web-1.warm";

struct with_inits : fixture {
  with_inits() {
    for (const auto* name : {"migrate", "warm"}) {
      config::container_spec container;
      container.name = name;
      container.command = {name};
      spec.services[0].init_containers.push_back(container);
    }
  }

  using names = std::vector<std::string>;
};

} // namespace

TEST_CASE_FIXTURE(with_inits, "init containers run one after the other to exit code 0 before the first container starts") {
  start();
  CHECK(host->starts == names{migrate});
  world.advance(10min); // as long as it takes
  CHECK(host->starts == names{migrate});
  host->end(migrate, 0);
  world.settle();
  CHECK(host->starts == names{migrate, warm});
  host->end(warm, 0);
  world.settle();
  CHECK(host->starts == names{migrate, warm, front, side});
  host->end(front, 1);
  world.settle();
  CHECK(host->starts == names{migrate, warm, front, side, front}); // they are not run again
}

TEST_CASE_FIXTURE(with_inits, "an init container that fails is restarted, and too often is the end of the instance here") {
  spec.services[0].restart.backoff_max = 100ms;
  start();
  host->end(migrate, 1);
  world.advance(1s);
  CHECK(host->starts == names{migrate, migrate});
  for (int i = 0; i < 40 && !gave_up("host-1/root/applications/default.shop/web-1"); ++i) {
    host->end(migrate, 1);
    world.advance(200ms);
  }
  CHECK(gave_up("host-1/root/applications/default.shop/web-1"));
  CHECK_FALSE(tree->find("host-1/root/applications/default.shop"));
  CHECK(std::count(host->starts.begin(), host->starts.end(), front) == 0);
}

TEST_CASE_FIXTURE(with_inits, "init containers of an instance that runs already are not run again, as after a crash of the agent") {
  const auto planned = plan({{"web", 1, 1}});
  for (const auto& order : planned.instances.at(0).containers)
    if (!order.init)
      host->start(order);
  host->starts.clear();
  start();
  world.settle();
  CHECK(host->starts.empty());
  CHECK(host->running.size() == 2);
  CHECK(observer.got->back().phase == container_phase::running);
  CHECK(observer.got->back().adopted);
}

TEST_CASE_FIXTURE(with_inits, "an instance that waits for an init container can be stopped") {
  start();
  const auto stopped = world.ask<runtime::child_done>(applications, 60s, runtime::terminate_child{"default.shop"});
  CHECK(stopped);
  CHECK(host->running.empty());
  CHECK(std::count(host->stops.begin(), host->stops.end(), migrate) == 1);
}
