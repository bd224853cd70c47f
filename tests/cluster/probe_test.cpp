// Probes of a site of real processes: what hangs or is slow is ended and started again, what is not ready gets no traffic and
// lets no update go on.

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "tests/cluster/site_processes.hpp"
#include "tests/cluster/web_service.hpp"
#include "tests/net/door_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

const std::string first = "default.shop.main-1";

/// Three hosts, and on them `replicas` web servers behind the published port `port`.
struct web_site {
  site_processes site;
  std::uint16_t port = 0;
  config::application_spec spec;

  explicit web_site(unsigned replicas) {
    site.start_all();
    port = free_port(own_address(site, "host-1"));
    spec = web_application(site, port, replicas);
  }

  config::probes_spec& probes() { return spec.services[0].containers[0].probes; }

  void apply() {
    REQUIRE(site.apply(spec).is_good());
    site.wait_for_running(spec.services[0].replicas);
  }

  /// Before an update, which takes what is not ready first.
  void apply_until_ready() {
    apply();
    site.wait_for("all are ready", [&] {
      const auto now = site.instances();
      return std::all_of(now.begin(), now.end(), [](const auto& x) { return x.ready; });
    });
  }

  /// Liveness begins when the server has come up, however slow this machine is at the moment.
  void begin_with_startup() {
    probes().startup = health_probe(spec);
    probes().startup.failures = 100;
    apply_until_ready();
  }

  bool has_event(const std::string& object, const std::string& reason) const {
    const auto events = site.get<std::vector<actors::event_view>>(site.some_host(), "/v1/events?limit=1000");
    return std::any_of(events.begin(), events.end(), [&](const auto& x) {
      return x.object == object && x.reason.find(reason) != std::string::npos;
    });
  }

  /// Until `instance` runs, ready, as another process than `pid`.
  void wait_for_another(const std::string& instance, std::int64_t pid) const {
    site.wait_for("another process of " + instance + " is ready", [&] {
      const auto now = site.instance(instance);
      return now.ready && now.pid > 0 && now.pid != pid;
    });
  }
};

/// The arguments of a process, by spaces.
std::string command_of(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/cmdline"};
  std::string text{std::istreambuf_iterator<char>{file}, {}};
  std::replace(text.begin(), text.end(), '\0', ' ');
  return text.substr(0, text.find_last_not_of(' ') + 1);
}

void touch(const std::filesystem::path& file) { std::ofstream{file} << "yes\n"; }

} // namespace

TEST_CASE("a server that hangs is ended by its liveness probe and started again, and the events say why") {
  web_site x{1};
  x.probes().liveness = health_probe(x.spec);
  x.probes().liveness.timeout = 300ms;
  x.begin_with_startup();
  const auto before = x.site.instance(first);
  REQUIRE(before.pid > 0);
  REQUIRE(::kill(static_cast<pid_t>(before.pid), SIGSTOP) == 0);
  x.wait_for_another(first, before.pid);
  wait_for_doors(x.site, x.site.hosts(), x.port);
  CHECK(x.site.instance(first).generation == before.generation); // healed in place
  x.site.wait_for("the events say why", [&] {
    return x.has_event("instance/" + first, "liveness probe failed: ") && x.has_event("instance/" + first, "did not answer within 300 ms");
  });
}

TEST_CASE("a server that answers too slowly for too long is started again, one that is slow within its limit is not") {
  web_site x{1};
  x.probes().liveness = health_probe(x.spec);
  x.probes().liveness.max_latency = 1900ms;
  x.spec.services[0].containers[0].command[2].insert(0, "rm -f slow; ");
  x.begin_with_startup();
  const auto before = x.site.instance(first);
  const auto folder = web_folder(x.site, before.host);
  touch(folder / "slow"); // a second
  const auto asked = std::filesystem::file_size(folder / "asked");
  x.site.wait_for("it was slow three times", [&] { return std::filesystem::file_size(folder / "asked") > asked + 3; });
  CHECK(x.site.instance(first).pid == before.pid);
  x.probes().liveness.max_latency = 500ms;
  x.apply(); // which itself restarts nothing
  x.wait_for_another(first, before.pid);
  x.site.wait_for("the events say why", [&] {
    return x.has_event("instance/" + first, "liveness probe failed: it answered later than its max-latency of 500 ms");
  });
}

