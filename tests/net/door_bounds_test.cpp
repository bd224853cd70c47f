// What a door keeps for who asks and does not take the answers: bounds, with real sockets.

#include "tests/net/door_fixture.hpp"

#include <array>
#include <chrono>
#include <thread>

#include <malloc.h>
#include <poll.h>

#include "net/door/frame.hpp"
#include "net/door/held_datagrams.hpp"
#include "net/tls_session.hpp"
#include "tests/net/resident_memory.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// A connection whose kernel buffers are as small as they get, so that the doors have to keep what it does not take.
test_socket connect_with_small_buffer(const std::string& address) {
  const auto to = socket_address_of(address);
  test_socket socket(::socket(to.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int small = 4096;
  ::setsockopt(socket.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  REQUIRE(::connect(socket.fd(), reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0);
  return socket;
}

/// Sends on all of them until none takes a byte for a fifth of a second; how much that was.
std::vector<std::size_t> send_until_stuck(const std::vector<test_socket>& sockets) {
  const std::string part(64 * 1024, 'x');
  std::vector<std::size_t> sent(sockets.size());
  std::vector<pollfd> waiting;
  for (const auto& socket : sockets)
    waiting.push_back({socket.fd(), POLLOUT, 0});
  while (::poll(waiting.data(), waiting.size(), 200) > 0)
    for (std::size_t i = 0; i < sockets.size(); ++i)
      if (const auto n = ::send(sockets[i].fd(), part.data(), part.size(), MSG_NOSIGNAL | MSG_DONTWAIT); n > 0)
        REQUIRE((sent[i] += static_cast<std::size_t>(n)) < (64u << 20));
  return sent;
}

/// What is in use of the heap: freed memory may stay with the process.
std::size_t allocated_bytes() {
  const auto heap = ::mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

/// A host of the site that speaks with another one's door, by hand.
class raw_member {
public:
  raw_member(const net::host_identity& identity, const std::string& door)
    : session_(net::tls_context(identity), net::tls_role::client), socket_(connect_with_small_buffer(door)) {
    send_output();
    while (session_.current() == net::tls_session::state::handshaking)
      session_.feed(some());
    send_output();
    REQUIRE(session_.current() == net::tls_session::state::open);
  }

  /// False if the other side does not take it any more.
  bool send(const std::string& frames) {
    session_.write(frames);
    return send_output();
  }

private:
  std::string some() {
    std::string bytes(16 * 1024, '\0');
    const auto n = ::recv(socket_.fd(), bytes.data(), bytes.size(), 0);
    REQUIRE(n > 0);
    bytes.resize(static_cast<std::size_t>(n));
    return bytes;
  }
  bool send_output() {
    net::byte_buffer out;
    session_.take_output(out);
    return socket_.send({out.data(), out.size()});
  }

  net::tls_session session_;
  test_socket socket_;
};

} // namespace

TEST_CASE("a stalled connection through another host's door costs at most 128 KiB at both together, and nothing once it is idle") {
  constexpr std::size_t connections = 16;
  test_doors doors(2, [](net::door_options& x) { x.fast_connections = 0; });
  const test_listener instance;
  const auto port = free_port(doors.address(1));
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)})});
  doors.apply(1, {service_on(port, {remote_backend("a", 2)})});
  std::vector<test_socket> clients, served;
  for (std::size_t i = 0; i < connections; ++i) {
    clients.push_back(connect_with_small_buffer(doors.address(1) + ':' + std::to_string(port)));
    served.push_back(instance.accept());
    REQUIRE(served.back().send("!"));
    REQUIRE(clients.back().receive(1) == "!");
  }
  const auto before = allocated_bytes();
  const auto per_connection = [](std::size_t first, std::size_t now) { return (now > first ? now - first : 0) / connections; };
  const auto sent = send_until_stuck(served);
  const auto stalled = per_connection(before, allocated_bytes());
  MESSAGE("a stalled connection costs " << stalled / 1024 << " KiB");
  if (size_tells)
    CHECK(stalled <= 128u * 1024);
  for (std::size_t i = 0; i < connections; ++i)
    CHECK(clients[i].receive(sent[i]).size() == sent[i]);
  const auto until = std::chrono::steady_clock::now() + 10s;
  std::size_t idle = 0;
  do { // doors look once a second
    std::this_thread::yield();
    idle = per_connection(before, allocated_bytes());
  } while (size_tells && idle > 1024 && std::chrono::steady_clock::now() < until);
  MESSAGE("an idle one that was stalled has " << idle << " bytes more than before");
  if (size_tells)
    CHECK(idle <= 1024);
}

