// The responder of names over real sockets on loopback, with another server behind it that the test plays.

#include <doctest/doctest.h>

#include <fstream>
#include <memory>

#include "net/names/name_server.hpp"
#include "tests/net/dns_client.hpp"
#include "tests/net/door_fixture.hpp"

using namespace prunella;
using namespace prunella::net;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

class names_under_test {
public:
  explicit names_under_test(const std::string& resolvers = "nameserver 127.0.0.1\n", void (*change)(name_server_options&) = [](name_server_options&) {}) {
    write(resolvers);
    options.address = "127.0.0.1";
    options.port = 0;
    options.clients = *config::parse_network("127.0.0.0/8");
    options.resolver_file = folder_ / "resolv.conf";
    const auto at = other.address();
    options.resolver_port = static_cast<std::uint16_t>(std::stoul(at.substr(at.rfind(':') + 1)));
    options.address = "127.0.0.2"; // a resolver at our own address would be left out
    options.patience = 200ms;
    change(options);
    server = make_name_server(options);
    name_table table;
    table.tenants["default"]["shop"]["web"] = {0x0A540601, {{"http", config::port_protocol::tcp, 8080}}};
    server->set(table);
  }

  void write(const std::string& resolvers) { std::ofstream{folder_ / "resolv.conf"} << resolvers; }
  std::string address() const { return options.address + ':' + std::to_string(server->port()); }
  test_socket client(int type = SOCK_DGRAM) const { return connect_to(address(), type); }

  dns_reply ask(const std::string& name) const {
    const auto socket = client();
    REQUIRE(socket.send(dns_question(name, dns_type::a)));
    return read_dns_reply(socket.receive_datagram());
  }

private:
  temporary_folder folder_;

public:
  test_socket other = test_listener::open("127.0.0.1:0", SOCK_DGRAM); ///< the host's resolver
  name_server_options options;
  std::unique_ptr<name_server> server;
};

/// What the resolver is asked, and where the answer goes.
struct passed_on {
  std::string bytes = std::string(4096, '\0');
  sockaddr_storage from{};
  socklen_t size = sizeof from;

  explicit passed_on(const test_socket& other) {
    const auto got = ::recvfrom(other.fd(), bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    REQUIRE(got > 0);
    bytes.resize(static_cast<std::size_t>(got));
  }
  void answer(const test_socket& other, const std::string& with) const {
    CHECK(::sendto(other.fd(), with.data(), with.size(), 0, reinterpret_cast<const sockaddr*>(&from), size) >= 0);
  }
  std::string reply(const dns_answer& x) const { return encode_dns_answer(*parse_dns_query(bytes), x, 512); }
};

} // namespace

TEST_CASE("a name of the site is answered over UDP and TCP, one question after the other") {
  const names_under_test x;
  CHECK(x.ask("web.shop").addresses == std::vector<std::string>{"10.84.6.1"});
  CHECK(x.ask("nothing.shop").code == 3);
  const auto socket = x.client(SOCK_STREAM);
  for (int i = 0; i < 3; ++i) {
    const auto question = dns_question("web.shop", dns_type::a);
    REQUIRE(socket.send(dns_number(question.size(), 2) + question));
    const auto size = socket.receive(2);
    REQUIRE(size.size() == 2);
    CHECK(read_dns_reply(socket.receive(static_cast<unsigned char>(size[1]))).addresses == std::vector<std::string>{"10.84.6.1"});
  }
}

TEST_CASE("another name is asked of the host's resolver under another number, and its answer comes back under the client's") {
  const names_under_test x;
  const auto socket = x.client();
  const auto question = dns_question("example.com", dns_type::a);
  REQUIRE(socket.send(question));
  const passed_on seen{x.other};
  CHECK(seen.bytes.substr(2) == question.substr(2));
  dns_answer given;
  given.addresses = {0x01020304};
  auto forged = seen.reply({});
  forged[0] = static_cast<char>(forged[0] ^ 1);
  seen.answer(x.other, forged); // somebody guesses
  seen.answer(x.other, seen.reply(given));
  const auto reply = read_dns_reply(socket.receive_datagram());
  CHECK(reply.id == dns_test_id);
  CHECK(reply.addresses == std::vector<std::string>{"1.2.3.4"});
}

