// When the leader decides: not before it knows what was decided, one decision at a time, and again whenever something that a
// plan is made of has changed. The log is a fake that answers when the test says so.

#include <doctest/doctest.h>

#include <caf/response_promise.hpp>

#include "actors/messages.hpp"
#include "actors/site/site_actor.hpp"
#include "actors/site/site_command_bytes.hpp"
#include "config/json.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "tests/actors/site_fixture.hpp"
#include "tests/runtime/virtual_time.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;
using test::small_site;

namespace {

/// To the fake log: answer the oldest request of the kind.
struct answer_barrier {
  std::uint64_t index = 0;

  PRUNELLA_FIELDS(answer_barrier, index)
};

struct answer_proposal {
  runtime::command_applied answer;

  PRUNELLA_FIELDS(answer_proposal, answer)
};

struct led_site {
  virtual_time world;
  small_site site{{test::host("host-1"), test::host("host-2"), test::host("host-3")}};
  std::shared_ptr<actors::state_cell> cell = std::make_shared<actors::state_cell>();
  std::vector<caf::response_promise> barriers;
  std::vector<std::pair<actors::site_command, caf::response_promise>> proposals; ///< unanswered
  caf::actor consensus = world.own(world.system().spawn([this](caf::event_based_actor* self) -> caf::behavior {
    return {
      [this, self](const runtime::read_barrier&) -> caf::result<runtime::barrier_passed> {
        barriers.push_back(self->make_response_promise());
        return caf::delegated<runtime::barrier_passed>{};
      },
      [this, self](const runtime::propose_command& x) -> caf::result<runtime::command_applied> {
        actors::site_command command;
        REQUIRE(actors::decode(x.data, command));
        proposals.emplace_back(command, self->make_response_promise());
        return caf::delegated<runtime::command_applied>{};
      },
      [this](const answer_barrier& x) {
        barriers.front().deliver(runtime::barrier_passed{x.index});
        barriers.erase(barriers.begin());
      },
      [this](const answer_proposal& x) {
        auto promise = proposals.front().second;
        proposals.erase(proposals.begin());
        promise.deliver(x.answer);
      },
    };
  }));
  caf::actor leader;
  std::uint64_t revision = 0;

  led_site() {
    publish();
    actors::site_actor_options options;
    options.host = "host-1";
    options.state = cell;
    options.consensus = [this] { return consensus; };
    options.figures = runtime::figures_of(config::liveness_profile::balanced);
    options.clock = [this] { return site.now + std::chrono::duration_cast<std::chrono::milliseconds>(world.elapsed()).count(); };
    leader = world.own(actors::spawn_site(world.self.ptr(), options));
    world.settle();
  }

  void publish() { cell->set(std::make_shared<const actors::site_state>(site.state)); }

  /// Somebody else's command was applied.
  template <class Body>
  void apply(Body body) {
    site.run(std::move(body));
    publish();
    world.self->send(leader, actors::state_applied{site.index});
    world.settle();
  }

  void pass_barrier() {
    REQUIRE(barriers.size() == 1);
    world.self->send(consensus, answer_barrier{site.index});
    world.settle();
  }

  /// Applies the oldest proposal and answers it.
  void answer() {
    REQUIRE(!proposals.empty());
    const auto applied = actors::apply(site.state, proposals.front().first, ++site.index);
    publish();
    world.self->send(consensus, answer_proposal{{site.index, actors::encode(applied.outcome)}});
    world.settle();
  }

  void beat(const std::string& host, std::vector<actors::instance_report> reports = {}) {
    actors::host_heartbeat x;
    x.host = host;
    x.incarnation = 1;
    x.has_reports = true;
    x.since_revision = 0;
    x.revision = ++revision;
    x.reports = std::move(reports);
    x.carried_out = site.index;
    world.self->send(leader, x);
    world.settle();
  }

  void pass_time(std::chrono::milliseconds time) {
    for (auto gone = 0ms; gone < time; gone += 100ms) {
      for (const auto* host : {"host-1", "host-2", "host-3"})
        beat(host);
      world.advance(100ms);
    }
  }
};

const auto shop = test::application("shop", {test::service("web", 1)});
const std::string web = "default.shop.web-1";

} // namespace

TEST_CASE("nothing is decided before everything that was committed is applied here") {
  led_site x;
  x.apply(actors::put_application{shop});
  x.beat("host-2");
  x.world.advance(3s); // the other hosts are silent meanwhile
  CHECK(x.proposals.empty());
  x.pass_barrier();
  CHECK(x.proposals.size() == 1);
}

