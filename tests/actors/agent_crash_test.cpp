// A whole agent's worth of supervision over the process driver and its records on disk: what a kill -9 of the agent
// leaves behind, and how fast a container is back.

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <optional>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/exit_reason.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>

#include "actors/application/application_supervisor.hpp"
#include "actors/instance/container_folder.hpp"
#include "actors/instance/container_driver.hpp"
#include "runtime/exit_reason.hpp"
#include "storage/container_records.hpp"
#include "tests/actors/real_process.hpp"

using namespace prunella;
using namespace prunella::actors;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

const std::string container = "default.shop.web-1.front";
constexpr auto script = "while [ ! -e go ]; do sleep 0.01; done; exit 42";

application_plan plan(const std::string& run, std::chrono::milliseconds backoff = 100ms,
                      config::restart_type restart = config::restart_type::permanent, std::uint64_t generation = 1) {
  config::application_spec spec;
  spec.name = "shop";
  config::service_spec web;
  web.name = "web";
  web.restart.type = restart;
  web.restart.intensity = 1000;
  web.restart.backoff_initial = backoff;
  config::container_spec front;
  front.name = "front";
  front.command = {"sh", "-c", run};
  front.grace = 2s;
  web.containers = {front};
  spec.services = {web};
  return plan_application(spec, {{"web", 1, generation}}, {"market", "host-1"});
}

// The driver and the supervisors, as an agent has them.
struct small_agent {
  caf::actor_system_config config;
  caf::actor_system system{config};
  caf::scoped_actor self{system};
  std::shared_ptr<storage::container_records> records;
  caf::actor driver;
  caf::actor applications;

  explicit small_agent(const std::string& data) {
    auto opened = storage::open_container_records(data + "/containers.db", {"market", "host-1"});
    REQUIRE(opened);
    records = std::move(*opened);
    container_driver_options options;
    options.data_directory = data;
    options.records = records;
    driver = spawn_container_driver(system, options);
    runtime::supervisor_options supervision;
    supervision.path = "host-1/root/applications";
    applications = runtime::spawn_supervisor(system, {}, std::move(supervision));
  }

  ~small_agent() {
    for (const auto& actor : {applications, driver}) {
      self->send_exit(actor, caf::exit_reason::user_shutdown);
      self->wait_for(actor);
    }
  }

  void start(const application_plan& wanted) {
    container_context context;
    context.driver = [this] { return driver; };
    context.observer = [address = self->address()] { return caf::actor_cast<caf::actor>(address); };
    self->request(applications, 30s, runtime::start_child{application_child(wanted, context)})
      .receive([](runtime::child_started&) {}, [](caf::error& why) { FAIL(runtime::reason_text(why)); });
  }

  container_report next(container_phase phase) {
    std::optional<container_report> seen;
    while (!seen)
      self->receive(
        [&](container_report& report) {
          if (report.phase == phase)
            seen = std::move(report);
        },
        caf::after(20s) >> [&] { FAIL("no report of this phase within 20 s"); });
    return *seen;
  }
};

} // namespace

TEST_CASE("kill -9 of the agent leaves its container alone, the next agent adopts it and learns its exit code") {
  const scratch_directory data;
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t agent = ::fork();
  if (agent == 0) {
    auto* mine = new small_agent{data.path()};
    mine->start(plan(script));
    const auto pid = mine->next(container_phase::running).pid;
    (void)!::write(ends[1], &pid, sizeof pid);
    ::pause();
    ::_exit(1);
  }
  std::int64_t pid = 0;
  REQUIRE(::read(ends[0], &pid, sizeof pid) == sizeof pid);
  ::close(ends[0]);
  ::close(ends[1]);
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);
  REQUIRE_FALSE(is_gone(static_cast<pid_t>(pid)));

  small_agent next{data.path()};
  next.start(plan(script));
  const auto report = next.next(container_phase::running);
  CHECK(report.pid == pid);
  CHECK(report.adopted);
  std::ofstream{container_folder(data.path(), container) + "/work/go"} << "now";
  const auto failed = next.next(container_phase::failed);
  if (failed.reason == "ended, and nobody saw how" && !kernel_at_least(6, 15)) // root sees it if init was slower to collect it
    MESSAGE("SKIPPED: the exit code of an adopted process needs Linux 6.15");
  else
    CHECK(failed.reason == "exited with code 42");
}

