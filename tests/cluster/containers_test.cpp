// What runs on the hosts: killed, crashing, adopted, scaled, deleted.

#include <doctest/doctest.h>

#include <signal.h>

#include <algorithm>

#include "actors/api/use_views.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

const std::string instance = "default.shop.main-1";
const std::string container = "default.shop.main-1.one";

std::size_t processes_of_all(const site_processes& site) {
  std::size_t count = 0;
  for (const auto& host : site.hosts())
    count += site.processes_of(host);
  return count;
}

std::size_t lines_of(const std::filesystem::path& file) {
  const auto text = file_text(file);
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// What the agents of the site have used of the processors up to now.
std::chrono::microseconds processor_time(site_processes& site) {
  std::uint64_t ticks = 0;
  for (const auto& host : site.hosts()) {
    const auto stat = actors::read_proc_stat(site.agent(host).pid());
    REQUIRE(stat);
    ticks += stat->user_ticks + stat->system_ticks;
  }
  return actors::ticks_to_time(ticks);
}

/// The instance runs in the very process that it ran in before.
void check_untouched(const site_processes& site, const actors::instance_view& before) {
  const auto now = site.instance(before.name);
  CHECK(now.pid == before.pid);
  CHECK(now.generation == before.generation);
  CHECK(now.restarts == 0);
  CHECK(now.host == before.host);
  CHECK(now.started_at == before.started_at);
}

} // namespace

TEST_CASE("a killed container is restarted in place at once, even when the pause before the next restart is long") {
  site_processes site;
  site.start_all();
  auto spec = simple_application("shop");
  spec.services[0].restart.backoff_initial = 10min; // the first restart does not wait for it
  spec.services[0].restart.backoff_max = 10min;
  REQUIRE(site.apply(spec).status == 201);
  site.wait_for_running(1);
  const auto before = site.instance(instance);
  REQUIRE(kill(static_cast<pid_t>(before.pid), SIGKILL) == 0);
  const auto took = site.wait_for("the container is restarted", [&] {
    const auto now = site.instance(instance);
    return now.state == "running" && now.pid != before.pid;
  });
  MESSAGE("a killed container ran again after " << took.count() << " ms");
  const auto after = site.instance(instance);
  CHECK(after.restarts == 1);
  CHECK(after.generation == before.generation);
  CHECK(after.host == before.host);
  CHECK(site.containers_of(after.host) == std::map<std::string, pid_t>{{container, static_cast<pid_t>(after.pid)}});
  REQUIRE(after.containers.size() == 1);
  CHECK(after.containers[0].reason.find("SIGKILL") != std::string::npos);
}

TEST_CASE("any host tells what every container and host uses, beside what is reserved, and who did not answer") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop", {"sh", "-c", "head -c 8000000 /dev/zero > box; while :; do :; done"}, 1)).status == 201);
  site.wait_for_running(1);
  const auto home = site.instance(instance).host;
  const auto elsewhere = site.hosts_without(home).front();
  const auto box = site.data_dir(home) / "containers" / container / "work" / "box";
  site.wait_for("its file is written", [&] {
    std::error_code none;
    return std::filesystem::file_size(box, none) == 8'000'000;
  });
  std::vector<actors::container_use_view> containers;
  site.wait_for("its use is seen from another host", [&] {
    containers = site.get<std::vector<actors::container_use_view>>(elsewhere, "/v1/use/containers");
    return containers.size() == 1 && containers[0].use.cpu_millis > 100 && containers[0].use.disk_bytes >= 8'000'000;
  });
  CHECK(containers[0].host == home);
  CHECK(containers[0].use.name == container);
  CHECK(containers[0].use.memory_bytes > 0);
  CHECK(containers[0].use.processes >= 1);
  CHECK(containers[0].reserved.cpu_millis == 10);
  const auto hosts = site.get<std::vector<actors::host_use_view>>(elsewhere, "/v1/use/hosts");
  REQUIRE(hosts.size() == 3);
  for (const auto& x : hosts) {
    CHECK(x.machine.cpu_millis > 100); // all are this machine
    CHECK(x.reserved.cpu_millis == (x.host == home ? 10 : 0));
  }
  site.kill_host(home);
  const auto rest = site.call(elsewhere, "GET", "/v1/use/hosts");
  CHECK(rest.status == 200);
  CHECK(rest.body.find('"' + home + '"') == std::string::npos);
  CHECK(rest.body.find('"' + elsewhere + '"') != std::string::npos);
}

