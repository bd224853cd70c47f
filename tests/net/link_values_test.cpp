// The parts of a link that are values: frames, queue, credit, TLS session. No sockets, no actors.

#include <deque>
#include <random>

#include "tests/net/link_fixture.hpp"
#include "net/link_connection.hpp"
#include "net/link_lookup.hpp"
#include "net/link_queue.hpp"

using namespace prunella::net;
using namespace std::chrono_literals;

namespace {

std::string_view view(const byte_buffer& bytes) {
  return {bytes.data(), bytes.size()};
}

using outcome = frame_decoder::result;

outcome decode(std::string_view bytes, frame& out, std::uint32_t max_frame = 1 << 20) {
  static frame_decoder decoder(0);
  decoder = frame_decoder(max_frame);
  decoder.push(bytes);
  return decoder.next(out);
}

std::string raw_frame(std::uint32_t length, char kind, const std::string& body) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8)
    bytes += static_cast<char>(length >> shift);
  return bytes + kind + body;
}

} // namespace

TEST_CASE("a frame comes out as it went in, whole or one byte at a time") {
  byte_buffer bytes;
  append_request(bytes, 7, 99, "consensus", "payload");
  append_send(bytes, 7, "x", "");
  append_ping(bytes, 5);
  append_credit(bytes, 1000);
  append_response(bytes, 8, 99, "answer");
  append_failure(bytes, 8, 98, "why");
  for (const std::size_t step : {bytes.size(), std::size_t{1}}) {
    frame_decoder decoder(1024);
    std::vector<std::string> seen;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      decoder.push(view(bytes).substr(at, step));
      frame in;
      while (decoder.next(in) == outcome::frame)
        seen.push_back(std::to_string(static_cast<int>(in.kind)) + " " + std::to_string(in.incarnation) + " " +
                       std::to_string(in.id) + " " + std::string(in.target) + " " + std::string(in.payload));
    }
    CHECK(seen == std::vector<std::string>{"7 7 99 consensus payload", "6 7 0 x ", "3 0 5  ", "5 0 1000  ",
                                           "8 8 99  answer", "9 8 98  why"});
    CHECK_FALSE(decoder.has_partial_frame());
  }
}

TEST_CASE("a hello comes out as it went in, and one without host, life or link is none") {
  hello_frame hello;
  hello.incarnation = 1;
  hello.link = 2;
  hello.lost_link = 3;
  hello.window_bytes = 4;
  hello.request_slots = 5;
  hello.max_frame = 6;
  hello.host = "host-1";
  const auto round_trip = [](const hello_frame& given, hello_frame& got) {
    byte_buffer bytes;
    append_hello(bytes, given);
    frame in;
    return decode(view(bytes), in) == outcome::frame && parse_hello(in.payload, got);
  };
  hello_frame got;
  REQUIRE(round_trip(hello, got));
  CHECK(got.lost_link == 3);
  CHECK(got.max_frame == 6);
  CHECK(got.host == "host-1");
  auto lifeless = hello;
  lifeless.incarnation = 0;
  CHECK_FALSE(round_trip(lifeless, got));
  auto nameless = hello;
  nameless.host.clear();
  CHECK_FALSE(round_trip(nameless, got));
  hello.host = std::string(64, 'x');
  CHECK_FALSE(round_trip(hello, got));
}

TEST_CASE("a length of 0, one above the limit, or an unknown kind is refused on the first bytes, without room for the rest") {
  frame in;
  CHECK(decode(std::string(4, '\0'), in) == outcome::malformed);
  CHECK(decode(raw_frame(1025, 6, ""), in, 1024) == outcome::malformed);
  CHECK(decode(raw_frame(1024, 6, ""), in, 1024) == outcome::need_more);
  CHECK(decode(raw_frame(20, 0, ""), in) == outcome::malformed);
  CHECK(decode(raw_frame(20, 10, ""), in) == outcome::malformed);
  frame_decoder decoder(0xffffffffu);
  decoder.push(raw_frame(0xfffffff0u, 6, ""));
  CHECK(decoder.next(in) == outcome::need_more);
  CHECK(decoder.capacity() < 64);
}

