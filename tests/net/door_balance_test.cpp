// Which instance a connection goes to: values, with the time handed in.

#include <doctest/doctest.h>

#include <map>
#include <set>

#include "net/door/balance.hpp"
#include "net/door/frame.hpp"

using namespace prunella::net;
using namespace std::chrono_literals;

namespace {

const door_time start{std::chrono::hours{1}};

door_backend local(const std::string& instance, std::uint64_t generation = 1) {
  return {instance, generation, "host-1", {"127.0.0.1:8000"}};
}

door_backend remote(const std::string& instance, const std::string& host = "host-2") {
  return {instance, 1, host, {}};
}

std::string chosen(balancer& x, door_time now = start) {
  const auto* backend = x.choose(now);
  return backend == nullptr ? "none" : backend->instance;
}

std::uint32_t open_at(const balancer& x, const std::string& instance) {
  for (const auto& use : x.uses())
    if (use.backend.instance == instance)
      return use.open;
  return 0;
}

using move = connect_attempt::move;

} // namespace

TEST_CASE("a port has 64 connections for certain, and beyond that as many as it leaves free") {
  CHECK(may_take_one_more(0, 1'999, 2'000));
  CHECK_FALSE(may_take_one_more(0, 2'000, 2'000));
  CHECK(may_take_one_more(63, 1'999, 2'000));
  CHECK_FALSE(may_take_one_more(64, 1'999, 2'000));
  CHECK(may_take_one_more(999, 999, 2'000)); // alone: half
  CHECK_FALSE(may_take_one_more(1'000, 1'000, 2'000));
  CHECK(may_take_one_more(1, 1, 2));
}

TEST_CASE("of equal instances each gets a connection in turn") {
  balancer x;
  x.set({remote("a"), remote("b"), remote("c")});
  std::map<std::string, int> counts;
  for (int i = 0; i < 9; ++i) {
    const auto* backend = x.choose(start);
    REQUIRE(backend != nullptr);
    ++counts[backend->instance];
    x.closed(backend->key());
  }
  CHECK(counts == std::map<std::string, int>{{"a", 3}, {"b", 3}, {"c", 3}});
}

TEST_CASE("the instance with the fewest open connections is chosen") {
  balancer x;
  x.set({remote("a"), remote("b")});
  for (int i = 0; i < 10; ++i)
    chosen(x);
  for (int i = 0; i < 3; ++i)
    x.closed(remote("b").key());
  CHECK(open_at(x, "a") == 5);
  CHECK(open_at(x, "b") == 2);
  CHECK(chosen(x) == "b");
  CHECK(chosen(x) == "b");
  CHECK(chosen(x) == "b");
}

TEST_CASE("a local instance is taken first until it has 16 connections more than the least used other one") {
  balancer x;
  x.set({remote("a"), local("b")});
  for (int i = 0; i < 16; ++i)
    CHECK(chosen(x) == "b");
  CHECK(chosen(x) == "a"); // chosen longest ago, of equals
  CHECK(chosen(x) == "b");
  x.closed(local("b").key());
  CHECK(chosen(x) == "b");
}

TEST_CASE("an instance that could not be reached is left alone for 100 ms, and then asked by one connection only") {
  balancer x;
  x.set({remote("a")});
  CHECK(chosen(x) == "a");
  x.failed(remote("a").key(), start);
  CHECK(open_at(x, "a") == 0);
  CHECK(chosen(x, start + 99ms) == "none");
  CHECK(x.next_chance(start) == start + 100ms);
  CHECK(chosen(x, start + 100ms) == "a");
  CHECK(chosen(x, start + 100ms) == "none"); // the first one finds out
  x.connected(remote("a").key());
  CHECK(chosen(x, start + 100ms) == "a");
}

TEST_CASE("an instance that broke a connection without a word comes behind the others for 500 ms, and serves where there is none") {
  balancer x;
  x.set({local("a"), remote("b")});
  CHECK(chosen(x) == "a");
  x.broke(local("a").key(), start);
  CHECK(open_at(x, "a") == 0);
  CHECK(chosen(x, start + 499ms) == "b");
  CHECK(chosen(x, start + 500ms) == "a");
  x.broke(local("a").key(), start + 500ms);
  x.set({local("a")});
  CHECK(chosen(x, start + 500ms) == "a");
  x.set({});
  x.set({local("a", 2), remote("b")});
  CHECK(chosen(x, start + 500ms) == "a"); // of another generation nothing is known
}

TEST_CASE("each failure in a row doubles the time, up to 5 s, and many at once count as one") {
  balancer x;
  x.set({remote("a")});
  auto now = start;
  for (const auto wait : {100ms, 200ms, 400ms, 800ms, 1600ms, 3200ms, 5000ms, 5000ms}) {
    CHECK(chosen(x, now) == "a");
    x.failed(remote("a").key(), now);
    x.failed(remote("a").key(), now);
    CHECK(x.next_chance(now) == now + wait);
    now += wait;
  }
}

TEST_CASE("an instance that is taken out gets nothing new and stays until its last connection ends") {
  balancer x;
  x.set({remote("a"), remote("b")});
  CHECK(chosen(x) == "a");
  x.set({remote("b")});
  CHECK_FALSE(x.is_ready(remote("a").key()));
  CHECK(x.uses().size() == 2);
  for (int i = 0; i < 5; ++i)
    CHECK(chosen(x) == "b");
  x.closed(remote("a").key());
  CHECK(x.uses().size() == 1);
  x.closed(remote("a").key()); // nobody's: nothing happens
}

TEST_CASE("an instance that is ready again, or in a new generation, is no longer suspected") {
  balancer x;
  x.set({local("a", 1)});
  CHECK(chosen(x) == "a");
  x.failed(local("a", 1).key(), start);
  CHECK(chosen(x) == "none");
  x.set({local("a", 2)});
  CHECK(chosen(x) == "a");
  x.failed(local("a", 2).key(), start);
  x.set({});
  x.set({local("a", 2)});
  CHECK(chosen(x) == "a");
}

TEST_CASE("an attempt goes on to the next instance when one is not reached, and asks none twice in a row") {
  balancer x;
  x.set({remote("a"), remote("b"), remote("c")});
  connect_attempt attempt({}, start);
  std::set<std::string> asked;
  for (int i = 0; i < 3; ++i) {
    const auto step = attempt.next(x, start);
    REQUIRE(step.what == move::connect);
    CHECK(step.until == start + 1s);
    asked.insert(step.backend.instance);
    attempt.failed(x, start);
  }
  CHECK(asked.size() == 3);
  const auto step = attempt.next(x, start);
  CHECK(step.what == move::wait);
  CHECK(step.until == start + 100ms); // when the first suspicion ends
  CHECK(attempt.next(x, start + 100ms).what == move::connect);
}

TEST_CASE("an attempt without instances waits until one is ready, for 5 s and not a moment longer") {
  balancer x;
  connect_attempt attempt({}, start);
  CHECK(attempt.next(x, start).what == move::wait);
  const auto last = attempt.next(x, start + 4'999ms);
  CHECK(last.what == move::wait);
  CHECK(last.until == start + 5s);
  CHECK(attempt.next(x, start + 5s).what == move::give_up);
  x.set({local("a")});
  CHECK(attempt.next(x, start + 5s).what == move::give_up);
  connect_attempt other({}, start);
  CHECK(other.next(x, start + 4'500ms).until == start + 5s); // a connect gets what is left
}

TEST_CASE("a connection that was reached ends the suspicion") {
  balancer x;
  x.set({local("a")});
  connect_attempt attempt({}, start);
  REQUIRE(attempt.next(x, start).what == move::connect);
  attempt.failed(x, start);
  REQUIRE(attempt.next(x, start + 100ms).what == move::connect);
  attempt.connected(x);
  x.closed(local("a").key());
  CHECK(chosen(x, start + 100ms) == "a");
  x.failed(local("a").key(), start + 100ms);
  CHECK(x.next_chance(start + 100ms) == start + 200ms); // as the first
}

TEST_CASE("frames are read as they were written, one byte short of a whole one is partial") {
  std::string bytes;
  append_frame(bytes, door_frame_type::data, std::string(65'535, 'x'));
  append_frame(bytes, door_frame_type::end, "");
  door_frame frame;
  for (std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{2}, door_frame_header + 65'534})
    CHECK(read_frame(std::string_view{bytes}.substr(0, size), frame) == frame_state::partial);
  REQUIRE(read_frame(bytes, frame) == frame_state::complete);
  CHECK(frame.type == door_frame_type::data);
  CHECK(frame.payload.size() == 65'535);
  REQUIRE(read_frame(std::string_view{bytes}.substr(door_frame_header + 65'535), frame) == frame_state::complete);
  CHECK(frame.type == door_frame_type::end);
  CHECK(frame.payload.empty());
}

TEST_CASE("a type that no door sends is bad from its first byte on") {
  door_frame frame;
  CHECK(read_frame(std::string_view{"\0", 1}, frame) == frame_state::bad);
  CHECK(read_frame("\x05", frame) == frame_state::partial);
  CHECK(read_frame("\x06", frame) == frame_state::bad);
  CHECK(read_frame("GET / HTTP/1.1", frame) == frame_state::bad);
}

TEST_CASE("what a door asks for is read as it was written, and nothing else is taken") {
  const door_request request{prunella::config::port_protocol::udp, 65'535, ~std::uint64_t{0} - 1, "default.shop.web-1"};
  const auto bytes = encode(request);
  const auto read = decode_request(bytes);
  REQUIRE(read);
  CHECK(read->protocol == request.protocol);
  CHECK(read->port == request.port);
  CHECK(read->generation == request.generation);
  CHECK(read->instance == request.instance);
  for (std::size_t size = 0; size <= bytes.size() - request.instance.size(); ++size)
    CHECK_FALSE(decode_request(std::string_view{bytes}.substr(0, size)));
  auto other = bytes;
  other[0] = 2; // version
  CHECK_FALSE(decode_request(other));
  other = bytes;
  other[1] = 2; // protocol
  CHECK_FALSE(decode_request(other));
  CHECK(decode_request(encode({{}, 1, 1, std::string(255, 'a')})));
  CHECK_FALSE(decode_request(encode({{}, 1, 1, std::string(256, 'a')})));
}
