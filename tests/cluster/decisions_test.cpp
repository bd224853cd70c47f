// Changes asked of hosts that cannot decide by themselves: followers, a leader that is losing its leadership, a minority.

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/cluster/fault_plan.hpp"
#include "tests/cluster/wired_site.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

constexpr auto refusal_limit = 5s; ///< 2 s of patience for an election, and what a busy machine adds

bool says_nothing_changed(const api_answer& answer) { return answer.body.find("nothing was changed") != std::string::npos; }

/// A refused change must not happen later; of one that was not confirmed nothing is known.
void check_later(const site_processes& site, const std::string& name, const api_answer& answer) {
  INFO(name << " was answered " << answer.status << ' ' << answer.body);
  const auto now = site.call(site.some_host(), "GET", "/v1/applications/" + name).status;
  if (answer.is_good())
    CHECK(now == 200);
  else if (says_nothing_changed(answer))
    CHECK(now == 404);
}

} // namespace

TEST_CASE("what a follower acknowledged is shown by every host at once, also by those that apply later") {
  site_processes site;
  site.start_all();
  for (int number = 0; number < 30; ++number) {
    const auto name = "shop-" + std::to_string(number);
    const auto& asked = site.hosts()[static_cast<std::size_t>(number) % 3];
    REQUIRE(site.apply(asked, simple_application(name, {"sleep", "1"}, 0)).status == 201);
    for (const auto& host : site.hosts()) {
      INFO(name << " applied to " << asked << ", asked of " << host);
      CHECK(site.call(host, "GET", "/v1/applications/" + name).status == 200);
    }
  }
}

TEST_CASE("a leader that stands still loses its leadership, acts no more when it goes on, and nothing acknowledged is lost") {
  site_processes site;
  fault_plan draw;
  site.start_all();
  const std::vector<config::application_spec> specs{simple_application("shop", {"sleep", "1000000"}, 3)};
  REQUIRE(site.apply(specs[0]).status == 201);
  wait_for_specified(site, specs);
  copies_watch watch{site};
  recording_client client{site.endpoints(site.hosts())};
  const int rounds = std::max(1, number_from_environment("PRUNELLA_KILLS", 2) / 2);
  for (int round = 0; round < rounds; ++round) {
    const auto still = site.leader();
    REQUIRE(still != "");
    const auto others = site.hosts_without(still);
    const auto term = site.status(still).term;
    client.set_endpoints(site.endpoints(others));
    site.pause(still);
    site.wait_for("the others have a leader", [&] { return !site.leader().empty() && site.leader() != still; });
    const auto acknowledged = client.acknowledged();
    const auto pause = std::chrono::milliseconds{200 * draw.below(10)};
    const auto end = std::chrono::steady_clock::now() + pause;
    site.wait_for("changes are acknowledged while " + still + " stands still", [&] {
      return client.acknowledged() > acknowledged && std::chrono::steady_clock::now() > end;
    });
    site.resume(still);
    // It still believes to lead, and its answer counts like any other's.
    const auto name = "asked-the-deposed-" + std::to_string(round);
    const auto answer = site.apply(still, simple_application(name, {"sleep", "1"}, 0));
    CHECK(answer.took < refusal_limit);
    site.wait_for_leader(site.hosts());
    CHECK(site.status(still).term > term);
    check_later(site, name, answer);
    client.set_endpoints(site.endpoints(site.hosts()));
    wait_for_specified(site, specs);
  }
  client.stop();
  site.wait_for_agreement(site.hosts());
  client.check(site, site.hosts());
  watch.check();
}

