// Cables that are cut, half cut, loose or thin: each host in a network namespace of its own.

#include <doctest/doctest.h>

#include "tests/cluster/fault_plan.hpp"
#include "tests/cluster/wired_site.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

void require_no_quorum(wired_site& x, const std::string& host) {
  const auto took = x.site.wait_for(host + " says that it has no quorum", [&] { return x.site.status(host).health == "no-quorum"; });
  MESSAGE(host << " said no-quorum " << took.count() << " ms after its cable was cut");
  CHECK(took < 5s);
}

void require_refusal(wired_site& x, const std::string& host) {
  const auto refused = x.site.apply(host, simple_application("alone", {"sleep", "1"}, 0));
  CHECK(refused.status == 503);
  CHECK(refused.took < 5s);
  CHECK_MESSAGE(refused.body.find("nothing was changed") != std::string::npos, refused.body);
}

} // namespace

TEST_CASE("a host that is cut off keeps its copy until it is back, the others go on, then exactly what was asked for runs") {
  if (!wired_site::is_possible())
    return;
  wired_site x;
  for (const bool of_leader : {false, true}) {
    const auto host = of_leader ? x.site.leader() : x.a_follower();
    INFO(host << (of_leader ? std::string{", the leader"} : std::string{", a follower"}));
    const auto copies = x.site.containers_of(host);
    x.network().cut(host);
    require_no_quorum(x, host);
    x.require_others_go_on(host);
    require_refusal(x, host);
    CHECK(x.site.containers_of(host) == copies);
    x.network().mend(host);
    x.require_healed();
    CHECK(x.site.call(x.site.some_host(), "GET", "/v1/applications/alone").status == 404);
  }
  x.finish();
}

TEST_CASE("a leader that hears and is not heard is replaced, and so is one that is heard and does not hear") {
  if (!wired_site::is_possible())
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
  if (!wired_site::is_possible())
    return;
  wired_site x;
  fault_plan draw;
  const int flaps = number_from_environment("PRUNELLA_KILLS", 4);
  for (int flap = 0; flap < flaps; ++flap) {
    const auto& host = draw.one_of(x.site.hosts());
    x.network().cut(host);
    // Shorter and longer than an election and than the silence that makes a host down.
    last_for(std::chrono::milliseconds{100 + draw.below(1'500)});
    x.network().mend(host);
    last_for(std::chrono::milliseconds{draw.below(800)});
  }
  x.require_healed();
  x.finish();
}

TEST_CASE("a cable that loses a third of the time for a moment costs no acknowledged change, and no host is lost over it") {
  if (!wired_site::is_possible())
    return;
  wired_site x;
  const auto host = x.a_follower();
  const auto generations = [&] {
    std::map<std::string, std::uint64_t> result;
    for (const auto& instance : x.site.instances())
      result[instance.name] = instance.generation;
    return result;
  };
  const auto before = generations();
  for (int times = 0; times < 25; ++times) {
    x.network().cut(host);
    last_for(40ms);
    x.network().mend(host);
    last_for(80ms);
  }
  x.require_healed();
  CHECK(generations() == before);
  x.finish();
}

TEST_CASE("over thin cables whose queues overflow, changes are taken, and the site is as asked for") {
  if (!wired_site::is_possible())
    return;
  wired_site x;
  for (const auto& host : x.site.hosts())
    if (!x.network().slow_down(host, 128, 50)) {
      MESSAGE("SKIPPED: the kernel has no tbf");
      return;
    }
  const auto acknowledged = x.client->acknowledged();
  const auto took = x.site.wait_for("twenty changes are acknowledged", [&] { return x.client->acknowledged() > acknowledged + 20; });
  MESSAGE("twenty changes over 128 kbit/s took " << took.count() << " ms");
  for (const auto& host : x.site.hosts())
    x.network().speed_up(host);
  x.require_healed();
  x.finish();
}
