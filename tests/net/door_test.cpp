// Doors with real sockets: what a client sees of its connection.

#include "tests/net/door_fixture.hpp"

#include <chrono>
#include <mutex>
#include <thread>

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

void check_both_ways(const test_socket& client, const test_socket& instance) {
  CHECK(client.send("question"));
  CHECK(instance.receive(8) == "question");
  CHECK(instance.send("answer"));
  CHECK(client.receive(6) == "answer");
}

} // namespace

TEST_CASE("a connection reaches an instance of this host, and each side may end while the other goes on") {
  test_doors doors(1);
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {local_backend("a", instance.address())})});
  const auto client = connect_to(doors.address(1) + ':' + std::to_string(port));
  const auto served = instance.accept();
  check_both_ways(client, served);
  client.end_of_sending();
  CHECK(served.receive_to_end() == "");
  CHECK(served.send("late answer"));
  served.end_of_sending();
  CHECK(client.receive_to_end() == "late answer");
  CHECK(doors.status(1).accepted == 1);
  CHECK(doors.status(1).unserved == 0);
}

TEST_CASE("a connection reaches an instance that listens on another host's loopback only, again and again") {
  test_doors doors(2);
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {remote_backend("a", 2)})});
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)})});
  for (int i = 0; i < 20; ++i) {
    const auto client = connect_to(doors.address(1) + ':' + std::to_string(port));
    const auto served = instance.accept();
    check_both_ways(client, served);
    if (i % 2 == 0) {
      client.end_of_sending();
      CHECK(served.receive_to_end() == "");
      CHECK(served.send("bye"));
      served.end_of_sending();
      CHECK(client.receive_to_end() == "bye");
    } else {
      served.end_of_sending();
      CHECK(client.receive_to_end() == "");
      client.end_of_sending();
      CHECK(served.receive_to_end() == "");
    }
  }
}

TEST_CASE("8 MiB go both ways at once, here and to another host, byte for byte") {
  test_doors doors(2);
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {remote_backend("a", 2)})});
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)})});
  const auto there = many_bytes(8u << 20, 1);
  const auto back = many_bytes(8u << 20, 2);
  for (const int host : {1, 2}) {
    const auto client = connect_to(doors.address(host) + ':' + std::to_string(port));
    const auto served = instance.accept();
    std::string got_there;
    std::string got_back;
    std::thread writer([&] {
      client.send(there);
      client.end_of_sending();
    });
    std::thread answerer([&] {
      served.send(back);
      served.end_of_sending();
    });
    std::thread reader([&] { got_there = served.receive_to_end(); });
    got_back = client.receive_to_end();
    writer.join();
    answerer.join();
    reader.join();
    CHECK((got_there == there));
    CHECK((got_back == back));
  }
}

TEST_CASE("who sends to an instance that does not read is stopped, and nothing is lost when it reads again") {
  test_doors doors(2);
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {remote_backend("a", 2)})});
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)})});
  for (const int host : {1, 2}) {
    const auto client = connect_to(doors.address(host) + ':' + std::to_string(port));
    const auto served = instance.accept();
    const timeval soon{0, 300'000};
    ::setsockopt(client.fd(), SOL_SOCKET, SO_SNDTIMEO, &soon, sizeof soon);
    const auto part = many_bytes(1u << 20, 3);
    std::size_t sent = 0;
    ssize_t n = 1;
    for (; n > 0 && sent < (256u << 20); sent += n > 0 ? static_cast<std::size_t>(n) : 0)
      n = ::send(client.fd(), part.data() + sent % part.size(), part.size() - sent % part.size(), MSG_NOSIGNAL);
    CHECK(n < 0); // the kernel's buffers and ours are full
    CHECK(sent < (64u << 20));
    client.end_of_sending();
    const auto got = served.receive_to_end();
    CHECK(got.size() == sent);
    CHECK((got.substr(0, part.size()) == part.substr(0, got.size())));
  }
}

TEST_CASE("an instance is reached at the first of its addresses that does not refuse") {
  test_doors doors(1);
  const letter_server good('g');
  std::string closed;
  { closed = test_listener().address(); }
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {{"a", 1, "host-1", {closed, good.address()}}})});
  CHECK(ask_once(doors.address(1) + ':' + std::to_string(port)) == 'g');
  CHECK(doors.status(1).backends.at(0).is_ready);
}

