// Logs of a site of real hosts, asked of any of them.

#include <doctest/doctest.h>

#include <signal.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "actors/api/log_view.hpp"
#include "tests/cluster/site_processes.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// Counts, five times a second.
const std::vector<std::string> counting{"sh", "-c", "i=0; while true; do echo $i; i=$((i+1)); sleep 0.2; done"};

/// One replica on each of three hosts.
config::application_spec spread_application() {
  auto spec = simple_application("shop", counting, 3);
  spec.services[0].containers[0].resources.cpu_millis = 1'500; // of 2000
  return spec;
}

/// A client that follows all replicas at `host`, and checks that no line of a container is lost or comes twice.
struct follower {
  const site_processes& site;
  std::string host;
  std::string after;
  std::map<std::string, int> next; ///< the number each container says next
  std::vector<std::string> notes;

  std::size_t look(const std::string& wait = "2s") {
    const auto view = site.get<actors::logs_view>(host, "/v1/logs?of=shop&all-replicas=true&wait=" + wait + "&after=" + after);
    for (const auto& line : view.lines) {
      const auto number = std::stoi(line.text);
      if (const auto known = next.find(line.container); known != next.end())
        CHECK_MESSAGE(number == known->second, line.container);
      next[line.container] = number + 1;
    }
    if (!view.next.empty())
      after = view.next;
    notes = view.notes;
    return view.lines.size();
  }

  bool has_heard(int containers, int lines) {
    look();
    return std::count_if(next.begin(), next.end(), [&](const auto& x) { return x.second >= lines; }) == containers;
  }
};

} // namespace

TEST_CASE("every host of a site shows the logs of all replicas by time, and follows them without a line lost or twice") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(spread_application()).status == 201);
  site.wait_for_running(3);
  std::map<std::string, int> hosts;
  for (const auto& x : site.instances())
    ++hosts[x.host];
  CHECK(hosts.size() == 3);
  for (const auto& host : site.hosts()) {
    INFO(host);
    follower client{site, host, {}, {}, {}};
    site.wait_for("the client heard ten lines of each", [&] { return client.has_heard(3, 10); });
    CHECK(client.notes.empty());
    const auto view = site.get<actors::logs_view>(host, "/v1/logs?of=shop&all-replicas=true");
    CHECK(view.containers.size() == 3);
    CHECK(std::is_sorted(view.lines.begin(), view.lines.end(), [](const auto& a, const auto& b) { return a.at < b.at; }));
    const auto tail = site.get<actors::logs_view>(host, "/v1/logs?of=shop.main-2&tail=2");
    REQUIRE(tail.lines.size() >= 2);
    CHECK(tail.lines.size() <= 3);
    CHECK(tail.lines[0].container == "default.shop.main-2.one");
  }
  const auto first = site.get<actors::logs_view>("host-1", "/v1/logs?of=shop");
  CHECK(first.containers.size() == 1);
  REQUIRE(first.notes.size() == 1);
  CHECK(first.notes[0].find("3 replicas of main") != std::string::npos);
  CHECK(site.call("host-1", "GET", "/v1/logs?of=shp").problem().fix.find("shop") != std::string::npos);
}

TEST_CASE("a host without an agent is a sentence in the logs, the others go on, and its own go on where they were when it is back") {
  site_processes site{config::liveness_profile::patient}; // nothing moves meanwhile
  site.start_all();
  REQUIRE(site.apply(spread_application()).status == 201);
  site.wait_for_running(3);
  const auto lost = site.hosts_without(site.leader()).front();
  const auto other = site.hosts_without(lost).front();
  follower client{site, other, {}, {}, {}};
  site.wait_for("the client heard each", [&] { return client.has_heard(3, 3); });
  site.kill_agent(lost);
  const auto begin = std::chrono::steady_clock::now();
  client.look();
  CHECK(std::chrono::steady_clock::now() - begin < 8s);
  REQUIRE(client.notes.size() == 1);
  CHECK(client.notes[0].find(lost + " does not say what it keeps of these logs: ") == 0);
  const auto before = client.next;
  site.wait_for("the others went on", [&] {
    client.look();
    return std::count_if(client.next.begin(), client.next.end(), [&](const auto& x) { return x.second >= before.at(x.first) + 5; }) == 2;
  });
  site.start(lost);
  const auto there = client.next;
  site.wait_for("all went on", [&] {
    client.look();
    return client.notes.empty() && std::all_of(client.next.begin(), client.next.end(),
                                               [&](const auto& x) { return x.second >= there.at(x.first) + 5; });
  });
}

TEST_CASE("the command line prefixes the lines of several replicas, and follows until it is interrupted") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(spread_application()).status == 201);
  site.wait_for_running(3);
  const auto log = site.folder() / "follower.log";
  program following{{"logs", "shop", "--all-replicas", "-f", "--endpoint", site.url("host-2")}, log};
  site.wait_for("each replica was printed", [&] {
    const auto text = file_text(log);
    return text.find("shop.main-1 | 5\n") != std::string::npos && text.find("shop.main-2 | 5\n") != std::string::npos
           && text.find("shop.main-3 | 5\n") != std::string::npos;
  });
  CHECK(following.is_alive());
  following.signal(SIGINT);
  CHECK(following.wait() == 128 + SIGINT);
  const auto one = run_prunella({"logs", "shop.main-1", "--tail", "1", "--timestamps", "--endpoint", site.url("host-3")}, site.folder());
  CHECK(one.code == 0);
  CHECK(one.output.substr(0, 2) == "20"); // a year
  CHECK(one.output.find(" | ") == std::string::npos);
}

TEST_CASE("what an instance printed on the host that it left is kept there, and shown with that of its new one by any host") {
  site_processes site;
  site.start_all();
  REQUIRE(site.apply(simple_application("shop", {"sh", "-c", "echo here is $PRUNELLA_HOST; exec sleep 1000"}, 1)).status == 201);
  site.wait_for_running(1);
  const std::string instance = "default.shop.main-1";
  const auto first = site.instance(instance).host;
  site.wait_for("its line is in its log", [&] { return site.get<actors::logs_view>(first, "/v1/logs?of=shop.main-1").lines.size() == 1; });
  site.kill_host(first);
  std::string second;
  site.wait_for("it runs elsewhere", [&] {
    const auto x = site.instance(instance);
    second = x.host;
    return x.state == "running" && second != first;
  });
  site.start(first);
  site.wait_for_agreement(site.hosts()); // the returned one knows where it runs now
  const auto all_of = [&](const std::string& host) {
    std::vector<std::string> lines;
    for (const auto& line : site.get<actors::logs_view>(host, "/v1/logs?of=shop.main-1&all-hosts=true").lines)
      lines.push_back(line.host + ": " + line.text);
    return lines;
  };
  const std::vector<std::string> both{first + ": here is " + first, second + ": here is " + second};
  for (const auto& host : site.hosts())
    site.wait_for(host + " shows both", [&] { return all_of(host) == both; });
  const auto now = site.get<actors::logs_view>(first, "/v1/logs?of=shop.main-1");
  REQUIRE(now.lines.size() == 1);
  CHECK(now.lines[0].text == "here is " + second);
  const auto shown = run_prunella({"logs", "shop.main-1", "--all-hosts", "--endpoint", site.url(first)}, site.folder());
  CHECK(shown.code == 0);
  CHECK(shown.output == "shop.main-1@" + first + " | here is " + first + "\nshop.main-1@" + second + " | here is " + second + "\n");
}