TEST_CASE("every kind has its bounds: one byte less or more than it may have is refused") {
  frame in;
  for (const auto& [kind, size] : {std::pair{2, 2}, {3, 9}, {4, 9}, {5, 5}}) {
    const auto length = static_cast<std::uint32_t>(size);
    CHECK(decode(raw_frame(length - 1, static_cast<char>(kind), std::string(100, 'x')), in) == outcome::malformed);
    CHECK(decode(raw_frame(length, static_cast<char>(kind), std::string(100, 'x')), in) == outcome::frame);
    CHECK(decode(raw_frame(length + 1, static_cast<char>(kind), std::string(100, 'x')), in) == outcome::malformed);
  }
  CHECK(decode(raw_frame(513, 1, ""), in) == outcome::malformed);
  // A send whose target would reach beyond the frame, and one with an empty target.
  CHECK(decode(raw_frame(19, 6, std::string(16, '\0') + "\x02" + "x"), in) == outcome::malformed);
  CHECK(decode(raw_frame(19, 6, std::string(17, '\0') + "x"), in) == outcome::malformed);
  // A request without an id.
  CHECK(decode(raw_frame(19, 7, std::string(16, '\0') + "\x01" + "x"), in) == outcome::malformed);
}

TEST_CASE("random bytes never come out as more than they are") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes(random() % 64, '\0');
    for (auto& byte : bytes)
      byte = static_cast<char>(random());
    if (bytes.size() >= 5 && round % 2 == 0)
      bytes.replace(0, 5, raw_frame(static_cast<std::uint32_t>(random() % 64), static_cast<char>(random() % 11), ""));
    frame_decoder decoder(1024);
    decoder.push(bytes);
    frame in;
    std::size_t taken = 0;
    while (decoder.next(in) == outcome::frame) {
      taken += in.wire_bytes;
      CHECK(in.target.size() + in.payload.size() <= in.wire_bytes);
    }
    CHECK(taken <= bytes.size());
  }
}

TEST_CASE("a decoder gives a large frame's room back") {
  frame_decoder decoder(1 << 20);
  byte_buffer bytes;
  append_send(bytes, 1, "x", std::string(1 << 19, 'x'));
  decoder.push(view(bytes));
  frame in;
  REQUIRE(decoder.next(in) == outcome::frame);
  decoder.prepare(1);
  CHECK(decoder.capacity() <= 64 * 1024);
}

TEST_CASE("a queue takes frames up to its bound and no byte more, their bookkeeping counts") {
  link_queue queue(link_queue::cost_of(100, false));
  const auto push = [&](std::size_t payload) {
    const auto bytes = message_frame_bytes("x", payload);
    if (!queue.has_room(bytes, false))
      return false;
    append_send(queue.buffer(bytes), 0, "x", std::string(payload, 'x'));
    queue.commit(0);
    return true;
  };
  CHECK_FALSE(queue.has_room(100, true)); // who asked has to be remembered as well
  CHECK(push(100 - message_frame_bytes("x", 0)));
  CHECK(queue.waiting() == 100);
  CHECK_FALSE(queue.has_room(1, false));
  CHECK(queue.clear() == 1);
  CHECK_FALSE(push(101 - message_frame_bytes("x", 0)));
}