TEST_CASE("a crash loop is tried with pauses on every host, ends as failed with its reason, and then costs nothing") {
  site_processes site;
  site.start_all();
  const auto starts = site.folder() / "starts";
  auto spec = simple_application("shop", {"sh", "-c", "echo $PRUNELLA_HOST >> " + starts.string() + "; exit 7"});
  spec.services[0].restart.intensity = 1;
  spec.services[0].restart.backoff_initial = 50ms;
  spec.services[0].restart.backoff_max = 100ms;
  spec.intensity = 1;
  REQUIRE(site.apply(spec).status == 201);
  site.wait_for("no host is left to try", [&] {
    return site.application("shop").state == "failed" && site.instance(instance).host.empty();
  });
  // A restart of the container, one of the instance with a restart of the container: four starts on each host.
  CHECK(lines_of(starts) == 12);
  const auto text = file_text(starts);
  for (const auto& host : site.hosts())
    CHECK(text.find(host) != std::string::npos);
  const auto failed = site.instance(instance);
  CHECK(failed.state == "failed");
  CHECK(failed.host == "");
  CHECK(failed.reason.find("exited with code 7") != std::string::npos);
  CHECK(site.application("shop").reason.find("exited with code 7") != std::string::npos);
  CHECK(site.status(site.some_host()).health == "degraded");

  constexpr auto window = 2s;
  const auto used = processor_time(site);
  CHECK_FALSE(eventually([&] { return lines_of(starts) != 12; }, window)); // avoided for 30 s
  const auto burnt = std::chrono::duration_cast<std::chrono::milliseconds>(processor_time(site) - used);
  MESSAGE("three agents used " << burnt.count() << " ms of processor time in 2 s with a failed application");
  CHECK(burnt < 1s);
  CHECK(processes_of_all(site) == 0);
}

TEST_CASE("killed agents leave their containers running, and the next agents adopt them without a restart") {
  site_processes site{config::liveness_profile::patient}; // a host is not given up before its agent is back
  site.start_all();
  REQUIRE(site.apply(simple_application("shop", {"sleep", "1000000"}, 3)).status == 201);
  site.wait_for_running(3);
  const auto before = site.instances();
  const auto worker = site.hosts_without(site.leader()).front();
  const auto pids = site.containers_of(worker);
  REQUIRE(pids.size() == 1);
  site.kill_agent(worker);
  CHECK(site.containers_of(worker) == pids);
  site.start(worker);
  site.wait_for_agreement(site.hosts());
  site.wait_for_running(3);
  for (const auto& x : before)
    check_untouched(site, x);

  for (const auto& host : site.hosts())
    site.agent(host).signal(SIGKILL);
  for (const auto& host : site.hosts())
    site.kill_agent(host);
  CHECK(site.containers_of(worker) == pids);
  site.start_all();
  site.wait_for_running(3);
  for (const auto& x : before)
    check_untouched(site, x);

  // It is the container of an agent as any other: its end is noticed.
  REQUIRE(kill(pids.begin()->second, SIGKILL) == 0);
  site.wait_for("an adopted container that was killed is restarted", [&] {
    const auto now = site.containers_of(worker);
    return now.size() == 1 && now.begin()->second != pids.begin()->second;
  });
}

TEST_CASE("an agent that ends with `--on-exit keep` leaves its containers to the next one, and with `stop` stops them") {
  site_processes site{config::liveness_profile::patient};
  site.start_all();
  REQUIRE(site.apply(on("host = host-2", simple_application("shop"))).status == 201);
  site.wait_for_running(1);
  const auto before = site.instance(instance);

  CHECK(site.end("host-2") == 0);
  CHECK(site.containers_of("host-2").at(container) == before.pid);
  site.start("host-2", "stop");
  site.wait_for_agreement(site.hosts());
  site.wait_for_running(1);
  check_untouched(site, before);

  CHECK(site.end("host-2") == 0);
  CHECK(site.processes_of("host-2") == 0);
  site.start("host-2");
  site.wait_for("the container is started again", [&] { return site.containers_of("host-2").count(container) == 1; });
  site.wait_for_agreement(site.hosts());
  site.wait_for_running(1);
  CHECK(site.instance(instance).pid != before.pid);
}

