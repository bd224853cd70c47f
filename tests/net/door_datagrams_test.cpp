// Doors with real sockets: datagrams, and the answers to them.

#include "tests/net/door_fixture.hpp"

#include <string>
#include <thread>

#include <unistd.h>

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

TEST_CASE("datagrams reach an instance here and on another host, and its answers come back to the client who asked") {
  test_doors doors(2);
  const auto instance = test_listener::open("127.0.0.1:0", SOCK_DGRAM);
  const auto port = free_port(doors.address(1), SOCK_DGRAM);
  const auto udp = config::port_protocol::udp;
  doors.apply(1, {service_on(port, {remote_backend("a", 2)}, udp)});
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)}, udp)});
  for (const int host : {1, 2}) {
    const auto one = connect_to(doors.address(host) + ':' + std::to_string(port), SOCK_DGRAM);
    const auto other = connect_to(doors.address(host) + ':' + std::to_string(port), SOCK_DGRAM);
    for (const auto* client : {&one, &other, &one}) {
      const std::string question = client == &one ? std::string(9'000, 'q') : std::string{};
      REQUIRE(::send(client->fd(), question.data(), question.size(), 0) >= 0);
      sockaddr_storage from{};
      socklen_t size = sizeof from;
      std::string got(65'536, '\0');
      const auto n = ::recvfrom(instance.fd(), got.data(), got.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
      REQUIRE(n == static_cast<ssize_t>(question.size()));
      const std::string answer = client == &one ? "to one" : "to other";
      REQUIRE(::sendto(instance.fd(), answer.data(), answer.size(), 0, reinterpret_cast<sockaddr*>(&from), size) > 0);
      CHECK(client->receive_datagram() == answer);
    }
    CHECK(doors.status(host).accepted == 2);
  }
}

TEST_CASE("the answer to a datagram leaves from the address that was asked, on IPv4 and IPv6") {
  if (::access("/proc/net/if_inet6", R_OK) != 0) {
    MESSAGE("SKIPPED: this machine has no IPv6");
    return;
  }
  test_doors doors(1, [](net::door_options& x) { x.address = "10.255.255.1"; });
  const auto instance = test_listener::open("127.0.0.1:0", SOCK_DGRAM);
  const auto port = free_port("[::]", SOCK_DGRAM);
  doors.apply(1, {service_on(port, {local_backend("a", instance.address())}, config::port_protocol::udp)});
  for (const auto* address : {"127.0.0.1:", "127.0.0.77:", "[::1]:"}) {
    const auto client = connect_to(address + std::to_string(port), SOCK_DGRAM); // takes nothing from elsewhere
    CHECK(client.send("x"));
    sockaddr_storage from{};
    socklen_t size = sizeof from;
    char byte = 0;
    REQUIRE(::recvfrom(instance.fd(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&from), &size) == 1);
    REQUIRE(::sendto(instance.fd(), "y", 1, 0, reinterpret_cast<sockaddr*>(&from), size) == 1);
    CHECK(client.receive_datagram() == "y");
  }
}

TEST_CASE("a client whose instance is taken out is sent to another one with its next datagram") {
  test_doors doors(1);
  const auto first = test_listener::open("127.0.0.1:0", SOCK_DGRAM);
  const auto second = test_listener::open("127.0.0.1:0", SOCK_DGRAM);
  const auto port = free_port(doors.address(1), SOCK_DGRAM);
  const auto udp = config::port_protocol::udp;
  doors.apply(1, {service_on(port, {local_backend("a", first.address())}, udp)});
  const auto client = connect_to(doors.address(1) + ':' + std::to_string(port), SOCK_DGRAM);
  CHECK(client.send("1"));
  CHECK(first.receive_datagram() == "1");
  doors.apply(1, {service_on(port, {local_backend("b", second.address())}, udp)});
  CHECK(client.send("2"));
  CHECK(second.receive_datagram() == "2");
}

TEST_CASE("of one flow that may be open, another client's datagrams are dropped until the first has been silent for long") {
  test_doors doors(1, [](net::door_options& x) {
    x.max_flows = 1;
    x.flow_timeout = 50ms;
  });
  const auto instance = test_listener::open("127.0.0.1:0", SOCK_DGRAM);
  const auto port = free_port(doors.address(1), SOCK_DGRAM);
  doors.apply(1, {service_on(port, {local_backend("a", instance.address())}, config::port_protocol::udp)});
  const auto address = doors.address(1) + ':' + std::to_string(port);
  const auto one = connect_to(address, SOCK_DGRAM);
  CHECK(one.send("1"));
  CHECK(instance.receive_datagram() == "1");
  const auto other = connect_to(address, SOCK_DGRAM);
  CHECK(other.send("x"));
  while (doors.status(1).unserved == 0)
    std::this_thread::yield();
  while (doors.status(1).backends.at(0).open > 0)
    std::this_thread::yield();
  CHECK(other.send("2"));
  CHECK(instance.receive_datagram() == "2");
}