TEST_CASE("what is not ready gets no traffic, and is taken out of the front door and back without a failed request") {
  web_site x{2};
  x.probes().readiness = health_probe(x.spec);
  x.apply();
  wait_for_doors(x.site, x.site.hosts(), x.port);
  const auto sick = x.site.instance(first);
  const auto other = x.site.instance("default.shop.main-2");
  REQUIRE(sick.host != other.host);
  const auto clients = clients_at(x.site, x.site.hosts(), x.port);
  await_served(x.site, clients, 5);
  const auto file = web_folder(x.site, sick.host) / "sick";
  touch(file);
  x.site.wait_for("it is not ready, and says why", [&] {
    const auto now = x.site.instance(first);
    return !now.ready && now.state == "running" && now.reason.find("answered 503, not 200-399") != std::string::npos;
  });
  x.site.wait_for("each door passes on to the other one only", [&] {
    return std::all_of(x.site.hosts().begin(), x.site.hosts().end(),
                       [&](const auto& host) { return page_at(own_address(x.site, host), x.port) == other.host; });
  });
  CHECK(x.site.application("shop").state == "degraded");
  await_served(x.site, clients, 5);
  CHECK(page_at(own_address(x.site, sick.host), x.port) == other.host); // not even at its own host
  std::filesystem::remove(file);
  x.site.wait_for("it gets traffic again", [&] { return page_at(own_address(x.site, sick.host), x.port) == sick.host; });
  await_served(x.site, clients, 5);
  for (const auto& client : clients) {
    client->stop();
    CHECK(client->failed() == 0);
  }
  CHECK(x.site.instance(first).pid == sick.pid);
  CHECK(x.site.instance(first).restarts == 0);
}

TEST_CASE("an update whose instances never get ready stops at the first one and says why, and those before it serve on") {
  web_site x{2};
  x.probes().readiness = health_probe(x.spec);
  x.spec.services[0].update.healthy_time = 200ms;
  x.apply_until_ready();
  wait_for_doors(x.site, x.site.hosts(), x.port);
  const auto before = x.site.instances();
  const auto clients = clients_at(x.site, x.site.hosts(), x.port);
  await_served(x.site, clients, 5);
  auto& command = x.spec.services[0].containers[0].command[2];
  command.insert(0, "touch sick; ");
  x.spec.version = "2";
  REQUIRE(x.site.apply(x.spec).is_good());
  x.site.wait_for("the site says what the update waits for", [&] {
    const auto now = x.site.application("shop");
    return now.reason.find("1 of 2 instances run version ") != std::string::npos
           && now.reason.find("not ready: default.shop.main-1.one: readiness probe failed: ") != std::string::npos;
  });
  await_served(x.site, clients, 20); // longer than the healthy time
  CHECK(x.site.instance(before[0].name).generation == before[0].generation + 1);
  CHECK(x.site.instance(before[1].name).pid == before[1].pid);
  for (const auto& client : clients)
    client->stop();
  command.replace(0, 12, "rm -f sick; ");
  x.spec.version = "3";
  REQUIRE(x.site.apply(x.spec).is_good());
  x.site.wait_for("all are updated and ready", [&] {
    const auto now = x.site.instances();
    return now.size() == 2 && now[0].ready && now[1].ready && now[0].generation == before[0].generation + 2
           && now[1].generation == before[1].generation + 1;
  });
}

TEST_CASE("a probe of a closed port is a state and an event with the reason and what to do, and the agent stays up") {
  web_site x{1};
  const auto closed = free_port(own_address(x.site, "host-1"));
  x.probes().readiness = health_probe(x.spec);
  x.probes().readiness.http.port = closed;
  REQUIRE(x.site.apply(x.spec).is_good());
  const auto reason = "nothing listens on port " + std::to_string(closed);
  x.site.wait_for("its state says why", [&] { return x.site.instance(first).reason.find(reason) != std::string::npos; });
  CHECK(x.site.instance(first).state == "running");
  CHECK_FALSE(x.site.instance(first).ready);
  CHECK(x.site.instance(first).reason.find("correct the port of the probe") != std::string::npos);
  x.site.wait_for("an event says why", [&] { return x.has_event("instance/" + first, reason); });
  CHECK(page_at(own_address(x.site, "host-1"), x.port).empty());
  x.probes().readiness = health_probe(x.spec);
  REQUIRE(x.site.apply(x.spec).is_good());
  wait_for_doors(x.site, x.site.hosts(), x.port);
}