TEST_CASE("a host that asks for connections and takes no answer is cut off, and the door serves on") {
  test_doors doors(3);
  const letter_server instance('i');
  const auto port = free_port(doors.address(1));
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)})});
  doors.apply(1, {service_on(port, {remote_backend("a", 2)})});
  raw_member greedy(doors.identity(3), doors.tunnel(2));
  std::string many;
  for (int i = 0; i < 500; ++i)
    net::append_frame(many, net::door_frame_type::open, net::encode({config::port_protocol::tcp, 1, 1, std::string(200, 'n')}));
  std::size_t asked = 0;
  while (asked < (64u << 20) && greedy.send(many))
    asked += many.size();
  CHECK(asked < (64u << 20));
  CHECK(ask_once(doors.address(1) + ':' + std::to_string(port)) == 'i');
}

// -- datagrams that wait ---------------------------------------------------------------------------------------------------

TEST_CASE("a flow holds 16 datagrams and 64 KiB, and all flows together 4 MiB") {
  std::size_t total = 0;
  {
    net::held_datagrams many{total};
    for (int i = 0; i < 16; ++i)
      CHECK(many.add(std::to_string(i)));
    CHECK(!many.add("17th"));
    CHECK(many.take() == "0");
    CHECK(many.add("17th"));
    net::held_datagrams large{total};
    CHECK(large.add(std::string(65'507, 'x')));
    CHECK(!large.add(std::string(30, 'x')));
    CHECK(large.add(std::string(29, 'x')));
    large.clear();
    CHECK(large.empty());
    CHECK(large.add(std::string(65'536, 'x')));
  }
  CHECK(total == 0);
  net::held_datagrams last{total};
  total = net::held_datagrams::max_total - 10;
  CHECK(!last.add(std::string(11, 'x')));
  CHECK(last.add(std::string(10, 'x')));
}

TEST_CASE("datagrams for an instance that was not reached are not kept for the next one") {
  test_doors doors(2);
  const auto instance = test_listener::open("127.0.0.1:0", SOCK_DGRAM);
  const auto port = free_port(doors.address(1), SOCK_DGRAM);
  const auto udp = config::port_protocol::udp;
  const test_listener mute; // in the place of host 2's door
  net::door_plan plan;
  plan.services = {service_on(port, {remote_backend("a", 2)}, udp)};
  plan.peers["host-2"] = {mute.address(), false};
  doors.door(1).apply(plan);
  doors.all(1);
  const auto client = connect_to(doors.address(1) + ':' + std::to_string(port), SOCK_DGRAM);
  CHECK(client.send("lost"));
  {
    const auto asked = mute.accept();
    asked.receive(1);
  } // ended: the instance was not reached
  while (doors.status(1).backends.at(0).open > 0)
    std::this_thread::yield();
  doors.apply(2, {service_on(port, {local_backend("a", instance.address(), 2)}, udp)});
  doors.apply(1, {service_on(port, {remote_backend("a", 2)}, udp)});
  auto first = std::async(std::launch::async, [&] { return instance.receive_datagram(); });
  do
    client.send("next");
  while (first.wait_for(10ms) == std::future_status::timeout);
  CHECK(first.get() == "next");
}