TEST_CASE("what ended well before its agent was killed is not started again by the next agents, until it is another generation") {
  const scratch_directory data;
  const auto once = [](std::uint64_t generation) {
    return plan("echo again >> runs", 100ms, config::restart_type::transient, generation);
  };
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t agent = ::fork();
  if (agent == 0) {
    auto* mine = new small_agent{data.path()};
    mine->start(once(1));
    mine->next(container_phase::exited);
    (void)!::write(ends[1], "x", 1);
    ::pause();
    ::_exit(1);
  }
  char told = 0;
  REQUIRE(::read(ends[0], &told, 1) == 1);
  ::close(ends[0]);
  ::close(ends[1]);
  ::kill(agent, SIGKILL);
  ::waitpid(agent, nullptr, 0);

  const auto runs = container_folder(data.path(), container) + "/work/runs";
  for (int i = 0; i < 2; ++i) { // as long as nobody says that the site knows
    small_agent next{data.path()};
    next.start(once(1));
    CHECK(next.next(container_phase::exited).reason == "exited with code 0");
    CHECK(read_text(runs) == "again\n");
  }
  small_agent last{data.path()};
  last.start(once(2));
  last.next(container_phase::exited);
  CHECK(read_text(runs) == "again\nagain\n");
  REQUIRE(last.records->list()->size() == 1);
  CHECK(last.records->list()->front().has_ended_well);
  last.self->request(last.driver, 5s, tidy_folders{{container}, {container}}).receive([] {}, [](caf::error&) {});
  CHECK(last.records->list()->size() == 1);
  last.self->request(last.driver, 5s, tidy_folders{{container}, {}}).receive([] {}, [](caf::error&) {});
  CHECK(last.records->list()->empty());
  CHECK(read_text(runs) == "again\nagain\n"); // its folder is asked to be kept
}

TEST_CASE("an orderly end of the agent's supervision stops its containers, a released one leaves them") {
  const scratch_directory data;
  std::int64_t pid = 0;
  {
    small_agent first{data.path()};
    first.start(plan("exec sleep 1000"));
    pid = first.next(container_phase::running).pid;
    first.self->request(first.driver, 5s, release_containers{"the agent is being updated"}).receive([] {}, [](caf::error&) {});
  }
  CHECK_FALSE(is_gone(static_cast<pid_t>(pid)));
  {
    small_agent second{data.path()};
    second.start(plan("exec sleep 1000"));
    CHECK(second.next(container_phase::running).pid == pid);
  }
  CHECK(is_gone(static_cast<pid_t>(pid)));
}

TEST_CASE("a killed container is back within milliseconds") {
  const scratch_directory data;
  small_agent agent{data.path()};
  agent.start(plan("exec sleep 1000", 0ms)); // no backoff: each restart is immediate
  auto report = agent.next(container_phase::running);
  std::vector<double> took;
  for (int i = 0; i < 30; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    ::kill(static_cast<pid_t>(report.pid), SIGKILL);
    const auto before = report.pid;
    report = agent.next(container_phase::running);
    took.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begin).count());
    CHECK(report.pid != before);
    CHECK_FALSE(report.adopted);
  }
  std::sort(took.begin(), took.end());
  MESSAGE("container death to running again: median ", took[15], " ms, longest of 30 ", took.back(), " ms");
  CHECK(took[15] < 100); // the goal is 5 ms on a quiet machine
}
