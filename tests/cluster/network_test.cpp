// Cables that are cut, half cut, loose or thin: each host in a network namespace of its own.

#include <doctest/doctest.h>

#include <algorithm>

#include "tests/cluster/fault_plan.hpp"
#include "tests/cluster/recording_client.hpp"
#include "tests/cluster/site_watch.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// A running site on cables, with an application spread over its hosts, a client and a watch.
struct wired_site {
  site_processes site = site_processes::with_network(config::liveness_profile::balanced, 3);
  std::vector<config::application_spec> specs{simple_application("shop", {"sleep", "1000000"}, 3)};
  std::unique_ptr<copies_watch> watch;
  std::unique_ptr<recording_client> client;

  wired_site() {
    site.start_all();
    REQUIRE(site.apply(specs[0]).status == 201);
    wait_for_specified(site, specs);
    watch = std::make_unique<copies_watch>(site);
    client = std::make_unique<recording_client>(site.endpoints(site.hosts()));
  }

  site_network& network() { return site.network(); }
  std::string a_follower() const { return site.hosts_without(site.leader()).front(); }

  /// Two of three go on: they have a leader, take changes, and run everything.
  void require_others_go_on(const std::string& without) {
    const auto others = site.hosts_without(without);
    client->set_endpoints(site.endpoints(others));
    site.wait_for("the others run everything", [&] {
      const auto leader = site.leader();
      if (leader.empty() || leader == without)
        return false;
      const auto all = site.get<std::vector<actors::instance_view>>(leader, "/v1/instances");
      return all.size() == 3
             && std::all_of(all.begin(), all.end(), [&](const auto& x) { return x.state == "running" && x.host != without; });
    });
    const auto acknowledged = client->acknowledged();
    site.wait_for("the others take changes", [&] { return client->acknowledged() > acknowledged; });
  }

  /// After the cable is whole again: everybody follows one leader, exactly what was asked for runs, nothing is lost.
  void require_healed() {
    client->set_endpoints(site.endpoints(site.hosts()));
    site.wait_for_leader(site.hosts());
    site.wait_for("all hosts are up", [&] {
      return std::all_of(site.hosts().begin(), site.hosts().end(), [&](const auto& x) { return site.host(x).state == "up"; });
    });
    wait_for_specified(site, specs);
  }

  void finish() {
    client->stop();
    MESSAGE(client->acknowledged() << " changes acknowledged, " << client->refused() << " refused, " << client->unsure()
                                   << " unsure; the longest answer took " << client->longest().count() << " ms");
    site.wait_for_agreement(site.hosts());
    client->check(site, site.hosts());
    watch->check();
  }
};

/// False, with a word to who reads the output, where this machine has no network namespaces.
bool is_possible() {
  const auto why_not = site_network::why_not();
  if (!why_not.empty())
    MESSAGE("SKIPPED: " << why_not);
  return why_not.empty();
}

/// The host that is cut off says so within the limit and goes on running what it runs.
void require_alone(wired_site& x, const std::string& host) {
  const auto took = x.site.wait_for(host + " says that it has no quorum", [&] { return x.site.status(host).health == "no-quorum"; });
  MESSAGE(host << " said no-quorum " << took.count() << " ms after the others had gone on");
  const auto refused = x.site.apply(host, simple_application("alone", {"sleep", "1"}, 0));
  CHECK(refused.status == 503);
  CHECK(refused.took < 5s);
  CHECK_MESSAGE(refused.body.find("nothing was changed") != std::string::npos, refused.body);
}

} // namespace

TEST_CASE("a host that is cut off keeps its copy until it is back, the others go on, then exactly what was asked for runs") {
  if (!is_possible())
    return;
  wired_site x;
  for (const bool of_leader : {false, true}) {
    const auto host = of_leader ? x.site.leader() : x.a_follower();
    INFO(host << (of_leader ? std::string{", the leader"} : std::string{", a follower"}));
    const auto copies = x.site.containers_of(host);
    x.network().cut(host);
    x.require_others_go_on(host);
    require_alone(x, host);
    CHECK(x.site.containers_of(host) == copies);
    x.network().mend(host);
    x.require_healed();
    CHECK(x.site.call(x.site.some_host(), "GET", "/v1/applications/alone").status == 404);
  }
  x.finish();
}

TEST_CASE("a leader that hears and is not heard is replaced, and so is one that is heard and does not hear") {
  if (!is_possible())
    return;
  wired_site x;
  const auto mute = x.site.leader();
  INFO("mute: " << mute);
  x.network().mute(mute);
  x.require_others_go_on(mute);
  x.network().unmute(mute);
  x.require_healed();

  const auto deaf = x.site.leader();
  INFO("deaf: " << deaf);
  x.network().deafen(deaf);
  x.require_others_go_on(deaf);
  x.network().undeafen(deaf);
  x.require_healed();
  x.finish();
}

TEST_CASE("a cable that goes on and off loses nothing, and when it holds the site is as asked for") {
  if (!is_possible())
    return;
  wired_site x;
  fault_plan draw;
  const int flaps = number_from_environment("PRUNELLA_KILLS", 6);
  for (int flap = 0; flap < flaps; ++flap) {
    const auto& host = draw.one_of(x.site.hosts());
    x.network().cut(host);
    // Shorter and longer than an election and than the silence that makes a host down.
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds{100 + draw.below(1'500)};
    CHECK(eventually([&] { return std::chrono::steady_clock::now() > until; }));
    x.network().mend(host);
    const auto next = std::chrono::steady_clock::now() + std::chrono::milliseconds{draw.below(800)};
    CHECK(eventually([&] { return std::chrono::steady_clock::now() > next; }));
  }
  x.require_healed();
  x.finish();
}

TEST_CASE("over thin cables that lose what they cannot hold, changes are taken and no host is called down for long") {
  if (!is_possible())
    return;
  wired_site x;
  for (const auto& host : x.site.hosts())
    if (!x.network().slow_down(host, 512, 100)) {
      MESSAGE("SKIPPED: the kernel has no tbf");
      return;
    }
  const auto acknowledged = x.client->acknowledged();
  x.site.wait_for("fifty changes are acknowledged", [&] { return x.client->acknowledged() > acknowledged + 50; });
  for (const auto& host : x.site.hosts())
    x.network().speed_up(host);
  x.require_healed();
  x.finish();
}