TEST_CASE("an instance that refuses is left out and every client is served by the other") {
  test_doors doors(1);
  const letter_server good('g');
  std::string closed;
  { closed = test_listener().address(); }
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {local_backend("bad", closed), local_backend("good", good.address())})});
  for (int i = 0; i < 30; ++i)
    CHECK(ask_once(doors.address(1) + ':' + std::to_string(port)) == 'g');
  CHECK(doors.status(1).unserved == 0);
}

TEST_CASE("an instance of another host that is not there any more is left out and every client is served") {
  test_doors doors(3);
  const letter_server good('g');
  std::string closed;
  { closed = test_listener().address(); }
  const auto port = free_port(doors.address(1));
  // Of host 2 the door knows nothing of it, on host 3 it does not listen.
  doors.apply(2, {});
  doors.apply(3, {service_on(port, {local_backend("c", closed, 3), local_backend("good", good.address(), 3)})});
  doors.apply(1, {service_on(port, {remote_backend("b", 2), remote_backend("c", 3), remote_backend("good", 3)})});
  for (int i = 0; i < 30; ++i)
    CHECK(ask_once(doors.address(1) + ':' + std::to_string(port)) == 'g');
  doors.close(2);
  for (int i = 0; i < 30; ++i)
    CHECK(ask_once(doors.address(1) + ':' + std::to_string(port)) == 'g');
}

TEST_CASE("a client that comes while no instance is ready waits for one") {
  test_doors doors(1);
  const letter_server late('l');
  const auto port = free_port(doors.address(1));
  const auto address = doors.address(1) + ':' + std::to_string(port);
  doors.apply(1, {service_on(port, {})});
  const auto client = connect_to(address);
  while (doors.status(1).accepted == 0)
    std::this_thread::yield();
  doors.apply(1, {service_on(port, {local_backend("a", late.address())})});
  CHECK(client.receive(1) == "l");
}

TEST_CASE("a client for whom no instance gets ready in time is reset, and counted") {
  test_doors doors(1, [](net::door_options& x) { x.attempt.patience = 60ms; });
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {})});
  const auto client = connect_to(doors.address(1) + ':' + std::to_string(port));
  CHECK(client.is_reset());
  CHECK(doors.status(1).unserved == 1);
}

TEST_CASE("an instance that is being stopped keeps its open connection and gets no new one") {
  test_doors doors(1);
  const test_listener old_instance;
  const letter_server next('n');
  const auto port = free_port(doors.address(1));
  const auto address = doors.address(1) + ':' + std::to_string(port);
  doors.apply(1, {service_on(port, {local_backend("old", old_instance.address())})});
  const auto client = connect_to(address);
  const auto served = old_instance.accept();
  check_both_ways(client, served);
  const auto status = doors.apply(1, {service_on(port, {local_backend("next", next.address())})});
  REQUIRE(status.at(0).backends.size() == 2);
  CHECK(status[0].backends[1].instance == "old");
  CHECK_FALSE(status[0].backends[1].is_ready);
  CHECK(status[0].backends[1].open == 1);
  for (int i = 0; i < 5; ++i)
    CHECK(ask_once(address) == 'n');
  check_both_ways(client, served);
}

TEST_CASE("an instance is unused when the last connection to it has ended, of clients here and of another host") {
  test_doors doors(2);
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  const auto known = local_backend("a", instance.address());
  doors.apply(1, {service_on(port, {known})});
  doors.apply(2, {service_on(port, {remote_backend("a", 1)})});
  auto here = std::make_unique<test_socket>(connect_to(doors.address(1) + ':' + std::to_string(port)));
  auto served_here = std::make_unique<test_socket>(instance.accept());
  auto there = std::make_unique<test_socket>(connect_to(doors.address(2) + ':' + std::to_string(port)));
  auto served_there = std::make_unique<test_socket>(instance.accept());
  check_both_ways(*here, *served_here);
  check_both_ways(*there, *served_there);
  doors.apply(1, {service_on(port, {})});

  std::promise<void> promise;
  auto unused = promise.get_future();
  doors.door(1).when_unused(known.key(), [&] { promise.set_value(); });
  const auto is_unused = [&] {
    doors.all(1); // the door's thread was there in between
    return unused.wait_for(0s) == std::future_status::ready;
  };
  CHECK_FALSE(is_unused());
  here.reset();
  CHECK(served_here->receive_to_end().empty());
  served_here.reset();
  CHECK_FALSE(is_unused());
  check_both_ways(*there, *served_there);
  there.reset();
  CHECK(served_there->receive_to_end().empty());
  served_there.reset();
  CHECK(unused.wait_for(10s) == std::future_status::ready);
  std::promise<void> at_once;
  doors.door(1).when_unused(known.key(), [&] { at_once.set_value(); });
  CHECK(at_once.get_future().wait_for(10s) == std::future_status::ready);
}