TEST_CASE("a follower that stands still and goes on disturbs nobody, and its host is down only as long as it was silent") {
  site_processes site;
  site.start_all();
  const std::vector<config::application_spec> specs{simple_application("shop", {"sleep", "1000000"}, 3)};
  REQUIRE(site.apply(specs[0]).status == 201);
  wait_for_specified(site, specs);
  copies_watch watch{site};
  const auto leader = site.leader();
  const auto still = site.hosts_without(leader).front();
  const auto term = site.status(leader).term;
  site.pause(still);
  site.wait_for("what ran on " + still + " runs elsewhere as well", [&] {
    const auto all = site.instances();
    return std::all_of(all.begin(), all.end(), [&](const auto& x) { return x.state == "running" && x.host != still; });
  });
  CHECK(site.processes_of(still) == 1); // keep-running: nobody is there to stop it
  site.resume(still);
  site.wait_for(still + " is up again", [&] { return site.host(still).state == "up"; });
  wait_for_specified(site, specs);
  CHECK(site.processes_of(still) == 0);
  site.wait_for_agreement(site.hosts());
  CHECK(site.leader() == leader);
  CHECK(site.status(leader).term == term);
  watch.check();
}

TEST_CASE("when all agents stand still for longer than makes a host down and go on, nothing is moved") {
  site_processes site;
  site.start_all();
  const std::vector<config::application_spec> specs{simple_application("shop", {"sleep", "1000000"}, 3)};
  REQUIRE(site.apply(specs[0]).status == 201);
  wait_for_specified(site, specs);
  const auto before = site.instances();
  for (const auto& host : site.hosts())
    site.pause(host);
  last_for(2'500ms);
  for (const auto& host : site.hosts())
    site.resume(host);
  site.wait_for_leader(site.hosts());
  // A wrong verdict would fall within the time that makes a host down.
  last_for(1'500ms);
  wait_for_specified(site, specs);
  const auto after = site.instances();
  REQUIRE(after.size() == before.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(after[i].generation == before[i].generation);
    CHECK(after[i].pid == before[i].pid);
  }
}

TEST_CASE("a minority refuses changes in bounded time with a reason, tells what it does not know, and changes nothing later") {
  site_processes site;
  site.start_all();
  const std::vector<config::application_spec> specs{simple_application("shop", {"sleep", "1000000"}, 3)};
  REQUIRE(site.apply(specs[0]).status == 201);
  wait_for_specified(site, specs);
  const auto leader = site.leader();
  const auto others = site.hosts_without(leader);
  const auto own = site.containers_of(leader);
  site.kill_hosts(others);
  // It still believes to lead: this change is in its log, and nobody can say what becomes of it.
  const auto first = site.apply(leader, simple_application("first", {"sleep", "1"}, 0));
  CHECK(first.status == 503);
  CHECK(first.took < refusal_limit);
  site.wait_for("its status says so", [&] { return site.status(leader).health == "no-quorum"; });
  MESSAGE("the first change was given up after " << first.took.count() << " ms");
  const auto second = site.apply(leader, simple_application("second", {"sleep", "1"}, 0));
  MESSAGE("the second change was refused after " << second.took.count() << " ms");
  CHECK(second.status == 503);
  CHECK(second.took < refusal_limit);
  CHECK_MESSAGE(says_nothing_changed(second), second.body);
  const auto status = site.status(leader);
  CHECK(status.hosts_up == 1);
  CHECK(status.leader == "");
  for (const auto& x : site.get<std::vector<actors::host_view>>(leader, "/v1/hosts")) {
    INFO(x.id);
    CHECK(x.state == (x.id == leader ? "up" : "unknown"));
    CHECK((x.id == leader || x.reason == "no leader answers; it was up when the site last decided"));
  }
  CHECK(site.containers_of(leader) == own);

  for (const auto& host : others)
    site.start(host);
  site.wait_for_agreement(site.hosts());
  wait_for_specified(site, specs);
  // It may have got work of a host that was slow to come back; its own went on.
  const auto then = site.containers_of(leader);
  for (const auto& x : own)
    CHECK_MESSAGE(std::find(then.begin(), then.end(), x) != then.end(), x.first << " is no longer process " << x.second);
  check_later(site, "first", first);
  check_later(site, "second", second);
}