TEST_CASE("without another server, or with one that says nothing, the answer is that it failed") {
  const names_under_test silent;
  CHECK(silent.ask("example.com").code == 2);
  const names_under_test nobody{""};
  CHECK(nobody.ask("example.com").code == 2);
  CHECK(nobody.ask("web.shop").code == 0);
}

TEST_CASE("the second resolver is asked when the first does not answer, and a changed file is read again") {
  names_under_test x{"nameserver 127.0.0.9\nnameserver 127.0.0.1\n"};
  const auto socket = x.client();
  REQUIRE(socket.send(dns_question("example.com", dns_type::a)));
  dns_answer given;
  given.addresses = {0x01020304};
  const passed_on seen{x.other};
  seen.answer(x.other, seen.reply(given));
  CHECK(read_dns_reply(socket.receive_datagram()).addresses.size() == 1);
  x.write("# none any more, and this comment makes sure of another time of change\n");
  CHECK(x.ask("example.com").code == 2);
}

TEST_CASE("beyond the bound of open questions the answer is that it failed, at once") {
  const names_under_test x{"nameserver 127.0.0.1\n", [](name_server_options& o) {
                             o.max_questions = 2;
                             o.patience = 20s;
                           }};
  const auto socket = x.client();
  for (int i = 0; i < 3; ++i)
    REQUIRE(socket.send(dns_question("example.com", dns_type::a)));
  CHECK(read_dns_reply(socket.receive_datagram()).code == 2);
}

TEST_CASE("a client with as many open questions as it may have is refused more, and another client's are asked") {
  const names_under_test x{"nameserver 127.0.0.1\n", [](name_server_options& o) {
                             o.max_questions_of_client = 2;
                             o.patience = 20s;
                           }};
  const auto greedy = x.client();
  for (int i = 0; i < 3; ++i)
    REQUIRE(greedy.send(dns_question("example.com", dns_type::a)));
  CHECK(read_dns_reply(greedy.receive_datagram()).code == 2);
  const passed_on first{x.other}, second{x.other};
  const auto to = socket_address_of(x.address());
  const auto other = test_listener::open("127.0.0.3:0", SOCK_DGRAM);
  REQUIRE(::connect(other.fd(), reinterpret_cast<const sockaddr*>(&to.storage), to.size) == 0);
  REQUIRE(other.send(dns_question("example.com", dns_type::a)));
  dns_answer given;
  given.addresses = {0x01020304};
  const passed_on third{x.other};
  third.answer(x.other, third.reply(given));
  CHECK(read_dns_reply(other.receive_datagram()).addresses.size() == 1);
  first.answer(x.other, first.reply(given));
  CHECK(read_dns_reply(greedy.receive_datagram()).addresses.size() == 1);
  REQUIRE(greedy.send(dns_question("example.com", dns_type::a))); // one has its answer, so another may be asked
  const passed_on fourth{x.other};
  fourth.answer(x.other, fourth.reply(given));
  CHECK(read_dns_reply(greedy.receive_datagram()).addresses.size() == 1);
}

TEST_CASE("who is not of the network gets no answer, and half a message does no harm") {
  const names_under_test x{"", [](name_server_options& o) { o.clients = *config::parse_network("10.0.0.0/8"); }};
  const auto stranger = x.client(SOCK_STREAM);
  CHECK(stranger.receive_to_end().empty());
  const names_under_test open;
  const auto half = open.client(SOCK_STREAM);
  REQUIRE(half.send(std::string("\0\x20only half", 11)));
  half.end_of_sending();
  CHECK(half.receive_to_end().empty());
  const auto noise = open.client();
  REQUIRE(noise.send("x"));
  REQUIRE(noise.send(dns_question("web.shop", dns_type::a)));
  CHECK(read_dns_reply(noise.receive_datagram()).addresses.size() == 1);
}

TEST_CASE("an address that is taken is named with a next step") {
  const names_under_test x;
  auto options = x.options;
  options.port = x.server->port();
  CHECK_THROWS_WITH_AS(make_name_server(options), doctest::Contains("let what listens there on all addresses"), std::runtime_error);
}
