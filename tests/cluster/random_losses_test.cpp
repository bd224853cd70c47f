// Hosts and agents that are killed one after the other, drawn from a seed, while a client writes all the while.
// PRUNELLA_KILLS=N makes the series longer, PRUNELLA_FAULT_SEED replays one.

#include <doctest/doctest.h>

#include <signal.h>

#include <algorithm>

#include "tests/cluster/fault_plan.hpp"
#include "tests/cluster/recording_client.hpp"
#include "tests/cluster/site_watch.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// What an instance has been through, as the test knows it.
struct history {
  std::uint64_t generation = 0;
  std::uint32_t restarts = 0;
  std::string host;
  std::int64_t pid = 0;
};

using histories = std::map<std::string, history>;

std::vector<config::application_spec> two_applications() {
  auto pair = simple_application("pair", {"sleep", "1000000"}, 2);
  pair.services[0].containers.push_back(pair.services[0].containers[0]);
  pair.services[0].containers[1].name = "two";
  return {simple_application("shop", {"sleep", "1000000"}, 4), pair};
}

histories histories_of(const site_processes& site) {
  histories result;
  for (const auto& x : site.instances())
    if (x.state == "running")
      result[x.name] = {x.generation, x.restarts, x.host, x.pid};
  return result;
}

/// What was on one of `lost` runs elsewhere one generation later, afresh; all else was left in peace.
void check_only_these_moved(const histories& before, const histories& after, const std::vector<std::string>& lost) {
  REQUIRE(before.size() == after.size());
  for (const auto& [name, old] : before) {
    const auto& now = after.at(name);
    INFO(name << " was on " << old.host << " in generation " << old.generation << ", is on " << now.host << " in "
              << now.generation << ", restarts " << old.restarts << " then " << now.restarts);
    const bool was_lost = std::find(lost.begin(), lost.end(), old.host) != lost.end();
    CHECK(now.generation == old.generation + (was_lost ? 1 : 0));
    CHECK(now.restarts == (was_lost ? 0 : old.restarts));
    CHECK((now.host == old.host) == !was_lost);
    CHECK((now.pid == old.pid) == !was_lost);
  }
}

/// Kills the container of an instance; it is restarted in place, and that is counted.
void crash_one(site_processes& site, fault_plan& draw, const std::vector<config::application_spec>& specs) {
  auto before = histories_of(site);
  auto victim = std::next(before.begin(), static_cast<std::ptrdiff_t>(draw.below(before.size())));
  REQUIRE(kill(static_cast<pid_t>(victim->second.pid), SIGKILL) == 0);
  site.wait_for("a killed container is restarted", [&] {
    const auto now = site.instance(victim->first);
    return now.state == "running" && now.pid != victim->second.pid;
  });
  wait_for_specified(site, specs);
  auto after = histories_of(site);
  CHECK(after[victim->first].restarts == victim->second.restarts + 1);
  CHECK(after[victim->first].host == victim->second.host);
  after.erase(victim->first);
  before.erase(victim);
  check_only_these_moved(before, after, {});
}

std::int64_t ms(std::chrono::steady_clock::duration x) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(x).count();
}

void apply_all(site_processes& site, const std::vector<config::application_spec>& specs) {
  for (const auto& spec : specs)
    REQUIRE(site.apply(spec).status == 201);
  wait_for_specified(site, specs);
}

/// Loses `victim` and lets it return, while `client` writes.
void lose_one(site_processes& site, const std::string& victim, const std::vector<config::application_spec>& specs,
              recording_client& client) {
  const auto before = histories_of(site);
  client.set_endpoints(site.endpoints(site.hosts_without(victim)));
  const auto start = std::chrono::steady_clock::now();
  site.kill_host(victim);
  site.wait_for("what ran on " + victim + " runs elsewhere", [&] {
    const auto now = histories_of(site);
    return now.size() == before.size()
           && std::none_of(now.begin(), now.end(), [&](const auto& x) { return x.second.host == victim; });
  });
  MESSAGE("its work ran elsewhere after " << ms(std::chrono::steady_clock::now() - start) << " ms");
  wait_for_specified(site, specs);
  const auto moved = histories_of(site);
  check_only_these_moved(before, moved, {victim});
  const auto acknowledged = client.acknowledged();
  site.wait_for("the client goes on", [&] { return client.acknowledged() > acknowledged; });
  site.start(victim);
  site.wait_for(victim + " is up again", [&] { return site.host(victim).state == "up"; });
  client.set_endpoints(site.endpoints(site.hosts()));
  wait_for_specified(site, specs);
  check_only_these_moved(moved, histories_of(site), {});
}

void finish(site_processes& site, recording_client& client, copies_watch& watch) {
  client.stop();
  MESSAGE(client.acknowledged() << " changes acknowledged, " << client.refused() << " refused, " << client.unsure()
                                << " unsure; the longest answer took " << client.longest().count() << " ms" << client.why_unsure());
  CHECK(client.acknowledged() > 0);
  site.wait_for_agreement(site.hosts());
  client.check(site, site.hosts());
  watch.check();
}

} // namespace

