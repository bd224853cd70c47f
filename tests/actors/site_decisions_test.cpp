#include <doctest/doctest.h>

#include <caf/sec.hpp>

#include "actors/site/host_liveness.hpp"
#include "actors/site/membership.hpp"
#include "actors/site/observations.hpp"
#include "actors/site/site_errors.hpp"
#include "actors/site/site_views.hpp"
#include "net/link_errors.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "tests/actors/site_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using std::chrono::milliseconds;

namespace {

const runtime::instant start{};

struct watched_site {
  small_site site{{host("host-1"), host("host-2"), host("host-3")}};
  actors::host_liveness liveness{runtime::figures_of(config::liveness_profile::balanced), "host-1"};

  int awake_until = 0; ///< ms

  explicit watched_site(const std::map<std::string, runtime::instant>& last_heard = {}) {
    liveness.watch(site.state.hosts, last_heard, start);
  }

  void beat(const std::string& id, int from_ms, int to_ms) {
    for (int at = from_ms; at <= to_ms; at += 100)
      liveness.heartbeat(id, start + milliseconds{at});
  }

  /// With the pulse of a leader that was awake all the while.
  std::vector<actors::set_host_state> judge(int at_ms) {
    for (; awake_until < at_ms; awake_until += 100)
      liveness.heartbeat("host-1", start + milliseconds{awake_until});
    return judge_without_pulse(at_ms);
  }

  std::vector<actors::set_host_state> judge_without_pulse(int at_ms) const {
    return liveness.judge(site.state.hosts, start + milliseconds{at_ms});
  }
};

actors::instance_report running(const std::string& instance, std::uint64_t generation) {
  actors::instance_report report;
  report.instance = instance;
  report.generation = generation;
  report.phase = actors::instance_phase::running;
  report.pid = 42;
  return report;
}

actors::host_heartbeat beat_of(const actors::report_log& log, std::uint64_t confirmed, std::uint64_t incarnation = 1) {
  actors::host_heartbeat beat;
  beat.host = "host-1";
  beat.incarnation = incarnation;
  log.fill(beat, confirmed);
  return beat;
}

} // namespace