TEST_CASE("the next decision is made when the last one is applied, not before, whatever comes in between") {
  led_site x;
  x.pass_barrier();
  x.apply(actors::put_application{shop});
  REQUIRE(x.proposals.size() == 1);
  x.apply(actors::put_application{test::application("other", {test::service("web", 1)})});
  x.world.advance(3s); // host-2 and host-3 would be declared down now
  x.beat("host-1");
  CHECK(x.proposals.size() == 1);
  x.answer();
  CHECK(x.proposals.size() == 1);
}

TEST_CASE("a long plan is proposed portion by portion, and made anew when something happens in between") {
  led_site x;
  x.pass_barrier();
  x.apply(actors::put_application{test::application("shop", {test::service("web", 2'000, {1, 1})})});
  const auto changes = [&] { return std::get<actors::change_assignments>(x.proposals.at(0).first.body).changes; };
  CHECK(changes()[0].instance == "default.shop.web-1");
  x.answer();
  REQUIRE(changes().size() == 500);
  CHECK(changes()[0].instance == "default.shop.web-501");
  x.apply(actors::scale_service{"default.shop", "web", 100}); // before the second portion, and the third is no longer wanted
  x.answer();
  REQUIRE(changes().size() == 500);
  CHECK(changes()[0].remove);
}

TEST_CASE("a settled site decides nothing while time passes and heartbeats come") {
  led_site x;
  x.pass_barrier();
  x.apply(actors::put_application{shop});
  x.answer();
  x.pass_time(60s);
  CHECK(x.proposals.empty());
}

TEST_CASE("an instance that gave up is placed as soon as its host reports it no more, and again when the time to avoid its only host is over") {
  led_site x;
  for (const auto* host : {"host-2", "host-3"})
    x.site.run(actors::set_host_state{host, false, "silent"});
  x.publish();
  x.pass_barrier();
  x.apply(actors::put_application{shop});
  x.answer();
  REQUIRE(x.site.host_of(web) == "host-1");
  actors::instance_report failed;
  failed.instance = web;
  failed.generation = 1;
  failed.gave_up = true;
  failed.reason = "exited with code 3";
  x.beat("host-1", {failed});
  REQUIRE(x.proposals.size() == 1);
  x.answer();
  CHECK(x.site.host_of(web) == "host-1");
  CHECK(x.proposals.empty());
  x.beat("host-1");
  REQUIRE(x.proposals.size() == 1);
  x.answer();
  CHECK(x.site.host_of(web).empty());
  x.world.advance(29s);
  CHECK(x.proposals.empty());
  x.world.advance(2s);
  REQUIRE(x.proposals.size() == 1);
  x.answer();
  CHECK(x.site.host_of(web) == "host-1");
}

TEST_CASE("an instance that ended is decided to have, once, and is not started again when its host remembers nothing of it or is lost") {
  led_site x;
  x.publish();
  x.pass_barrier();
  auto once = shop;
  once.services[0].restart.type = config::restart_type::transient;
  x.apply(actors::put_application{once});
  x.answer();
  const auto host = x.site.host_of(web);
  actors::instance_report done;
  done.instance = web;
  done.generation = 1;
  done.phase = actors::instance_phase::finished;
  done.reason = "main exited with code 0";
  x.beat(host, {done});
  REQUIRE(x.proposals.size() == 1);
  x.answer();
  CHECK(x.site.state.assignments.at(web).ended == actors::instance_end::finished);
  x.beat(host, {done});
  x.beat(host);
  CHECK(x.proposals.empty());
  x.apply(actors::set_host_state{host, false, "silent"});
  x.world.advance(200ms);
  for (const auto& [proposed, promise] : x.proposals)
    CHECK_FALSE(std::holds_alternative<actors::change_assignments>(proposed.body));
  CHECK(x.site.host_of(web) == host);
}

TEST_CASE("a status is told anew when a report changed, and when the state did") {
  led_site x;
  x.pass_barrier();
  x.apply(actors::put_application{shop});
  x.answer();
  const auto status = [&] {
    const auto answer = x.world.ask<actors::status_view>(x.leader, 1s, actors::status_request{});
    REQUIRE(answer);
    return *answer;
  };
  CHECK(status().instances_running == 0);
  actors::instance_report runs;
  runs.instance = web;
  runs.generation = 1;
  runs.phase = actors::instance_phase::running;
  x.beat(x.site.host_of(web), {runs});
  CHECK(status().instances_running == 1);
  x.apply(actors::put_application{test::application("other", {test::service("web", 2)})});
  CHECK(status().applications == 2);
}