TEST_CASE("a queue of any mix of frames gives them back whole and in order, and keeps one block when it is empty") {
  std::mt19937 random(7);
  link_queue queue(64 << 20);
  std::deque<std::string> expected;
  for (int round = 0; round < 200; ++round) {
    for (int i = static_cast<int>(random() % 40); i > 0; --i) {
      std::string payload(random() % 20 == 0 ? random() % 200'000 : random() % 3'000, static_cast<char>('a' + random() % 26));
      append_send(queue.buffer(message_frame_bytes("x", payload.size())), 0, "x", payload);
      queue.commit(0);
      expected.push_back(std::move(payload));
    }
    byte_buffer out;
    send_window credit(0xffffffffu, 0);
    auto taken = queue.take(out, round % 10 == 9 ? 64 << 20 : random() % 60'000, credit, 1, [](std::uint64_t) { return true; });
    frame_decoder decoder(1 << 20);
    decoder.push(view(out));
    for (frame in; taken > 0; --taken) {
      REQUIRE(decoder.next(in) == outcome::frame);
      REQUIRE(in.payload == expected.front());
      expected.pop_front();
    }
    CHECK(queue.frames() == expected.size());
    CHECK((!queue.empty() || (queue.blocks() <= 1 && queue.waiting() == 0)));
  }
}

TEST_CASE("a queue gives frames in order while there is credit, and leaves out requests that were given up") {
  link_queue queue(1 << 20);
  for (std::uint64_t id = 1; id <= 4; ++id) {
    append_request(queue.buffer(message_frame_bytes("x", 5)), 0, id, "x", "12345");
    queue.commit(id);
  }
  const auto one = static_cast<std::uint32_t>(message_frame_bytes("x", 5));
  send_window credit(3 * one, 2);
  byte_buffer out;
  CHECK(queue.take(out, 1 << 20, credit, 77, [](std::uint64_t id) { return id != 2; }) == 2);
  frame_decoder decoder(1024);
  decoder.push(view(out));
  frame in;
  REQUIRE(decoder.next(in) == outcome::frame);
  CHECK(in.id == 1);
  CHECK(in.incarnation == 77);
  REQUIRE(decoder.next(in) == outcome::frame);
  CHECK(in.id == 3);
  CHECK(queue.frames() == 1); // 4 has bytes of credit but no slot
  credit.free_slot();
  out.clear();
  CHECK(queue.take(out, 1 << 20, credit, 77, [](std::uint64_t) { return true; }) == 1);
  CHECK(queue.empty());
  CHECK(credit.bytes() == 0);
}

TEST_CASE("a grant of exactly what was spent is taken, one byte more is a violation") {
  send_window credit(100, 1);
  credit.spend(60, false);
  CHECK_FALSE(credit.grant(61));
  CHECK(credit.grant(60));
  CHECK(credit.bytes() == 100);
  receive_window window(100);
  CHECK(window.take(100));
  CHECK_FALSE(window.take(1));
  window.give_back(1);
  CHECK(window.take(1));
}

namespace {

/// Two sessions that talk to each other in memory.
struct tls_pair {
  tls_pair(const host_identity& client_identity, const host_identity& server_identity)
    : client(tls_context(client_identity), tls_role::client), server(tls_context(server_identity), tls_role::server) {}

  void exchange() {
    for (int round = 0; round < 10; ++round) {
      byte_buffer to_server, to_client;
      client.take_output(to_server);
      server.feed(view(to_server));
      server.take_output(to_client);
      client.feed(view(to_client));
      char drain[64];
      client.read(drain, sizeof drain);
    }
  }

  tls_session client, server;
};

} // namespace

TEST_CASE("two hosts of one site know each other by host id before any plaintext") {
  tls_pair pair(identities().ours("host-1"), identities().ours("host-2"));
  pair.exchange();
  CHECK(pair.client.peer_host() == "host-2");
  CHECK(pair.server.peer_host() == "host-1");
  pair.client.write("hello");
  byte_buffer bytes;
  pair.client.take_output(bytes);
  CHECK(std::string(view(bytes)).find("hello") == std::string::npos);
  pair.server.feed(view(bytes));
  char plain[16];
  const auto got = pair.server.read(plain, sizeof plain);
  CHECK(std::string_view(plain, got) == "hello");
  pair.client.close();
  bytes.clear();
  pair.client.take_output(bytes);
  pair.server.feed(view(bytes));
  CHECK(pair.server.read(plain, sizeof plain) == 0);
  CHECK(pair.server.current() == tls_session::state::closed);
}

TEST_CASE("a certificate of another CA is refused by either side, with a reason") {
  tls_pair wrong_client(identities().theirs("host-1"), identities().ours("host-2"));
  wrong_client.exchange();
  CHECK(wrong_client.client.current() == tls_session::state::failed);
  CHECK(wrong_client.server.current() != tls_session::state::open);
  CHECK(wrong_client.client.problem().find("certificate") != std::string::npos);
}

TEST_CASE("a changed byte of a record ends the session") {
  tls_pair pair(identities().ours("host-1"), identities().ours("host-2"));
  pair.exchange();
  pair.client.write("hello");
  byte_buffer bytes;
  pair.client.take_output(bytes);
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  pair.server.feed(view(bytes));
  char plain[16];
  CHECK(pair.server.read(plain, sizeof plain) == 0);
  CHECK(pair.server.current() == tls_session::state::failed);
}

TEST_CASE("a handshake that does not end within 64 KiB fails") {
  tls_session server(tls_context(identities().ours("host-1")), tls_role::server);
  // A ClientHello record that claims a handshake message of 16 MiB, and never ends.
  const std::string header("\x16\x03\x01\x40\x00", 5);
  for (int i = 0; i < 5 && server.current() == tls_session::state::handshaking; ++i)
    server.feed(header + (i == 0 ? std::string("\x01\xff\xff\xff", 4) : std::string(4, 'x')) + std::string(16380, 'x'));
  CHECK(server.current() == tls_session::state::failed);
}

namespace {

using clock_time = link_connection::time_point;

struct connection_pair {
  explicit connection_pair(link_limits limits = {}, link_timeouts timeouts = {})
    : dialer(tls_context(identities().ours("host-1")), tls_role::client, limits, timeouts, hello(11, "host-1"), "host-2",
             now),
      acceptor(tls_context(identities().ours("host-2")), tls_role::server, limits, timeouts, hello(22, "host-2"), {},
               now) {}

  static hello_frame hello(std::uint64_t incarnation, const std::string& host) {
    hello_frame result;
    result.incarnation = incarnation;
    result.link = incarnation * 100;
    result.host = host;
    return result;
  }

  /// Carries bytes until both are silent; returns what each saw. The acceptor accepts.
  void settle() {
    for (int round = 0; round < 20; ++round) {
      byte_buffer bytes;
      dialer.take_output(bytes);
      acceptor.receive(view(bytes), now);
      pull(acceptor, seen_by_acceptor);
      bytes.clear();
      acceptor.take_output(bytes);
      dialer.receive(view(bytes), now);
      pull(dialer, seen_by_dialer);
    }
  }

  void pull(link_connection& side, std::vector<link_input>& seen) {
    frame in;
    for (auto input = side.next(in, now); input != link_input::nothing; input = side.next(in, now)) {
      seen.push_back(input);
      if (input == link_input::hello && !side.is_dialer())
        side.accept(0, now);
      if (input == link_input::ended)
        break;
    }
  }

  clock_time now{std::chrono::hours(1)};
  link_connection dialer, acceptor;
  std::vector<link_input> seen_by_dialer, seen_by_acceptor;
};

byte_buffer send_to(std::uint64_t incarnation, std::size_t payload = 1) {
  byte_buffer bytes;
  append_send(bytes, incarnation, "x", std::string(payload, 'x'));
  return bytes;
}

} // namespace

TEST_CASE("a connection is open after both said hello, and each knows the other's host, life and window") {
  connection_pair pair;
  pair.settle();
  CHECK(pair.seen_by_dialer == std::vector{link_input::peer, link_input::hello});
  CHECK(pair.seen_by_acceptor == std::vector{link_input::peer, link_input::hello});
  CHECK(pair.dialer.is_open());
  CHECK(pair.dialer.peer_hello().incarnation == 22);
  CHECK(pair.acceptor.peer_hello().host == "host-1");
  CHECK(pair.acceptor.own_hello().link == pair.dialer.own_hello().link);
  CHECK(pair.dialer.credit().bytes() == link_limits{}.window_bytes);
}

TEST_CASE("a message for another life of this host is a violation") {
  connection_pair pair;
  pair.settle();
  pair.dialer.write(view(send_to(22)));
  pair.settle();
  CHECK(pair.seen_by_acceptor.back() == link_input::message);
  pair.dialer.write(view(send_to(23)));
  pair.settle();
  CHECK(pair.seen_by_acceptor.back() == link_input::ended);
  CHECK(pair.acceptor.violated());
  CHECK(pair.dialer.peer_said_goodbye());
  CHECK(pair.dialer.end_reason() == goodbye_reason::violation);
}

TEST_CASE("a peer that sends beyond its window is closed, one that waits for credit goes on") {
  link_limits limits;
  limits.window_bytes = 2 * static_cast<std::uint32_t>(message_frame_bytes("x", 1));
  connection_pair pair(limits);
  pair.settle();
  pair.dialer.write(view(send_to(22)));
  pair.dialer.write(view(send_to(22)));
  pair.settle();
  CHECK(pair.acceptor.is_open());
  pair.acceptor.consumed(limits.window_bytes / 2);
  pair.dialer.credit().spend(limits.window_bytes, false);
  pair.settle();
  CHECK(pair.dialer.credit().bytes() == limits.window_bytes / 2);
  pair.dialer.write(view(send_to(22)));
  pair.settle();
  CHECK(pair.acceptor.is_open());
  pair.dialer.write(view(send_to(22)));
  pair.settle();
  CHECK(pair.acceptor.violated());
}

TEST_CASE("credit is held back below a quarter of the window, unless the longest frame would find no room") {
  const auto frame = static_cast<std::uint32_t>(message_frame_bytes("x", 1));
  link_limits limits;
  limits.max_frame = 2 * frame - 4;
  limits.window_bytes = 12 * frame;
  connection_pair pair(limits);
  pair.settle();
  int sent = 0;
  const auto send = [&](int count) {
    for (; count > 0; --count, ++sent)
      pair.dialer.write(view(send_to(22)));
    pair.settle();
  };
  const auto granted_for = [&](std::uint32_t frames) {
    pair.acceptor.consumed(frames * frame);
    pair.dialer.credit() = send_window(limits.window_bytes, 1);
    pair.dialer.credit().spend(limits.window_bytes, false);
    pair.settle();
    return pair.dialer.credit().bytes() / frame;
  };
  send(10);
  CHECK(granted_for(2) == 0);
  CHECK(granted_for(1) == 3);
  send(3);
  CHECK(pair.acceptor.window_used() == 10 * frame);
  CHECK(granted_for(1) == 0); // two frames have room
  send(1);
  CHECK(granted_for(0) == 1);
  CHECK(pair.acceptor.is_open());
}

TEST_CASE("a handshake that is not done at its deadline ends, and one tick earlier it does not") {
  connection_pair pair;
  pair.now += link_timeouts{}.handshake - 1ms;
  pair.acceptor.tick(pair.now);
  CHECK_FALSE(pair.acceptor.has_ended());
  pair.now += 1ms;
  pair.acceptor.tick(pair.now);
  CHECK(pair.acceptor.end_reason() == goodbye_reason::timeout);
}

TEST_CASE("an idle link stays up by keep-alives, measures its round trip, and ends when they stay unanswered") {
  connection_pair pair;
  pair.settle();
  for (int second = 0; second < 60; ++second) {
    pair.now += 1s;
    pair.dialer.tick(pair.now);
    pair.acceptor.tick(pair.now);
    byte_buffer ping;
    pair.dialer.take_output(ping);
    pair.acceptor.receive(view(ping), pair.now);
    pair.pull(pair.acceptor, pair.seen_by_acceptor);
    pair.now += 3ms;
    pair.settle();
  }
  CHECK(pair.dialer.is_open());
  CHECK(pair.dialer.round_trip() == 3ms);
  const auto silent_since = pair.now;
  pair.now = silent_since + link_timeouts{}.idle - 1ms;
  pair.dialer.tick(pair.now);
  CHECK(pair.dialer.is_open());
  pair.now += 1ms;
  pair.dialer.tick(pair.now);
  CHECK(pair.dialer.has_ended());
}

TEST_CASE("a frame that trickles in for longer than its time ends the link although bytes keep coming") {
  connection_pair pair;
  pair.settle();
  const auto bytes = send_to(22, 60'000);
  std::size_t at = 0;
  while (pair.acceptor.is_open() && at < bytes.size()) {
    pair.dialer.write(view(bytes).substr(at++, 1));
    byte_buffer out;
    pair.dialer.take_output(out);
    pair.acceptor.receive(view(out), pair.now);
    pair.pull(pair.acceptor, pair.seen_by_acceptor);
    pair.acceptor.tick(pair.now);
    pair.now += 1s;
  }
  CHECK(at == static_cast<std::size_t>(link_timeouts{}.frame / 1s) + 1);
  CHECK(pair.acceptor.end_reason() == goodbye_reason::timeout);
}

TEST_CASE("a dialed host with another id in its certificate is refused before hello") {
  const clock_time now{std::chrono::hours(1)};
  link_connection dialer(tls_context(identities().ours("host-1")), tls_role::client, {}, {},
                         connection_pair::hello(1, "host-1"), "host-3", now);
  tls_session other(tls_context(identities().ours("host-2")), tls_role::server);
  frame in;
  auto input = link_input::nothing;
  for (int round = 0; round < 5 && input == link_input::nothing; ++round) {
    byte_buffer bytes;
    dialer.take_output(bytes);
    other.feed(view(bytes));
    bytes.clear();
    other.take_output(bytes);
    dialer.receive(view(bytes), now);
    input = dialer.next(in, now);
  }
  CHECK(input == link_input::ended);
  CHECK(dialer.end_text() == "the certificate there is for host 'host-2', not for 'host-3'");
}

TEST_CASE("localhost is loopback and a number is itself, whatever the resolver knows") {
  CHECK(look_up_host("localhost") == std::vector<std::string>{"127.0.0.1"});
  CHECK(look_up_host("192.0.2.7") == std::vector<std::string>{"192.0.2.7"});
  CHECK(look_up_host("2001:db8::7") == std::vector<std::string>{"2001:db8::7"});
}

TEST_CASE("an address is a numeric one with a port, IPv6 in brackets, with a zone if there is one") {
  socket_address out;
  std::string problem;
  for (const auto* text : {"127.0.0.1:0", "192.0.2.7:65535", "[::1]:7001", "[fe80::7%lo]:7001"}) {
    REQUIRE(parse_socket_address(text, out, problem));
    CHECK(to_text(out) == text);
  }
  for (const auto* text : {"", ":7001", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:+1", "::1:7001", "[::1]",
                           "[::1:7001", "host-1:7001", "[127.0.0.1]:7001", "[fe80::7%no-such-if]:7001"}) {
    CHECK_FALSE(parse_socket_address(text, out, problem));
    CHECK(problem.find("is not a numeric address") != std::string::npos);
  }
}