TEST_CASE("a host that beats is up, and one that stops is down after the profile's time, not before") {
  watched_site x;
  x.beat("host-2", 100, 2'000);
  x.beat("host-3", 100, 3'000);
  CHECK(x.judge(2'999).empty());
  const auto verdicts = x.judge(3'000);
  REQUIRE(verdicts.size() == 1);
  CHECK(verdicts[0].host == "host-2");
  CHECK_FALSE(verdicts[0].up);
  CHECK(verdicts[0].reason == "no heartbeat for 1s");
}

TEST_CASE("the leader never declares its own host down") {
  watched_site x;
  for (const auto& verdict : x.judge(60'000))
    CHECK(verdict.host != "host-1");
  CHECK(x.judge(60'000).size() == 2);
}

TEST_CASE("a new leader grants a full period, except to the host it knows was silent before") {
  watched_site x{{{"host-2", start - milliseconds{700}}}};
  CHECK(x.judge(299).empty());
  REQUIRE(x.judge(300).size() == 1);
  CHECK(x.judge(300)[0].host == "host-2");
  CHECK(x.judge(1'000).size() == 2);
}

TEST_CASE("a host is up again with the third heartbeat in a row, not with the second") {
  watched_site x;
  x.site.run(actors::set_host_state{"host-2", false, "silent"});
  x.beat("host-3", 100, 5'200);
  x.liveness.heartbeat("host-2", start + milliseconds{5'000});
  x.liveness.heartbeat("host-2", start + milliseconds{5'100});
  CHECK(x.judge(5'150).empty());
  x.liveness.heartbeat("host-2", start + milliseconds{5'200});
  REQUIRE(x.judge(5'250).size() == 1);
  CHECK(x.judge(5'250)[0].up);
}

TEST_CASE("the next deadline is when the first host would be suspected") {
  watched_site x;
  x.beat("host-2", 100, 500);
  x.beat("host-3", 100, 900);
  CHECK(x.judge(900).empty());
  CHECK(x.liveness.next_deadline(x.site.state.hosts, start + milliseconds{900}) == start + milliseconds{1'500});
}

TEST_CASE("a leader that stood still judges nobody by what it did not hear, and from its next pulse on grants a full period") {
  watched_site x;
  x.beat("host-2", 100, 3'000);
  x.beat("host-3", 100, 3'000);
  CHECK(x.judge(3'000).empty()); // its last pulse is at 2900
  const auto hosts = x.site.state.hosts;
  CHECK(x.judge_without_pulse(8'000).empty());
  CHECK(x.liveness.next_deadline(hosts, start + milliseconds{8'000}) == start + milliseconds{8'100}); // not at once, again and again
  x.liveness.heartbeat("host-1", start + milliseconds{8'000});
  x.liveness.heartbeat("host-3", start + milliseconds{8'010}); // what waited in the socket
  x.awake_until = 8'100;
  CHECK(x.judge(8'999).empty());
  CHECK(x.liveness.next_deadline(hosts, start + milliseconds{8'999}) == start + milliseconds{9'000});
  const auto verdicts = x.judge(9'000);
  REQUIRE(verdicts.size() == 1);
  CHECK(verdicts[0].host == "host-2");
}

TEST_CASE("a pulse that is missing for half of what makes a host down delays nothing") {
  watched_site x;
  x.beat("host-2", 100, 2'000);
  x.beat("host-3", 100, 3'000);
  CHECK(x.judge(2'501).empty()); // its last pulse is at 2500
  CHECK(x.judge_without_pulse(3'000).size() == 1);
}

TEST_CASE("a host that was down stays down while the leader stood still") {
  watched_site x;
  x.site.run(actors::set_host_state{"host-2", false, "silent"});
  x.beat("host-2", 100, 500); // and is gone again
  x.beat("host-3", 100, 3'000);
  CHECK(x.judge(3'000).empty());
  CHECK(x.judge_without_pulse(8'000).empty());
}

TEST_CASE("reports reach the leader as differences, and whole when it knows none") {
  actors::report_log log;
  actors::observations seen;
  log.put(running("default.a.web-1", 1));
  log.put(running("default.a.web-2", 1));
  auto confirmed = seen.take(beat_of(log, 0));
  CHECK(confirmed == log.revision());
  CHECK(seen.of_host("host-1").size() == 2);

  CHECK_FALSE(log.put(running("default.a.web-1", 1))); // says the same
  log.put(running("default.a.web-1", 2));
  log.remove("default.a.web-2");
  const auto beat = beat_of(log, confirmed);
  CHECK(beat.reports.size() == 1);
  CHECK(beat.gone == std::vector<std::string>{"default.a.web-2"});
  confirmed = seen.take(beat);
  CHECK(confirmed == log.revision());
  CHECK(seen.find("host-1", "default.a.web-1")->generation == 2);
  CHECK(seen.find("host-1", "default.a.web-2") == nullptr);
}

TEST_CASE("differences to something the leader does not hold are not mixed in, it asks for all") {
  actors::report_log log;
  actors::observations seen;
  log.put(running("default.a.web-1", 1));
  const auto first = log.revision();
  log.put(running("default.a.web-2", 1));
  CHECK(seen.take(beat_of(log, first)) == 0); // a new leader
  CHECK(seen.of_host("host-1").empty());
  CHECK(seen.take(beat_of(log, 0)) == log.revision());
  CHECK(seen.take(beat_of(log, first, 2)) == 0); // the agent was restarted
}

TEST_CASE("a host whose reports together are above the limit has none, whatever it sends them in") {
  actors::report_log log;
  actors::observations seen;
  std::uint64_t confirmed = 0;
  const auto report = [&](std::size_t i, std::size_t bytes) {
    auto x = running("default.a.web-" + std::to_string(i), 1);
    x.reason = std::string(bytes, 'x');
    log.put(x);
    confirmed = seen.take(beat_of(log, confirmed));
  };
  constexpr std::size_t parts = 16;
  for (std::size_t i = 1; i < parts; ++i)
    report(i, actors::max_report_bytes / parts);
  report(1, actors::max_report_bytes / parts); // again the same one: it counts once
  CHECK(seen.of_host("host-1").size() == parts - 1);
  CHECK(confirmed == log.revision());
  report(parts, actors::max_report_bytes / parts);
  CHECK(seen.of_host("host-1").empty());
  CHECK(confirmed == 0);
}

TEST_CASE("a lost answer only repeats the difference") {
  actors::report_log log;
  actors::observations seen;
  log.put(running("default.a.web-1", 1));
  const auto before = seen.take(beat_of(log, 0));
  log.put(running("default.a.web-2", 1));
  seen.take(beat_of(log, before)); // its answer is lost
  log.put(running("default.a.web-3", 1));
  const auto known = seen.take(beat_of(log, before));
  CHECK(seen.take(beat_of(log, known)) == log.revision());
  CHECK(seen.of_host("host-1").size() == 3);
}

TEST_CASE("1, 3 or 5 controllers, filled up in order of id, never more than asked for") {
  const auto controllers = [](std::vector<config::host_spec> hosts) { return actors::controllers_of(hosts).size(); };
  CHECK(controllers({host("a")}) == 1);
  CHECK(controllers({host("a"), host("b")}) == 1);
  CHECK(controllers({host("a"), host("b"), host("c")}) == 3);
  CHECK(controllers({host("a"), host("b"), host("c"), host("d")}) == 3);
  CHECK(controllers({host("a"), host("b"), host("c"), host("d"), host("e"), host("f")}) == 5);
  auto no = host("a");
  no.controller = config::controller_choice::no;
  CHECK(actors::controllers_of({no, host("b"), host("c")}) == std::vector<std::string>{"b"});
  const auto members = actors::initial_membership({host("a"), host("b"), host("c"), host("d")});
  CHECK(members.voters.size() == 3);
  CHECK(members.learners == std::vector<storage::member_id>{actors::member_id_of("d")});
  CHECK(actors::host_of(actors::member_id_of("b"), {host("a"), host("b")}) == "b");
}

TEST_CASE("instances show what their host reports of the present generation, and why they wait") {
  small_site site{{host("host-1"), host("host-2")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  actors::observations seen;
  CHECK(actors::instance_views(site.state, seen, {})[0].reason == "waiting to be placed");
  site.settle();
  CHECK(actors::instance_views(site.state, seen, {})[0].reason == "waiting for host-1 to take it up");
  actors::report_log log;
  log.put(running("default.popcorn.web-1", 1));
  log.put(running("default.old.web-1", 4));
  seen.take(beat_of(log, 0));
  const auto rows = actors::instance_views(site.state, seen, {});
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].name == "default.old.web-1");
  CHECK(rows[0].state == "stopping");
  CHECK(rows[1].state == "running");
  CHECK(rows[1].pid == 42);
  CHECK(actors::instance_views(site.state, seen, "default.popcorn").size() == 1);
  const auto applications = actors::application_views(site.state, seen, {});
  CHECK(applications[0].state == "running");
  CHECK(applications[0].services[0].running == 1);

  actors::status_view status;
  status.quorum = true;
  actors::fill_status(status, site.state, seen);
  CHECK(status.health == "healthy");
  CHECK(status.instances == 1);
  site.run(actors::set_host_state{"host-1", false, "silent"});
  actors::fill_status(status, site.state, seen);
  CHECK(status.health == "degraded");
  CHECK(status.reason == "host-1 is down: silent");
}

TEST_CASE("a host without a leader knows of itself only, and says of the others what was decided last") {
  small_site site{{host("host-1"), host("host-2"), host("host-3")}};
  site.run(actors::set_host_state{"host-2", false, "silent"});
  const auto rows = actors::host_views(site.state, {}, "host-1");
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].state == "up");
  CHECK(rows[0].reason == "");
  CHECK(rows[1].state == "unknown");
  CHECK(rows[1].reason == "no leader answers; it was down when the site last decided");
  CHECK(rows[2].state == "unknown");
  CHECK(rows[2].reason == "no leader answers; it was up when the site last decided");
  actors::status_view status;
  actors::fill_status(status, site.state, {}, "host-1");
  CHECK(status.hosts_up == 1);
  CHECK(status.hosts == 3);
  CHECK(status.health == "no-quorum");
  CHECK(actors::host_views(site.state, "host-1")[2].state == "up");
}

TEST_CASE("a request that failed is known not to be carried out only where its error says so") {
  using actors::may_be_done;
  CHECK_FALSE(may_be_done(actors::make_site_error(actors::site_errc::not_leader, "x")));
  CHECK_FALSE(may_be_done(actors::make_site_error(actors::site_errc::starting, "x")));
  CHECK_FALSE(may_be_done(runtime::consensus_errc::dropped));
  CHECK_FALSE(may_be_done(runtime::consensus_errc::not_leader));
  CHECK_FALSE(may_be_done(net::link_errc::host_unreachable));
  CHECK_FALSE(may_be_done(caf::sec::invalid_argument));
  CHECK(may_be_done(actors::make_site_error(actors::site_errc::unconfirmed, "x")));
  CHECK(may_be_done(runtime::consensus_errc::outcome_unknown));
  CHECK(may_be_done(net::link_errc::link_lost));
  CHECK(may_be_done(net::link_errc::timeout));
  CHECK(may_be_done(caf::sec::request_timeout));
  CHECK(may_be_done(caf::sec::request_receiver_down));
}

TEST_CASE("an application is failed when an instance gave up everywhere, and says which and why") {
  small_site site{{host("host-1")}};
  site.run(actors::put_application{application("popcorn", {service("web", 1)})});
  site.settle();
  site.gave_up["default.popcorn.web-1"] = {"host-1", 1, "exited with code 3"};
  site.settle();
  const auto row = actors::application_views(site.state, {}, {})[0];
  CHECK(row.state == "failed");
  CHECK(row.reason.rfind("default.popcorn.web-1: gave up on host-1: exited with code 3", 0) == 0);
}
