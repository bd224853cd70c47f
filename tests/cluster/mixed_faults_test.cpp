// Several faults at once, drawn from a seed: lost hosts, dead and paused agents, crashed containers, cables that are cut or
// lose one direction. Then all is mended, and the site must be as asked for, with nothing lost.
// PRUNELLA_KILLS=N makes the series longer, PRUNELLA_FAULT_SEED replays one.

#include <doctest/doctest.h>

#include <signal.h>

#include <algorithm>
#include <array>
#include <set>

#include "tests/cluster/fault_plan.hpp"
#include "tests/cluster/wired_site.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

enum class fault { lost_host, dead_agent, paused_agent, crashed_container, cut, mute, deaf };

constexpr std::array<const char*, 7> names{"lost host", "dead agent", "paused agent", "crashed container", "cut", "mute", "deaf"};

/// The faults of one round, and how they are mended.
class trouble {
public:
  trouble(wired_site& site, fault_plan& draw) : x_{site}, draw_{draw} {}

  /// One fault per host: what a second one on top of it would mean is not clear.
  std::string strike() {
    const auto host = draw_.one_of(x_.site.hosts());
    const auto what = static_cast<fault>(draw_.below(names.size()));
    if (!struck_.emplace(host, what).second)
      return {};
    switch (what) {
    case fault::lost_host: x_.site.kill_host(host); break;
    case fault::dead_agent: x_.site.kill_agent(host); break;
    case fault::paused_agent: x_.site.pause(host); break;
    case fault::crashed_container: crash(host); break;
    case fault::cut: x_.network().cut(host); break;
    case fault::mute: x_.network().mute(host); break;
    case fault::deaf: x_.network().deafen(host); break;
    }
    return std::string{names[static_cast<std::size_t>(what)]} + ' ' + host + ' ';
  }

  void mend() {
    // Cables first: those of mute and deaf hosts share entries, and a mended one mends both.
    for (const auto& [host, what] : struck_) {
      if (what == fault::cut)
        x_.network().mend(host);
      if (what == fault::mute)
        x_.network().unmute(host);
      if (what == fault::deaf)
        x_.network().undeafen(host);
    }
    for (const auto& [host, what] : struck_) {
      if (what == fault::paused_agent)
        x_.site.resume(host);
      if (what == fault::lost_host || what == fault::dead_agent)
        x_.site.start(host);
    }
  }

private:
  void crash(const std::string& host) {
    for (const auto& [container, pid] : x_.site.containers_of(host))
      kill(pid, SIGKILL);
  }

  wired_site& x_;
  fault_plan& draw_;
  std::map<std::string, fault> struck_;
};

} // namespace

TEST_CASE("whatever strikes up to three hosts at once, when it is mended the site is as asked for and nothing is lost") {
  if (!wired_site::is_possible())
    return;
  const int rounds = number_from_environment("PRUNELLA_KILLS", 2);
  wired_site x;
  fault_plan draw;
  std::map<std::string, std::uint64_t> generations;
  for (int round = 1; round <= rounds; ++round) {
    trouble now{x, draw};
    std::string struck;
    for (auto times = 1 + draw.below(4); times > 0; --times) {
      struck += now.strike();
      last_for(std::chrono::milliseconds{draw.below(900)});
    }
    const auto lasting = std::chrono::milliseconds{draw.below(2'500)};
    MESSAGE("round " << round << ": " << struck << "for " << lasting.count() << " ms");
    last_for(lasting);
    now.mend();
    x.require_healed();
    const auto acknowledged = x.client->acknowledged();
    x.site.wait_for("the client goes on", [&] { return x.client->acknowledged() > acknowledged; });
    for (const auto& instance : x.site.instances()) {
      CHECK_MESSAGE(instance.generation >= generations[instance.name], instance.name << " went back");
      generations[instance.name] = instance.generation;
    }
  }
  x.finish();
}
