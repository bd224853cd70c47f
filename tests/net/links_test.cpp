// Two or more hosts, real sockets: what callers see.

#include "tests/net/link_fixture.hpp"

using namespace prunella::net;
using namespace std::chrono_literals;

namespace {

/// A socket whose queue of new connections is full: the kernel drops every further SYN, as a black hole does.
struct black_hole {
  black_hole() {
    socket_address any;
    std::string problem;
    REQUIRE(parse_socket_address("127.0.0.1:0", any, problem));
    fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&any.storage), any.size) == 0);
    REQUIRE(::listen(fd, 0) == 0);
    address = bound_address(fd);
    for (auto& filler : fillers) {
      socket_address there;
      REQUIRE(parse_socket_address(address, there, problem));
      filler = start_connect(there, problem);
      REQUIRE(filler >= 0);
    }
  }
  ~black_hole() {
    for (const auto filler : fillers)
      ::close(filler);
    ::close(fd);
  }

  int fd = -1;
  int fillers[4] = {};
  std::string address;
};

/// A port on which nobody listens.
std::string closed_address() {
  socket_address any;
  std::string problem;
  REQUIRE(parse_socket_address("127.0.0.1:0", any, problem));
  const int fd = listen_on(any, problem);
  const auto address = bound_address(fd);
  ::close(fd);
  return address;
}

/// Takes questions and never answers; keeps the promises, so that nobody is told.
caf::actor spawn_silent(caf::actor_system& system) {
  return system.spawn([](caf::event_based_actor* self) -> caf::behavior {
    auto kept = std::make_shared<std::vector<caf::response_promise>>();
    return {[self, kept](const question&) {
      kept->push_back(self->make_response_promise());
      return kept->back();
    }};
  });
}

struct stopped_on_exit {
  caf::actor actor;
  ~stopped_on_exit() { caf::anon_send_exit(actor, caf::exit_reason::user_shutdown); }
};

} // namespace

TEST_CASE("a request goes to the named actor of the other host and its answer comes back, both ways") {
  link_host a("host-1"), b("host-2");
  connect(a, b);
  const auto there = a.ask("host-2", "answerer", 41);
  REQUIRE_MESSAGE(there.engaged(), why(there));
  CHECK(there->number == 42);
  CHECK(there->text == "how are you");
  const auto back = b.ask("host-1", "answerer", 1);
  REQUIRE_MESSAGE(back.engaged(), why(back));
  CHECK(back->number == 2);
  CHECK(a.status().peers.at(0).state == "up");
  CHECK(a.status().peers.at(0).incarnation == b.all->incarnation());
}

TEST_CASE("dials that cross end with one connection on each side") {
  for (int round = 0; round < 20; ++round) {
    link_host a("host-1"), b("host-2");
    connect(a, b);
    REQUIRE(a.ask("host-2", "answerer").engaged());
    REQUIRE(b.ask("host-1", "answerer").engaged());
    CHECK(a.status().counters.links_down == b.status().counters.links_down);
  }
}

