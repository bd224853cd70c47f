// The front door of a site of real processes: what clients notice while instances and hosts die.

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <thread>

#include "config/address.hpp"
#include "net/http_client.hpp"
#include "tests/cluster/site_processes.hpp"
#include "tests/net/door_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

std::string own_address(const site_processes& site, const std::string& host) {
  return config::parse_address(site.link_address(host))->host;
}

/// A web server whose page is the name of its host. All hosts are on one machine, so each instance listens at the address
/// of its host, as those of a site on several machines do by themselves.
config::application_spec web_application(const site_processes& site, std::uint16_t publish, unsigned replicas) {
  std::string addresses;
  for (const auto& host : site.hosts())
    addresses += host + ") A=" + own_address(site, host) + ";; ";
  auto spec = simple_application(
    "shop",
    {"sh", "-c",
     "case $PRUNELLA_HOST in " + addresses
       + "esac; echo $PRUNELLA_HOST > index.html; exec busybox httpd -f -p $A:$PRUNELLA_PORT_HTTP -h ."},
    replicas);
  auto container_port = publish;
  while (container_port == publish)
    container_port = free_port(own_address(site, site.hosts().front()));
  spec.services[0].containers[0].ports = {{"http", container_port, config::port_protocol::tcp, publish}};
  spec.services[0].restart.intensity = 100;
  return spec;
}

std::string page_at(const std::string& address, std::uint16_t port) {
  net::http_call_options options;
  options.timeout = 8s;
  const auto outcome = net::http_call("http://" + address + ':' + std::to_string(port), "GET", "/index.html", {}, options);
  const auto* answer = std::get_if<net::http_answer>(&outcome);
  return answer == nullptr || answer->status != 200 ? std::string{} : answer->body.substr(0, answer->body.find('\n'));
}

/// Asks for the page at one host's door, one request after the other, in a thread of its own.
class door_client {
public:
  door_client(std::string address, std::uint16_t port) : thread_([this, address = std::move(address), port] {
    while (!stopping_) {
      const auto start = std::chrono::steady_clock::now();
      (page_at(address, port).empty() ? failed_ : served_) += 1;
      const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
      longest_ms_ = std::max(longest_ms_.load(), static_cast<int>(took.count()));
    }
  }) {}
  ~door_client() { stop(); }
  door_client(const door_client&) = delete;
  door_client& operator=(const door_client&) = delete;

  void stop() {
    stopping_ = true;
    if (thread_.joinable())
      thread_.join();
  }
  int served() const { return served_; }
  int failed() const { return failed_; }
  int longest_ms() const { return longest_ms_; }

private:
  std::atomic<bool> stopping_{false};
  std::atomic<int> served_{0};
  std::atomic<int> failed_{0};
  std::atomic<int> longest_ms_{0};
  std::thread thread_; // last: it looks at the others
};

/// Until each door has passed on to a ready instance.
void wait_for_doors(const site_processes& site, const std::vector<std::string>& hosts, std::uint16_t port) {
  for (const auto& host : hosts)
    site.wait_for("the door of " + host + " answers", [&] { return !page_at(own_address(site, host), port).empty(); });
}

/// Waits until each client was served `more` times more.
void await_served(const site_processes& site, const std::vector<std::unique_ptr<door_client>>& clients, int more) {
  std::vector<int> before;
  for (const auto& client : clients)
    before.push_back(client->served());
  site.wait_for("each client is served", [&] {
    for (std::size_t i = 0; i < clients.size(); ++i)
      if (clients[i]->served() < before[i] + more)
        return false;
    return true;
  });
}

void report(const char* what, const std::vector<std::unique_ptr<door_client>>& clients, int deaths) {
  std::string text = std::string(what) + ": " + std::to_string(deaths) + " deaths;";
  for (const auto& client : clients) {
    client->stop();
    text += " served " + std::to_string(client->served()) + " failed " + std::to_string(client->failed()) + " longest "
            + std::to_string(client->longest_ms()) + " ms;";
    CHECK(client->failed() <= deaths); // what was open to the one that died
  }
  MESSAGE(text);
}

std::vector<actors::published_view> services(const site_processes& site) {
  return site.get<std::vector<actors::published_view>>(site.some_host(), "/v1/services");
}

} // namespace