TEST_CASE("who lost an instance before it said a word is served by another one at the next try") {
  test_doors doors(2);
  const letter_server good('g');
  const test_listener dying;
  const auto port = free_port(doors.address(1));
  const auto address = doors.address(1) + ':' + std::to_string(port);
  SUBCASE("here") {
    doors.apply(1, {service_on(port, {local_backend("bad", dying.address()), local_backend("good", good.address())})});
  }
  SUBCASE("on another host") {
    doors.apply(2, {service_on(port, {local_backend("bad", dying.address(), 2), local_backend("good", good.address(), 2)})});
    doors.apply(1, {service_on(port, {remote_backend("bad", 2), remote_backend("good", 2)})});
  }
  const auto client = connect_to(address);
  {
    const auto served = dying.accept();
    REQUIRE(client.send("question")); // before that the door goes on to the next by itself
    REQUIRE(served.receive(8) == "question");
    const linger now{1, 0};
    REQUIRE(::setsockopt(served.fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
  }
  CHECK(client.is_reset());
  CHECK(ask_once(address) == 'g');
  CHECK(ask_once(address) == 'g');
}

TEST_CASE("a port that is no longer published is closed, what is open stays open") {
  test_doors doors(1);
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  const auto address = doors.address(1) + ':' + std::to_string(port);
  doors.apply(1, {service_on(port, {local_backend("a", instance.address())})});
  const auto client = connect_to(address);
  const auto served = instance.accept();
  CHECK(doors.apply(1, {}).empty());
  CHECK_THROWS(connect_to(address));
  check_both_ways(client, served);
}

TEST_CASE("connections to a host that the site gave up are reset, those to others go on") {
  test_doors doors(3);
  const test_listener lost;
  const test_listener kept;
  const auto port = free_port(doors.address(1));
  const auto address = doors.address(1) + ':' + std::to_string(port);
  doors.apply(2, {service_on(port, {local_backend("b", lost.address(), 2)})});
  doors.apply(3, {service_on(port, {local_backend("c", kept.address(), 3)})});
  doors.apply(1, {service_on(port, {remote_backend("b", 2)})});
  const auto one = connect_to(address);
  const auto one_served = lost.accept();
  check_both_ways(one, one_served);
  doors.apply(1, {service_on(port, {remote_backend("c", 3)})});
  const auto other = connect_to(address);
  const auto other_served = kept.accept();
  check_both_ways(other, other_served);
  check_both_ways(one, one_served);
  doors.apply(1, {service_on(port, {remote_backend("c", 3)})}, "host-2");
  CHECK(one.is_reset());
  check_both_ways(other, other_served);
}

TEST_CASE("a port that is taken is said to be so once, other ports work, and it is listened on when it is free") {
  static std::mutex mutex;
  static std::vector<std::string> said;
  said.clear();
  test_doors doors(1, [](net::door_options& x) {
    x.listen_retry = 5ms;
    x.on_listener = [](const net::door_listener_event& event) {
      const std::lock_guard<std::mutex> guard(mutex);
      said.push_back(event.problem);
    };
  });
  const letter_server instance('i');
  const auto taken = free_port(doors.address(1));
  auto squatter = std::make_unique<test_listener>(doors.address(1) + ':' + std::to_string(taken));
  const auto other = free_port(doors.address(1)); // the first is taken
  const auto backends = std::vector<net::door_backend>{local_backend("a", instance.address())};
  auto status = doors.apply(1, {service_on(taken, backends), service_on(other, backends)});
  REQUIRE(status.size() == 2);
  const auto problem_of_taken = [&] { return status.at(status[0].port == taken ? 0 : 1).problem; };
  CHECK(problem_of_taken().find("/tcp is in use on this host") != std::string::npos);
  CHECK(status[status[0].port == taken ? 0 : 1].addresses.empty());
  CHECK(ask_once(doors.address(1) + ':' + std::to_string(other)) == 'i');
  squatter.reset();
  const auto limit = std::chrono::steady_clock::now() + 10s;
  while (!problem_of_taken().empty() && std::chrono::steady_clock::now() < limit) {
    std::this_thread::yield();
    status = doors.all(1);
  }
  CHECK(ask_once(doors.address(1) + ':' + std::to_string(taken)) == 'i');
  const std::lock_guard<std::mutex> guard(mutex);
  REQUIRE(said.size() == 2);
  CHECK(said[0].find("in use") != std::string::npos);
  CHECK(said[1] == "");
}

TEST_CASE("a host with an address of its own answers on IPv4 and IPv6, a port for the host itself only on loopback") {
  if (::access("/proc/net/if_inet6", R_OK) != 0) {
    MESSAGE("SKIPPED: this machine has no IPv6");
    return;
  }
  test_doors doors(1, [](net::door_options& x) { x.address = "10.255.255.1"; });
  const letter_server instance('i', "[::1]:0");
  const auto port = std::to_string(free_port("[::]"));
  auto own = port;
  while (own == port)
    own = std::to_string(free_port("[::]"));
  const std::vector<net::door_backend> backends{local_backend("a", instance.address())};
  auto for_host = service_on(static_cast<std::uint16_t>(std::stoul(own)), backends);
  for_host.scope = config::publish_scope::loopback;
  const auto status = doors.apply(1, {service_on(static_cast<std::uint16_t>(std::stoul(port)), backends), for_host});
  for (const auto& x : status) {
    CHECK(x.problem == "");
    CHECK(x.addresses == (std::to_string(x.port) == own ? std::vector<std::string>{"127.0.0.1:" + own, "[::1]:" + own}
                                                          : std::vector<std::string>{"[::]:" + port}));
  }
  CHECK(ask_once("127.0.0.1:" + port) == 'i');
  CHECK(ask_once("127.0.0.2:" + port) == 'i');
  CHECK(ask_once("[::1]:" + port) == 'i');
  CHECK(ask_once("127.0.0.1:" + own) == 'i');
  CHECK(ask_once("[::1]:" + own) == 'i');
  CHECK(ask_once("127.0.0.2:" + own) == '-');
}

TEST_CASE("of two connections that may be open, the third client waits until one ends") {
  test_doors doors(1, [](net::door_options& x) { x.max_connections = 2; });
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  const auto address = doors.address(1) + ':' + std::to_string(port);
  doors.apply(1, {service_on(port, {local_backend("a", instance.address())})});
  auto first = std::make_unique<test_socket>(connect_to(address));
  const auto first_served = instance.accept();
  const auto second = connect_to(address);
  const auto second_served = instance.accept();
  const auto third = connect_to(address); // the kernel's
  CHECK(third.send("hello"));
  check_both_ways(second, second_served);
  CHECK(doors.status(1).accepted == 2);
  first.reset();
  first_served.end_of_sending();
  const auto third_served = instance.accept();
  CHECK(third_served.receive(5) == "hello");
}

TEST_CASE("a connection on which nothing moves for too long is ended on both sides") {
  test_doors doors(1, [](net::door_options& x) { x.idle_timeout = 100ms; });
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {local_backend("a", instance.address())})});
  const auto client = connect_to(doors.address(1) + ':' + std::to_string(port));
  const auto served = instance.accept();
  check_both_ways(client, served);
  CHECK(client.is_reset());
  CHECK(served.is_reset());
}

TEST_CASE("a client that resets its connection resets it for the instance too") {
  test_doors doors(2);
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {remote_backend("a", 2)})});
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)})});
  for (const int host : {1, 2}) {
    auto client = std::make_unique<test_socket>(connect_to(doors.address(host) + ':' + std::to_string(port)));
    const auto served = instance.accept();
    check_both_ways(*client, served);
    const linger now{1, 0};
    ::setsockopt(client->fd(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
    client.reset();
    CHECK(served.is_reset());
  }
}