TEST_CASE("an agent whose actors need more restarts than allowed ends with code 1 and a reason, and its containers go on") {
  site_processes site{config::liveness_profile::patient};
  site.start_all();
  const std::string host = "host-2";
  REQUIRE(site.apply(on("host = " + host, simple_application("shop"))).status == 201);
  site.wait_for_running(1);
  const auto before = site.instance(instance);
  site.wait_for("the agent gives up over its killed actors", [&] {
    site.call(host, "POST", "/v1/actors/kill", R"({"path": ")" + host + R"(/root/journal"})");
    return !site.agent(host).is_alive();
  });
  CHECK(site.agent(host).wait() == 1);
  CHECK(file_text(site.log_file(host)).find("restarts within 60000 ms; the last was of child 'journal'") != std::string::npos);
  CHECK(site.containers_of(host) == std::map<std::string, pid_t>{{container, static_cast<pid_t>(before.pid)}});
  site.start(host);
  site.wait_for_agreement(site.hosts());
  site.wait_for_running(1);
  check_untouched(site, before);
}

TEST_CASE("scaling up starts copies, scaling down stops them, and deleting leaves neither process nor name") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop")).status == 201);
  site.wait_for_running(1);
  const auto first = site.instance(instance);
  REQUIRE(site.scale("shop", "main", 4).is_good());
  site.wait_for_running(4);
  CHECK(processes_of_all(site) == 4);
  check_untouched(site, first);
  REQUIRE(site.scale("shop", "main", 1).is_good());
  site.wait_for_running(1);
  site.wait_for("one process is left", [&] { return processes_of_all(site) == 1; });
  check_untouched(site, first);
  REQUIRE(site.scale("shop", "main", 0).is_good());
  site.wait_for("no process is left", [&] { return processes_of_all(site) == 0 && site.instances().empty(); });
  REQUIRE(site.scale("shop", "main", 2).is_good());
  site.wait_for_running(2);
  CHECK(site.instance(instance).generation > first.generation); // an older copy can never be taken for the new one

  REQUIRE(site.call(site.some_host(), "DELETE", "/v1/applications/shop").is_good());
  site.wait_for("nothing is left of it", [&] { return processes_of_all(site) == 0 && site.instances().empty(); });
  CHECK(site.application("shop").name == "");
  site.wait_for("no folder is left of it", [&] {
    for (const auto& host : site.hosts())
      if (!std::filesystem::is_empty(site.data_dir(host) / "containers"))
        return false;
    return true;
  });
  CHECK(site.call(site.some_host(), "GET", "/v1/applications/shop").status == 404);
  site.wait_for("the site is healthy", [&] { return site.status(site.some_host()).health == "healthy"; });
}

TEST_CASE("the agent's log says who it is, who leads, what was restarted and why, and how it ended") {
  site_processes site{config::liveness_profile::patient, 1};
  site.start_all();
  const std::string host = "host-1";
  const auto log = [&] { return file_text(site.log_file(host)); };
  const auto says = [&](const std::string& line) { return log().find(line) != std::string::npos; };
  CHECK(says(" runs host host-1 of site market: data in " + site.data_dir(host).string() + ", links on "));
  CHECK(says("site market is led by host-1 in term "));
  CHECK(site.call(host, "POST", "/v1/actors/kill", R"({"path": "host-1/root/journal"})").is_good());
  site.wait_for("the journal runs again", [&] { return says("actor host-1/root/journal runs again: restart 1"); });
  CHECK(says("actor host-1/root/journal exited: it was killed"));
  site.wait_for("its restart is an event", [&] {
    const auto events = site.get<std::vector<actors::event_view>>(host, "/v1/events?limit=100");
    return std::any_of(events.begin(), events.end(), [](const auto& x) {
      return x.object == "actor/host-1/root/journal" && x.to == "running" && x.reason == "restart 1";
    });
  });
  CHECK(site.end(host) == 0);
  CHECK(says("info host-1: stopped: it was told to shut down"));
}
