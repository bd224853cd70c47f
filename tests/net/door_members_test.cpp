// Doors with real sockets: who may use the tunnels between them.

#include "tests/net/door_fixture.hpp"

#include <string>
#include <thread>

using namespace prunella;
using namespace prunella::tests;

TEST_CASE("only hosts of the site reach an instance through a tunnel, each other is turned away before it can ask") {
  test_doors doors(3);
  const letter_server instance('i');
  const auto port = free_port(doors.address(1));
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)})});
  const auto service = service_on(port, {remote_backend("a", 2)});
  doors.apply(1, {service});
  CHECK(ask_once(doors.address(1) + ':' + std::to_string(port)) == 'i');

  // No member any more: its certificate is as good as before.
  net::door_plan without_third;
  without_third.services = {service_on(port, {local_backend("a", instance.address(), 2)})};
  without_third.peers["host-1"] = {doors.tunnel(1), false};
  doors.door(2).apply(without_third);
  doors.all(2);
  doors.apply(3, {service});
  const auto late = connect_to(doors.address(3) + ':' + std::to_string(port));
  CHECK(ask_once(doors.address(1) + ':' + std::to_string(port)) == 'i');
  const timeval soon{0, 500'000};
  ::setsockopt(late.fd(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
  CHECK_THROWS(late.receive(1));

  // Another site's host of the same name.
  test_doors strangers(2);
  net::door_plan plan;
  plan.services = {service};
  plan.peers["host-2"] = {doors.tunnel(2), false};
  strangers.door(1).apply(plan);
  strangers.all(1);
  const auto stranger = connect_to(strangers.address(1) + ':' + std::to_string(port));
  ::setsockopt(stranger.fd(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon);
  CHECK_THROWS(stranger.receive(1));
}

TEST_CASE("a door that shows another host's certificate is not used") {
  test_doors doors(3);
  const letter_server right('r');
  const letter_server wrong('w');
  const auto port = free_port(doors.address(1));
  doors.apply(2, {service_on(port, {local_backend("a", wrong.address(), 2)})});
  doors.apply(3, {service_on(port, {local_backend("b", right.address(), 3)})});
  net::door_plan plan;
  plan.services = {service_on(port, {{"a", 1, "host-3", {}}, {"b", 1, "host-3", {}}})};
  plan.peers["host-3"] = {doors.tunnel(2), false}; // host 2 is behind that address
  doors.door(1).apply(plan);
  doors.all(1);
  const auto client = connect_to(doors.address(1) + ':' + std::to_string(port));
  while (doors.status(1).accepted == 0)
    std::this_thread::yield();
  plan.peers["host-3"] = {doors.tunnel(3), false};
  doors.door(1).apply(plan);
  CHECK(client.receive(1) == "r");
}

TEST_CASE("bytes that no door sends end their connection, and the door goes on") {
  test_doors doors(2);
  const letter_server instance('i');
  const auto port = free_port(doors.address(1));
  doors.apply(1, {service_on(port, {remote_backend("a", 2)})});
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)})});
  for (const std::string& bytes : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100'000, '\0'), many_bytes(100'000, 7)}) {
    const auto hostile = connect_to(doors.tunnel(2));
    hostile.send(bytes);
    char byte = 0;
    while (::recv(hostile.fd(), &byte, 1, 0) > 0) { // an alert, perhaps
    }
    CHECK(ask_once(doors.address(1) + ':' + std::to_string(port)) == 'i');
  }
}
