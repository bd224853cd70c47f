#include <doctest/doctest.h>

#include <optional>

#include "actors/host/host_reporter.hpp"
#include "actors/site/leadership_actor.hpp"
#include "tests/actors/report_fixture.hpp"
#include "tests/runtime/virtual_time.hpp"

using namespace prunella;

namespace {

struct tick {
  bool now = true;

  PRUNELLA_FIELDS(tick, now)
};

/// A host's reporter beside a leader that answers what the test wants.
struct reporting {
  explicit reporting(std::function<std::uint64_t(const actors::host_heartbeat&)> confirm) {
    const auto site = world.own(world.system().spawn([this, confirm](caf::event_based_actor*) {
      return caf::behavior{[this, confirm](const actors::host_heartbeat& x) {
        heartbeats.push_back(x);
        actors::heartbeat_answer answer;
        answer.confirmed_revision = confirm(x);
        return answer;
      }};
    }));
    const auto leader = std::make_shared<actors::leadership_cell>();
    actors::leadership value;
    value.leader = "host-2";
    leader->set(value);
    host = world.own(world.system().spawn([this, site, leader](caf::event_based_actor* self) {
      reporter.emplace(self, actors::host_reporter_options{
                               "host-1", 1, leader, [site](const std::string&, const std::string&) { return site; },
                               runtime::figures_of(config::liveness_profile::balanced),
                               [this] { return offer; }});
      return caf::behavior{[this](const actors::instance_report& x) { reporter->put(x); },
                           [this](const tick&) { reporter->send(); },
                           [this](const actors::leader_changed&) { reporter->on_leader_changed(); }};
    }));
    world.settle();
  }

  std::size_t sent_by(const std::function<void()>& step) {
    const auto before = heartbeats.size();
    step();
    world.settle();
    return heartbeats.size() - before;
  }

  actors::host_offer offer;
  tests::virtual_time world;
  std::vector<actors::host_heartbeat> heartbeats;
  std::optional<actors::host_reporter> reporter;
  caf::actor host;
};

} // namespace

TEST_CASE("a leader that forgets every report hears it once per heartbeat, not in a circle") {
  reporting at([](const actors::host_heartbeat&) { return std::uint64_t{0}; });
  CHECK(at.sent_by([&] { caf::anon_send(at.host, test::running("default.a.web-1", 1)); }) == 1);
  for (int i = 0; i < 3; ++i)
    CHECK(at.sent_by([&] { caf::anon_send(at.host, tick{}); }) == 1);
  CHECK(at.heartbeats.back().reports.size() == 1);
}

TEST_CASE("texts about drivers go along until a leader has confirmed them, when they change, and to one that forgot") {
  std::uint64_t confirmed = 0;
  reporting at([&](const actors::host_heartbeat& x) { return confirmed = x.revision; });
  const auto beat = [&] {
    at.sent_by([&] { caf::anon_send(at.host, tick{}); });
    return at.heartbeats.back().offer;
  };
  CHECK(beat().drivers.empty()); // an engine that has not told what it is
  at.offer = {{config::driver_kind::engine}, {}, {{"engine (Docker 20.10.24)"}, {}}};
  CHECK(beat() == at.offer);
  CHECK(beat().software == actors::host_software{});
  CHECK(beat().drivers == at.offer.drivers); // by these it places
  at.offer.software.drivers = {"engine (Docker 28.0.1)"};
  CHECK(beat() == at.offer);
  CHECK(beat().software == actors::host_software{});
  at.sent_by([&] { caf::anon_send(at.host, actors::leader_changed{}); });
  CHECK(at.heartbeats.back().offer == at.offer);
}

TEST_CASE("reports that need several heartbeats follow each other at once") {
  reporting at([](const actors::host_heartbeat& x) { return x.revision; });
  auto report = test::running("default.a.web-1", 1);
  report.reason = std::string(1000, 'r');
  const auto sent = at.sent_by([&] {
    for (int i = 0; i < 1000; ++i) {
      report.instance = "default.a.web-" + std::to_string(i);
      caf::anon_send(at.host, report);
    }
  });
  CHECK(sent > 3); // 1 MB, at most 256 KiB at a time
  CHECK(at.heartbeats.back().revision == at.heartbeats.back().since_revision + at.heartbeats.back().reports.size());
  CHECK(at.sent_by([&] { caf::anon_send(at.host, tick{}); }) == 1);
  CHECK(at.heartbeats.back().reports.empty()); // the leader holds all
}