TEST_CASE("sends arrive once and in order") {
  link_host a("host-1");
  std::vector<std::uint64_t> seen;
  link_host b("host-2", {}, [](link_options& options) {
    options.exports["collector"] = {[] { return caf::actor{}; }, {announced_name<question>()}};
  });
  // The collector hands every number on to the test's own actor of b.
  const auto collector = b.system.spawn([to = caf::actor_cast<caf::actor>(b.self)](caf::event_based_actor* self) {
    return caf::behavior{[self, to](const question& asked) { self->send(to, asked.number); }};
  });
  stopped_on_exit guard{collector};
  b.stop();
  b.options.exports["collector"].resolve = [collector] { return collector; };
  b.all = make_links(b.system, b.options);
  b.io = b.all->start();
  b.address = b.status().listen;
  connect(a, b);
  const auto proxy = a.all->remote("host-2", "collector");
  for (std::uint64_t number = 0; number < 5'000; ++number)
    a.self->send(proxy, question{number, "tick"});
  for (std::uint64_t number = 0; number < 5'000; ++number) {
    std::uint64_t got = 0;
    b.self->receive([&](std::uint64_t value) { got = value; },
                    caf::after(test_patience) >> [] { FAIL("a send did not arrive"); });
    REQUIRE(got == number);
  }
  CHECK(a.status().counters.sends_dropped == 0);
}

TEST_CASE("unknown names, types that are not allowed, absent actors and long messages are refused with a sentence") {
  link_host a("host-1");
  link_host b("host-2", {}, [](link_options& options) {
    options.exports["absent"] = {[] { return caf::actor{}; }, {announced_name<question>()}};
  });
  connect(a, b);
  const auto unknown = a.ask("host-2", "nobody");
  CHECK(unknown.error() == link_errc::unknown_name);
  CHECK(describe(unknown.error()) == "the host has no actor 'nobody' for other hosts");
  const auto forbidden = a.ask(a.all->remote("host-2", "answerer"), secret_order{1});
  CHECK(forbidden.error() == link_errc::type_not_allowed);
  CHECK(describe(forbidden.error()).find("test::secret_order") != std::string::npos);
  CHECK(a.ask("host-2", "absent").error() == link_errc::not_running);
  CHECK(a.ask(a.all->remote("host-2", "answerer"), question{1, std::string(1 << 20, 'x')}).error() ==
        link_errc::too_large);
  // An actor's own refusal comes back as it is: this one has no handler for notes.
  CHECK(a.ask(a.all->remote("host-2", "answerer"), note{{1}}).error() == caf::sec::unexpected_message);
  CHECK(a.ask("host-2", "answerer").engaged());
  CHECK(b.status().counters.messages_refused == 3);
}

TEST_CASE("an answer of a type that is not taken is an error for who asked, and the link goes on") {
  link_host a("host-1", {}, [](link_options& options) { options.answer_types.clear(); });
  link_host b("host-2");
  connect(a, b);
  const auto refused = a.ask("host-2", "answerer");
  CHECK(refused.error() == link_errc::type_not_allowed);
  CHECK(describe(refused.error()).find("test::reply") != std::string::npos);
  CHECK(b.ask("host-1", "answerer").engaged());
  CHECK(a.status().counters.links_down == 0);
}

TEST_CASE("a host that speaks in the name of another is closed for it") {
  link_host a("host-1");
  link_host b("host-2", {}, [](link_options& options) {
    options.exports["answerer"].may_say = [](const std::string& peer, const caf::message& content) {
      return content.get_as<question>(0).text == peer;
    };
  });
  connect(a, b);
  CHECK(a.ask(a.all->remote("host-2", "answerer"), question{1, "host-1"}).engaged());
  CHECK(a.ask(a.all->remote("host-2", "answerer"), question{2, "host-3"}).error() == link_errc::link_lost);
  CHECK(b.status().counters.violations == 1);
}

TEST_CASE("a message of exactly the longest frame goes through, one byte more does not") {
  link_host a("host-1"), b("host-2");
  connect(a, b);
  const auto proxy = a.all->remote("host-2", "answerer");
  byte_buffer empty;
  REQUIRE_FALSE(encode_message(a.system, caf::make_message(question{}).content(), empty));
  // Two more bytes for a length that needs three instead of one.
  const auto room = (1u << 20) - (message_frame_bytes("answerer", empty.size()) - 4) - 2;
  const auto fits = a.ask(proxy, question{1, std::string(room, 'x')});
  REQUIRE_MESSAGE(fits.engaged(), why(fits));
  CHECK(fits->text.size() == room);
  CHECK(a.ask(proxy, question{1, std::string(room + 1, 'x')}).error() == link_errc::too_large);
}

TEST_CASE("a request to a host that is down, unknown or a black hole fails with host_unreachable, and never waits long") {
  black_hole hole;
  link_host a("host-1", {{"host-2", closed_address()}, {"host-3", hole.address}},
              [](link_options& options) { options.timeouts.patience = 300ms; });
  CHECK(a.ask("host-2", "answerer").error() == link_errc::host_unreachable);
  CHECK(a.ask("host-9", "answerer").error() == link_errc::host_unreachable);
  const auto before = std::chrono::steady_clock::now();
  const auto swallowed = a.ask("host-3", "answerer");
  CHECK(swallowed.error() == link_errc::host_unreachable);
  CHECK(std::chrono::steady_clock::now() - before < 5s);
  CHECK(describe(swallowed.error()).find("host 'host-3' cannot be reached") != std::string::npos);
  a.self->send(a.all->remote("host-3", "answerer"), question{1, "lost"});
  CHECK(a.status().counters.sends_dropped == 1);
}

TEST_CASE("a connect to a black hole does not disturb a live link") {
  black_hole hole;
  link_host a("host-1"), b("host-2");
  connect(a, b);
  a.self->send(a.io, set_peers{{{"host-2", b.address}, {"host-3", hole.address}}});
  for (int round = 0; round < 200; ++round) {
    const auto got = a.ask(a.all->remote("host-2", "answerer"), question{1, "still there?"}, 2s);
    REQUIRE_MESSAGE(got.engaged(), why(got));
  }
  CHECK(a.status().peers.at(1).state != "up");
  CHECK(a.status().counters.links_down == 0);
}

TEST_CASE("before start and after the end of the links every request fails at once, after a restart they go through") {
  link_host a("host-1"), b("host-2");
  const auto proxy = a.all->remote("host-2", "answerer");
  connect(a, b);
  REQUIRE(a.ask(proxy, question{1, ""}).engaged());
  a.stop();
  CHECK(a.ask(proxy, question{1, ""}).error() == link_errc::host_unreachable);
  a.io = a.all->start();
  a.address = a.status().listen;
  CHECK(b.await_down().host == "host-1");
  connect(a, b);
  CHECK(a.ask(proxy, question{1, ""}).engaged());
}

TEST_CASE("links that are killed fail what waits, and start again on the same port") {
  link_host a("host-1"), b("host-2");
  connect(a, b);
  const auto proxy = b.all->remote("host-1", "answerer");
  b.stop();
  b.options.listen = b.address;
  b.options.peers = {{"host-1", a.address}};
  b.all = make_links(b.system, b.options);
  CHECK(a.await_down().host == "host-2");
  b.io = b.all->start();
  CHECK(a.await_up().host == "host-2");
  for (int round = 0; round < 5; ++round) {
    b.self->monitor(b.io);
    b.self->send_exit(b.io, caf::exit_reason::kill);
    b.self->receive([](const caf::down_msg&) {}, caf::after(test_patience) >> [] { FAIL("still alive"); });
    CHECK(b.ask("host-1", "answerer").error() == link_errc::host_unreachable);
    CHECK(a.await_down().host == "host-2");
    b.io = b.all->start();
    CHECK(b.status().listen == b.address);
    CHECK(a.await_up().host == "host-2");
    CHECK(a.ask("host-2", "answerer").engaged());
  }
}

TEST_CASE("a request right after start waits for the link, and a restarted actor goes on with the last member list") {
  link_host a("host-1"), b("host-2");
  a.stop();
  b.self->send(b.io, set_peers{{{"host-1", "127.0.0.1:1"}}});
  b.status();
  a.options.peers = {{"host-2", b.address}};
  a.all = make_links(a.system, a.options);
  a.io = a.all->start();
  const auto first = a.ask("host-2", "answerer");
  CHECK_MESSAGE(first.engaged(), why(first));
  a.self->send(a.io, set_peers{});
  a.status();
  CHECK(a.ask("host-2", "answerer").error() == link_errc::host_unreachable);
  a.self->send(a.io, set_peers{{{"host-2", b.address}}});
  a.status();
  a.stop();
  a.io = a.all->start();
  const auto again = a.ask("host-2", "answerer");
  CHECK_MESSAGE(again.engaged(), why(again));
}

TEST_CASE("a link that drops is made again, and its events say so") {
  link_host a("host-1"), b("host-2");
  connect(a, b);
  const auto first_life = b.all->incarnation();
  b.stop();
  const auto down = a.await_down();
  CHECK(down.host == "host-2");
  CHECK(down.reason.find("the host is stopping") != std::string::npos);
  // The same process starts its links again on the same port: the same life.
  b.options.listen = b.address;
  b.options.incarnation = first_life;
  b.options.peers = {{"host-1", a.address}};
  b.all = make_links(b.system, b.options);
  b.io = b.all->start();
  CHECK(a.await_up().incarnation == first_life);
  CHECK(a.ask("host-2", "answerer").engaged());
}

TEST_CASE("a host that comes back as a new process is another life, an old handle reaches the new one by name") {
  link_host a("host-1");
  auto b = std::make_unique<link_host>("host-2");
  connect(a, *b);
  const auto proxy = a.all->remote("host-2", "answerer");
  const auto first_life = b->all->incarnation();
  const auto address = b->address;
  b.reset();
  CHECK(a.await_down().host == "host-2");
  b = std::make_unique<link_host>("host-2", std::vector<link_peer_address>{{"host-1", a.address}},
                                  [&](link_options& options) { options.listen = address; });
  const auto up = a.await_up();
  CHECK(up.incarnation == b->all->incarnation());
  CHECK(up.incarnation != first_life);
  CHECK(a.ask(proxy, question{1, ""}).engaged());
}

TEST_CASE("requests under way when the link drops fail at once, as link_lost") {
  link_host a("host-1");
  link_host b("host-2");
  stopped_on_exit silent{spawn_silent(b.system)};
  b.stop();
  b.options.exports["silent"] = {[&] { return silent.actor; }, {announced_name<question>()}};
  b.all = make_links(b.system, b.options);
  b.io = b.all->start();
  b.address = b.status().listen;
  connect(a, b);
  const auto waiting = a.self->request(a.all->remote("host-2", "silent"), test_patience, question{1, ""});
  // An answer to a later request proves that the first one was sent.
  REQUIRE(a.ask("host-2", "answerer").engaged());
  CHECK(a.status().peers.at(0).unanswered == 1);
  CHECK(b.status().peers.at(0).in_flight == 1);
  b.stop();
  caf::error failed;
  const_cast<std::decay_t<decltype(waiting)>&>(waiting).receive([](reply&) { FAIL("there was no answer"); },
                                                                [&](caf::error& reason) { failed = reason; });
  CHECK(failed == link_errc::link_lost);
  CHECK(is_retryable(failed));
}

TEST_CASE("an actor that dies or never answers does not leave its asker waiting") {
  link_host a("host-1");
  link_host b("host-2", {}, [](link_options& options) { options.timeouts.request = 200ms; });
  stopped_on_exit silent{spawn_silent(b.system)};
  const auto dead = spawn_silent(b.system);
  b.self->monitor(dead);
  b.self->send_exit(dead, caf::exit_reason::kill);
  b.self->receive([](const caf::down_msg&) {});
  b.stop();
  b.options.exports["silent"] = {[&] { return silent.actor; }, {announced_name<question>()}};
  b.options.exports["dead"] = {[&] { return dead; }, {announced_name<question>()}};
  b.options.limits.request_slots = 2;
  b.all = make_links(b.system, b.options);
  b.io = b.all->start();
  b.address = b.status().listen;
  a.stop();
  a.options.timeouts.request = 400ms;
  a.all = make_links(a.system, a.options);
  a.io = a.all->start();
  a.address = a.status().listen;
  connect(a, b);
  CHECK(a.ask("host-2", "dead").error() == caf::sec::request_receiver_down);
  // Two requests take both slots; the third waits here for one and gets none before its time is over.
  auto first = a.self->request(a.all->remote("host-2", "silent"), test_patience, question{1, ""});
  auto second = a.self->request(a.all->remote("host-2", "silent"), test_patience, question{2, ""});
  for (auto* each : {&first, &second})
    each->receive([](reply&) { FAIL("there was no answer"); },
                  [](caf::error& reason) { CHECK(reason == link_errc::timeout); });
  // Both sides forgot them: there is a slot again.
  CHECK(a.ask("host-2", "answerer").engaged());
}

TEST_CASE("a removed member's link ends and it cannot come back, its address does not matter") {
  link_host a("host-1"), b("host-2");
  connect(a, b);
  a.self->send(a.io, set_peers{});
  CHECK(a.await_down().reason.find("not a member") != std::string::npos);
  CHECK(a.ask("host-2", "answerer").error() == link_errc::host_unreachable);
  CHECK(b.await_down().host == "host-1");
  raw_peer again(a.address, identities().ours("host-2"));
  CHECK_FALSE(again.join(77));
  CHECK(again.goodbye.value_or(goodbye_reason::not_member) == goodbye_reason::not_member);
  CHECK(a.status().counters.not_member >= 1);
}

TEST_CASE("a subscriber hears of links that were up before it") {
  link_host a("host-1"), b("host-2");
  connect(a, b);
  caf::scoped_actor late(a.system);
  late->send(a.io, subscribe_links{late});
  bool heard = false;
  late->receive([&](const link_up& event) { heard = event.host == "host-2"; },
                caf::after(test_patience) >> [] { FAIL("no link_up"); });
  CHECK(heard);
}

TEST_CASE("links that cannot listen end with a sentence, and so do options out of bounds") {
  link_host a("host-1");
  auto options = a.options;
  options.listen = a.address;
  const auto second = make_links(a.system, options);
  const auto io = second->start();
  a.self->monitor(io);
  caf::error reason;
  a.self->receive([&](const caf::down_msg& down) { reason = down.reason; },
                  caf::after(test_patience) >> [] { FAIL("it listens on a port in use"); });
  CHECK(reason == link_errc::host_unreachable);
  CHECK(describe(reason).find("cannot listen on " + a.address) != std::string::npos);
  options.limits.window_bytes = options.limits.max_frame;
  CHECK_THROWS_AS(make_links(a.system, options), std::invalid_argument);
  options = a.options;
  options.host = "host-2";
  CHECK_THROWS_AS(make_links(a.system, options), std::invalid_argument);
  options = a.options;
  options.identity.key_pem = identities().ours("host-2").key_pem;
  CHECK_THROWS_AS(make_links(a.system, options), identity_error);
}
