#include <doctest/doctest.h>

#include <caf/sec.hpp>

#include "actors/site/host_contacts.hpp"
#include "actors/site/host_liveness.hpp"
#include "actors/site/membership.hpp"
#include "actors/site/site_errors.hpp"
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

  void beat(const std::string& id, int from_ms, int to_ms, int every_ms = 100) {
    for (int at = from_ms; at <= to_ms; at += every_ms)
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
  CHECK(x.liveness.next_deadline(hosts, start + milliseconds{8'000}) == start + milliseconds{8'125}); // not at once, again and again
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

TEST_CASE("a heartbeat that came 30 ms late is told for 5 s and forgotten after 10 s, a silence counts while it lasts") {
  watched_site x;
  const auto late = [&](int at_ms) { return x.liveness.lateness("host-2", start + milliseconds{at_ms}); };
  x.beat("host-2", 300, 3'300, 250); // the first one says nothing: what was before it is an assumption
  CHECK(late(3'300) == milliseconds{0});
  CHECK(late(3'550) == milliseconds{0});
  x.beat("host-2", 3'580, 8'080, 250);
  CHECK(late(8'080) == milliseconds{30});
  x.beat("host-2", 8'330, 13'080, 250);
  CHECK(late(13'080) == milliseconds{0});
  CHECK(late(13'331) == milliseconds{1});
  CHECK(late(60'000) == milliseconds{46'670});
  CHECK(x.liveness.lateness("host-3", start + milliseconds{60'000}) == milliseconds{0});
  CHECK(x.liveness.lateness("host-9", start) == milliseconds{0});
}

TEST_CASE("contacts keep a host up for 2 s after it last spoke for itself, not 1 ms longer") {
  watched_site x;
  const auto contacts = [&](int from_ms, int to_ms) {
    for (int at = from_ms; at <= to_ms; at += 100)
      x.liveness.contact("host-2", start + milliseconds{at});
  };
  x.beat("host-2", 500, 500);
  contacts(600, 2'400);
  contacts(2'500, 2'500);
  x.beat("host-3", 100, 9'000);
  CHECK(x.judge(3'499).empty());
  x.liveness.contact("host-2", start + milliseconds{2'501});
  CHECK(x.judge(3'500).size() == 1);
  contacts(3'500, 9'000); // its consensus answers, but nobody there looks after what runs
  CHECK(x.judge(9'000).size() == 1);
  x.beat("host-2", 9'000, 9'000);
  contacts(9'100, 9'200);
  CHECK(x.judge(9'200).empty());
}

TEST_CASE("a contact is a pulse of the leader's own host, and one older than the last counts for nobody") {
  watched_site x;
  x.beat("host-2", 100, 3'000);
  x.beat("host-3", 100, 7'900);
  for (int at = 0; at <= 7'500; at += 100)
    x.liveness.contact("host-1", start + milliseconds{at});
  CHECK(x.judge_without_pulse(8'000).size() == 1);
  x.liveness.contact("host-1", start + milliseconds{3'000});
  CHECK(x.judge_without_pulse(8'000).size() == 1);
  CHECK(x.judge_without_pulse(8'001).empty()); // for half of what makes a host down there was no pulse
  x.liveness.contact("host-3", start + milliseconds{5'000});
  CHECK(x.liveness.lateness("host-3", start + milliseconds{8'000}) == milliseconds{0});
}

TEST_CASE("contacts closer together than asked for are one, and the last 64 of each host wait to be taken") {
  actors::host_contacts contacts{milliseconds{50}};
  const auto at = [](int ms) { return start + std::chrono::hours{1} + milliseconds{ms}; };
  contacts.note("host-2", at(0));
  contacts.note("host-2", at(49));
  contacts.note("host-3", at(49));
  contacts.note("host-2", at(50));
  const auto taken = contacts.take();
  REQUIRE(taken.size() == 3);
  CHECK(taken[1].host == "host-2");
  CHECK(taken[1].at == at(50));
  CHECK(taken[2].host == "host-3");
  CHECK(contacts.take().empty());
  CHECK(contacts.last().at("host-2") == at(50));
  for (int i = 1; i <= 65; ++i)
    contacts.note("host-2", at(50 + 50 * i));
  const auto most = contacts.take();
  REQUIRE(most.size() == 64);
  CHECK(most.front().at == at(150));
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
  CHECK(actors::host_of(actors::member_id_of("b"), actors::by_member({host("a"), host("b")})) == "b");
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