TEST_CASE("a published port answers on every host, and each client loses at most one request per instance that dies") {
  site_processes site;
  site.start_all();
  const auto port = free_port(own_address(site, "host-1"));
  REQUIRE(site.apply(web_application(site, port, 2)).status == 201);
  site.wait_for_running(2);
  wait_for_doors(site, site.hosts(), port);
  std::vector<std::unique_ptr<door_client>> clients;
  for (const auto& host : site.hosts())
    clients.push_back(std::make_unique<door_client>(own_address(site, host), port));
  constexpr int deaths = 6;
  for (int i = 0; i < deaths; ++i) {
    await_served(site, clients, 5);
    const auto victim = site.instances().at(static_cast<std::size_t>(i % 2));
    REQUIRE(victim.pid > 0); // 0 would be this test and all that it started
    REQUIRE(::kill(static_cast<pid_t>(victim.pid), SIGKILL) == 0);
    site.wait_for("it runs again", [&] { return site.instance(victim.name).restarts > victim.restarts && site.all_running(2); });
  }
  await_served(site, clients, 5);
  report("instances killed", clients, deaths);

  const auto rows = services(site);
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].service == "default.shop.main");
  CHECK(rows[0].port == port);
  CHECK(rows[0].state == "ready");
  CHECK(rows[0].ready == 2);
  CHECK(rows[0].wanted == 2);
  CHECK(rows[0].addresses.size() == 3);
  CHECK(rows[0].unserved == 0);
  CHECK(rows[0].problems.empty());
}

TEST_CASE("clients of the surviving hosts lose at most one request when a host with an instance, then the leader, is lost") {
  site_processes site;
  site.start_all();
  const auto port = free_port(own_address(site, "host-1"));
  REQUIRE(site.apply(web_application(site, port, 2)).status == 201);
  site.wait_for_running(2);
  wait_for_doors(site, site.hosts(), port);
  for (const bool the_leader : {false, true}) {
    const auto leader = site.leader();
    std::string lost = leader;
    if (!the_leader)
      for (const auto& x : site.instances())
        lost = x.host != leader ? x.host : lost;
    std::vector<std::unique_ptr<door_client>> clients;
    for (const auto& host : site.hosts_without(lost))
      clients.push_back(std::make_unique<door_client>(own_address(site, host), port));
    await_served(site, clients, 5);
    site.kill_host(lost);
    site.wait_for("two instances run elsewhere", [&] {
      const auto all = site.instances();
      return all.size() == 2 && std::all_of(all.begin(), all.end(), [&](const auto& x) {
               return x.state == "running" && x.host != lost;
             });
    });
    await_served(site, clients, 20);
    report(the_leader ? "leader lost" : "host lost", clients, 1);
    site.start(lost);
    site.wait_for_agreement(site.hosts());
    wait_for_doors(site, {lost}, port); // it runs none of them
  }
}

TEST_CASE("a published port that is taken on one host is an event and a problem there, and the others answer") {
  site_processes site;
  const auto port = free_port(own_address(site, "host-1"));
  auto squatter = std::make_unique<test_listener>(own_address(site, "host-2") + ':' + std::to_string(port));
  site.start_all();
  REQUIRE(site.apply(web_application(site, port, 1)).status == 201);
  wait_for_doors(site, {"host-1", "host-3"}, port);
  site.wait_for("host-2 says so", [&] {
    const auto rows = services(site);
    return rows.size() == 1 && rows[0].problems.size() == 1;
  });
  const auto row = services(site).at(0);
  CHECK(row.state == "degraded");
  CHECK(row.problems[0].find("host-2: ") == 0);
  CHECK(row.problems[0].find("in use") != std::string::npos);
  CHECK(row.addresses.size() == 2);
  const auto events = site.get<std::vector<actors::event_view>>(site.some_host(), "/v1/events?limit=1000");
  CHECK(std::any_of(events.begin(), events.end(), [&](const auto& x) {
    return x.object == "service/default.shop.main" && x.to.find("host-2 does not answer on port") == 0;
  }));
  squatter.reset();
  wait_for_doors(site, {"host-2"}, port);
}

TEST_CASE("a door is back with its agent, and what it passes on to was not restarted") {
  site_processes site;
  site.start_all();
  const auto port = free_port(own_address(site, "host-1"));
  REQUIRE(site.apply(on("host = host-2", web_application(site, port, 1))).status == 201);
  wait_for_doors(site, site.hosts(), port);
  const auto before = site.instance("default.shop.main-1");
  site.kill_agent("host-2");
  site.start("host-2");
  wait_for_doors(site, site.hosts(), port);
  const auto after = site.instance("default.shop.main-1");
  CHECK(after.pid == before.pid);
  CHECK(after.generation == before.generation);
}