TEST_CASE("an update whose instances do not get ready in time goes back by itself, and what was not updated is not restarted") {
  web_site x{3};
  x.probes().readiness = health_probe(x.spec);
  x.spec.services[0].update.healthy_time = 200ms;
  x.spec.services[0].update.deadline = 2s;
  x.spec.version = "1";
  x.apply_until_ready();
  wait_for_doors(x.site, x.site.hosts(), x.port);
  const auto before = x.site.instances();
  const auto clients = clients_at(x.site, x.site.hosts(), x.port);
  auto sick = x.spec;
  sick.version = "2";
  sick.services[0].containers[0].command[2].insert(0, "touch sick; ");
  REQUIRE(x.site.apply(sick).is_good());
  x.site.wait_for("the site went back", [&] { return x.site.application("shop").version == "1"; });
  std::filesystem::remove(web_folder(x.site, before[0].host) / "sick");
  x.site.wait_for("all are ready", [&] {
    const auto now = x.site.instances();
    return now.size() == 3 && std::all_of(now.begin(), now.end(), [](const auto& i) { return i.ready; });
  });
  const auto now = x.site.application("shop");
  CHECK(now.revision == 3);
  CHECK(now.previous_version == "");
  CHECK(now.reason.find("went back from version 2: default.shop.main-1 was not ready within 2s: not ready: ") == 0);
  CHECK(x.has_event("application/default.shop", "rolled back: default.shop.main-1 was not ready within 2s"));
  for (std::size_t i = 1; i < 3; ++i)
    CHECK(x.site.instance(before[i].name).pid == before[i].pid);
  await_served(x.site, clients, 5);
  for (const auto& client : clients) {
    client->stop();
    CHECK(client->failed() <= 1); // what was open to the one instance that was updated and put back
  }
}

TEST_CASE("a version that crashes goes back by itself, and the operator goes back from one that runs") {
  site_processes site;
  site.start_all();
  auto spec = simple_application("shop", {"sleep", "1000001"}, 3);
  spec.version = "1";
  spec.intensity = 1;
  spec.services[0].restart.intensity = 1;
  spec.services[0].update.healthy_time = 200ms;
  REQUIRE(site.apply(spec).is_good());
  site.wait_for_running(3);
  const auto before = site.instances();
  auto broken = spec;
  broken.version = "2";
  broken.services[0].containers[0].command = {"false"};
  REQUIRE(site.apply(broken).is_good());
  site.wait_for("the site went back", [&] { return site.application("shop").version == "1" && site.all_running(3); });
  for (std::size_t i = 1; i < 3; ++i)
    CHECK(site.instance(before[i].name).pid == before[i].pid);
  CHECK(site.application("shop").reason.find("went back from version 2: default.shop.main-1 gave up on ") == 0);

  auto next = spec;
  next.version = "3";
  next.services[0].containers[0].command = {"sleep", "1000003"};
  REQUIRE(site.apply(next).is_good());
  site.wait_for("the update is done", [&] {
    const auto now = site.application("shop");
    return now.version == "3" && now.update == "done";
  });
  const auto now = site.application("shop");
  CHECK(now.previous_version == "1");
  const auto target = "/v1/applications/default.shop/rollback";
  const auto body = "{\"revision\": " + std::to_string(now.revision) + '}';
  REQUIRE(site.call(site.some_host(), "POST", target, body).is_good());
  CHECK(site.call(site.some_host(), "POST", target, body).status == 409); // once
  site.wait_for("all run version 1 again", [&] {
    for (const auto& host : site.hosts())
      for (const auto& [name, pid] : site.containers_of(host))
        if (command_of(pid) != "sleep 1000001")
          return false;
    return site.all_running(3);
  });
}

TEST_CASE("a command probe looks into the container, and what it printed is the reason") {
  web_site x{1};
  x.probes().readiness.command = {"sh", "-c", "test -e open || { echo the shop is closed; exit 7; }"};
  x.probes().readiness.period = 100ms;
  x.apply();
  x.site.wait_for("its state says why", [&] {
    return x.site.instance(first).reason.find("readiness probe failed: `sh` ended with exit code 7: the shop is closed") != std::string::npos;
  });
  touch(web_folder(x.site, x.site.instance(first).host) / "open");
  x.site.wait_for("it is ready", [&] { return x.site.instance(first).ready; });
  CHECK(x.site.instance(first).restarts == 0);
}
