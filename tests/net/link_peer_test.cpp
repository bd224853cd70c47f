// Which of two connections between two hosts stays, and when a lost one is dialed again.

#include "tests/net/link_fixture.hpp"
#include "net/link_connection.hpp"
#include "net/link_peer.hpp"

using namespace prunella::net;
using namespace std::chrono_literals;

namespace {

hello_frame life(std::uint64_t incarnation, std::uint64_t link, std::uint64_t lost_link = 0) {
  hello_frame hello;
  hello.incarnation = incarnation;
  hello.link = link;
  hello.lost_link = lost_link;
  return hello;
}

const link_connection::time_point start{std::chrono::hours(1)};

} // namespace

TEST_CASE("when dials cross, the one of the smaller host id is kept by both sides") {
  link_peer smaller("host-1", "host-2", {});
  link_peer larger("host-2", "host-1", {});
  smaller.on_dial_started(start);
  larger.on_dial_started(start);
  smaller.on_dial_authenticated();
  larger.on_dial_authenticated();
  CHECK(smaller.on_hello(life(22, 2), false) == hello_verdict::duplicate);
  CHECK(larger.on_hello(life(11, 1), false) == hello_verdict::accept);
}

TEST_CASE("a dial of ours that did not get through yet does not keep the peer's out") {
  link_peer smaller("host-1", "host-2", {});
  smaller.on_dial_started(start);
  CHECK(smaller.on_hello(life(22, 2), false) == hello_verdict::accept);
}

TEST_CASE("a second connection of the larger host is kept only if the first is dead in its eyes") {
  link_peer smaller("host-1", "host-2", {});
  smaller.on_up(life(22, 1), true, start);
  CHECK(smaller.on_hello(life(22, 2), false) == hello_verdict::duplicate);
  CHECK(smaller.on_hello(life(22, 2, 1), false) == hello_verdict::accept); // it lost link 1
  CHECK(smaller.on_hello(life(23, 2), false) == hello_verdict::accept);    // it was restarted
}

TEST_CASE("a life that was succeeded never comes back") {
  link_peer peer("host-1", "host-2", {});
  CHECK_FALSE(peer.on_up(life(22, 1), false, start));
  CHECK(peer.on_up(life(23, 2), false, start));
  CHECK(peer.on_hello(life(22, 3), false) == hello_verdict::stale);
  CHECK(peer.on_hello(life(22, 3), true) == hello_verdict::stale);
  CHECK(peer.on_hello(life(23, 3), false) == hello_verdict::accept);
}

TEST_CASE("backoff doubles from its initial to its maximal value, the upper half random") {
  link_timeouts timeouts;
  timeouts.backoff_initial = 100ms;
  timeouts.backoff_max = 1000ms;
  const link_peer peer("host-1", "host-2", timeouts);
  CHECK(peer.backoff(0, 0xffff) == 0ms);
  CHECK(peer.backoff(1, 0) == 50ms);
  CHECK(peer.backoff(1, 0xffff) == 100ms);
  CHECK(peer.backoff(3, 0xffff) == 400ms);
  CHECK(peer.backoff(5, 0) == 500ms);
  CHECK(peer.backoff(1000, 0xffff) == 1000ms);
}

TEST_CASE("a link that lasted is redialed at once, one that breaks again and again waits longer each time") {
  link_timeouts timeouts;
  link_peer peer("host-1", "host-2", timeouts);
  peer.on_up(life(22, 1), true, start);
  const auto later = start + timeouts.backoff_max;
  peer.on_down(later, 0xffff);
  CHECK(peer.should_dial(later));
  CHECK(peer.lost_link() == 1);
  auto now = later;
  std::vector<std::int64_t> waits;
  for (int flap = 0; flap < 4; ++flap) {
    peer.on_up(life(22, 2), true, now);
    peer.on_down(now, 0xffff);
    waits.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(peer.next_dial() - now).count());
    now = peer.next_dial();
  }
  CHECK(waits == std::vector<std::int64_t>{0, 100, 200, 400});
}
