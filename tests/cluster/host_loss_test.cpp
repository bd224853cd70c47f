// Hosts that are lost, one, two or all at once, as real processes that are killed; and what the site does when they return.

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

using instance_list = std::vector<actors::instance_view>;

bool runs_without(const site_processes& site, const std::string& lost, std::size_t count) {
  const auto all = site.instances();
  return all.size() == count && std::all_of(all.begin(), all.end(), [&](const auto& x) {
           return x.state == "running" && x.host != lost;
         });
}

/// What was on `lost` has been started once more elsewhere; all else was left in peace.
void check_only_these_moved(const instance_list& before, const instance_list& after, const std::string& lost) {
  REQUIRE(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    INFO(before[i].name << " was on " << before[i].host);
    CHECK(after[i].name == before[i].name);
    const bool was_lost = before[i].host == lost;
    CHECK(after[i].generation == before[i].generation + (was_lost ? 1 : 0));
    CHECK((after[i].pid == before[i].pid) == !was_lost);
    CHECK((after[i].host == before[i].host) == !was_lost);
  }
}

/// Loses `lost` as by a power cut, with three instances spread over three hosts, and lets it return.
void lose_and_return(site_processes& site, const std::string& lost, const std::string& who) {
  const auto before = site.instances();
  const auto start = std::chrono::steady_clock::now();
  site.kill_host(lost);
  site.wait_for("what ran on " + lost + " runs elsewhere", [&] { return runs_without(site, lost, before.size()); });
  const auto took = std::chrono::steady_clock::now() - start;
  MESSAGE(who << " lost: its work ran elsewhere after "
              << std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms");
  site.wait_for_agreement(site.hosts_without(lost));
  const auto after = site.instances();
  check_only_these_moved(before, after, lost);
  CHECK(site.host(lost).state == "down");
  CHECK(site.host(lost).reason.find("no heartbeat for") != std::string::npos);

  site.start(lost);
  site.wait_for(lost + " is up again", [&] { return site.host(lost).state == "up"; });
  site.wait_for_agreement(site.hosts());
  const auto at_last = site.instances();
  REQUIRE(at_last.size() == after.size());
  for (std::size_t i = 0; i < after.size(); ++i) {
    CHECK(at_last[i].generation == after[i].generation);
    CHECK(at_last[i].host == after[i].host);
    CHECK(at_last[i].pid == after[i].pid);
  }
  CHECK(site.processes_of(lost) == 0);
}

} // namespace

TEST_CASE("the work of a lost worker host runs elsewhere, one generation later, and stays there when the host returns") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop", {"sleep", "1000000"}, 3)).status == 201);
  site.wait_for_running(3);
  lose_and_return(site, site.hosts_without(site.leader()).front(), "worker");
}

TEST_CASE("the work of a lost leader host runs elsewhere, and both others follow the same new leader") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop", {"sleep", "1000000"}, 3)).status == 201);
  site.wait_for_running(3);
  const auto old_leader = site.leader();
  const auto old_term = site.status(old_leader).term;
  lose_and_return(site, old_leader, "leader");
  const auto leader = site.leader();
  CHECK(leader != old_leader);
  for (const auto& host : site.hosts()) {
    CHECK(site.status(host).leader == leader);
    CHECK(site.status(host).term > old_term);
    CHECK(site.status(host).role == (host == leader ? "leader" : "controller"));
  }
}

TEST_CASE("a host whose agent was dead for too long stops what has moved away meanwhile as soon as its agent is back") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop", {"sleep", "1000000"}, 3)).status == 201);
  site.wait_for_running(3);
  const auto lost = site.hosts_without(site.leader()).front();
  site.kill_agent(lost);
  site.wait_for("what ran on " + lost + " runs elsewhere", [&] { return runs_without(site, lost, 3); });
  CHECK(site.processes_of(lost) == 1); // nobody is there to stop it
  site.start(lost);
  site.wait_for("the outdated copy is stopped", [&] { return site.processes_of(lost) == 0; });
  CHECK(runs_without(site, lost, 3));
}

TEST_CASE("with two of three hosts down, what runs goes on, changes are refused in time, and all is well on their return") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(on("host = host-3", simple_application("shop"))).status == 201);
  site.wait_for_running(1);
  const auto before = site.instance("default.shop.main-1");
  site.kill_hosts({"host-1", "host-2"});

  const auto took = site.wait_for("host-3 says that there is no quorum", [&] { return site.status("host-3").health == "no-quorum"; });
  MESSAGE("no-quorum was said after " << took.count() << " ms");
  const auto status = site.status("host-3");
  CHECK_FALSE(status.quorum);
  CHECK(status.leader == "");
  CHECK(status.reason.find("nothing can be changed until they return") != std::string::npos);
  const auto refused = site.apply("host-3", simple_application("late"));
  CHECK(refused.status == 503);
  CHECK(refused.took < 15s);
  CHECK(refused.problem().detail == "the site cannot decide now");
  CHECK(refused.problem().cause != "");
  CHECK(refused.problem().fix.find("more than half of the controllers") != std::string::npos);
  CHECK(site.containers_of("host-3").at("default.shop.main-1.one") == before.pid);
  CHECK(site.instance("default.shop.main-1").state == "running"); // its own host still says so

  site.start("host-1"); // two of three are a majority
  site.wait_for_agreement({"host-1", "host-3"});
  REQUIRE(site.apply("host-1", simple_application("later")).is_good());
  site.start("host-2");
  site.wait_for_agreement(site.hosts());
  site.wait_for("both applications run", [&] {
    return site.application("shop").state == "running" && site.application("later").state == "running";
  });
  CHECK(site.instance("default.shop.main-1").pid == before.pid);
  CHECK(site.instance("default.shop.main-1").generation == before.generation);
  CHECK(site.instance("default.shop.main-1").restarts == 0);
}

TEST_CASE("after all hosts were killed at once, the site comes back with what was acknowledged and runs it again") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop", {"sleep", "1000000"}, 3)).status == 201);
  site.wait_for_running(3);
  const auto before = site.instances();
  REQUIRE(site.scale("shop", "main", 4).is_good());
  REQUIRE(site.apply(simple_application("last", {"sleep", "1000000"}, 0)).status == 201);
  site.kill_hosts(site.hosts()); // right behind the last answer

  site.start_all();
  CHECK(site.application("last").revision == 1);
  site.wait_for_running(4);
  const auto after = site.instances();
  for (const auto& old : before) {
    const auto it = std::find_if(after.begin(), after.end(), [&](const auto& x) { return x.name == old.name; });
    REQUIRE(it != after.end());
    CHECK(it->generation >= old.generation);
    CHECK(it->pid != old.pid);
  }
}