TEST_CASE("hosts are lost and return in a row, random victims, the leader among them: nothing is lost and all runs once") {
  const int kills = number_from_environment("PRUNELLA_KILLS", 4);
  site_processes site;
  fault_plan draw;
  site.start_all();
  const auto specs = two_applications();
  apply_all(site, specs);
  copies_watch watch{site};
  recording_client client{site.endpoints(site.hosts())};
  for (int round = 1; round <= kills; ++round) {
    crash_one(site, draw, specs);
    site.wait_for("there is a leader", [&] { return !site.leader().empty(); });
    const auto leader = site.leader();
    const auto victim = round == 1 ? leader : draw.one_of(site.hosts());
    MESSAGE("round " << round << ": " << victim << (victim == leader ? std::string{", the leader"} : std::string{}));
    lose_one(site, victim, specs, client);
  }
  finish(site, client, watch);
}

TEST_CASE("all hosts are lost at once again and again, at times one stays away for a while: the rest brings back what ran") {
  const int rounds = std::max(2, number_from_environment("PRUNELLA_KILLS", 2) / 4);
  site_processes site;
  fault_plan draw;
  site.start_all();
  const auto specs = two_applications();
  apply_all(site, specs);
  copies_watch watch{site};
  recording_client client{site.endpoints(site.hosts())};
  for (int round = 1; round <= rounds; ++round) {
    const bool one_stays_away = round % 2 == 0;
    const auto away = draw.one_of(site.hosts());
    MESSAGE("round " << round << ": all" << (one_stays_away ? ", and " + away + " stays away" : std::string{}));
    const auto before = histories_of(site);
    site.kill_hosts(site.hosts());
    const auto back = one_stays_away ? site.hosts_without(away) : site.hosts();
    const auto start = std::chrono::steady_clock::now();
    for (const auto& host : back)
      site.start(host);
    client.set_endpoints(site.endpoints(back));
    wait_for_specified(site, specs);
    MESSAGE("all ran again " << ms(std::chrono::steady_clock::now() - start) << " ms after the first host was started");
    for (const auto& [name, now] : histories_of(site)) {
      INFO(name);
      CHECK(now.generation >= before.at(name).generation);
      CHECK(now.restarts == 0);
    }
    const auto acknowledged = client.acknowledged();
    site.wait_for("the client goes on", [&] { return client.acknowledged() > acknowledged; });
    if (one_stays_away)
      site.start(away);
    site.wait_for_leader(site.hosts());
    client.set_endpoints(site.endpoints(site.hosts()));
    wait_for_specified(site, specs);
  }
  finish(site, client, watch);
}

TEST_CASE("after all were lost, a host that returns alone runs what its own copy of the state says, and makes room for the rest") {
  site_processes site;
  fault_plan draw;
  site.start_all();
  const auto specs = two_applications();
  apply_all(site, specs);
  site.wait_for_agreement(site.hosts());
  copies_watch watch{site};
  const auto first = draw.one_of(site.hosts());
  std::vector<std::string> before;
  for (const auto& [container, pid] : site.containers_of(first))
    before.push_back(container);
  REQUIRE(!before.empty());
  site.kill_hosts(site.hosts());
  site.start(first);
  const auto took = site.wait_for("it runs what it ran", [&] {
    std::vector<std::string> now;
    for (const auto& [container, pid] : site.containers_of(first))
      now.push_back(container);
    return now == before;
  });
  MESSAGE(first << " ran its own again " << took.count() << " ms after its agent answered, alone");
  CHECK(site.status(first).health == "no-quorum");
  for (const auto& host : site.hosts_without(first))
    site.start(host);
  wait_for_specified(site, specs);
  site.wait_for_agreement(site.hosts());
  watch.check();
}

TEST_CASE("agents are killed one after the other under load: containers keep their processes, and no restart is counted") {
  const int rounds = std::max(1, number_from_environment("PRUNELLA_KILLS", 3) / 3);
  site_processes site{config::liveness_profile::patient}; // a host is not given up before its agent is back
  site.start_all();
  const auto specs = two_applications();
  apply_all(site, specs);
  const auto before = histories_of(site);
  copies_watch watch{site};
  recording_client client{site.endpoints(site.hosts())};
  for (int round = 1; round <= rounds; ++round)
    for (const auto& host : site.hosts()) {
      INFO("round " << round << ", agent of " << host);
      const auto pids = site.containers_of(host);
      client.set_endpoints(site.endpoints(site.hosts_without(host)));
      site.kill_agent(host);
      CHECK(site.containers_of(host) == pids);
      const auto acknowledged = client.acknowledged();
      site.wait_for("the client goes on without " + host, [&] { return client.acknowledged() > acknowledged; });
      site.start(host);
      site.wait_for_leader(site.hosts());
      wait_for_specified(site, specs);
      CHECK(site.containers_of(host) == pids);
      check_only_these_moved(before, histories_of(site), {});
    }
  finish(site, client, watch);
}
