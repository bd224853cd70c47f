// DNS messages and the table of names, without sockets.

#include <doctest/doctest.h>

#include <random>

#include "net/names/name_server.hpp"
#include "tests/net/dns_client.hpp"

using namespace prunella;
using namespace prunella::net;
using namespace prunella::tests;

namespace {

constexpr std::uint32_t stranger = 0x0A540409;
constexpr std::uint32_t of_acme = 0x0A54040A;

name_table a_table() {
  name_table table;
  table.tenants["default"]["shop"]["web"] = {0x0A540601, {{"http", config::port_protocol::tcp, 8080}}};
  table.tenants["acme"]["shop"]["web"] = {0x0A540602, {{"http", config::port_protocol::tcp, 80}}};
  table.tenants["acme"]["shop"]["log"] = {0x0A540603, {{"in", config::port_protocol::udp, 514}}};
  table.tenant_of[of_acme] = "acme";
  return table;
}

std::optional<dns_answer> ask(const std::string& name, dns_type type = dns_type::a, std::uint32_t client = stranger) {
  const auto query = parse_dns_query(dns_question(name, type));
  REQUIRE(query);
  return answer_by(a_table(), *query, client);
}

std::uint32_t address_of(const std::string& name, std::uint32_t client = stranger) {
  const auto answer = ask(name, dns_type::a, client);
  return answer && answer->addresses.size() == 1 ? answer->addresses[0] : 0;
}

} // namespace

TEST_CASE("a service is found by its name in the application of who asks, and by its tenant by everybody") {
  CHECK(address_of("web.shop") == 0x0A540601);
  CHECK(address_of("WEB.Shop") == 0x0A540601);
  CHECK(address_of("web.shop", of_acme) == 0x0A540602);
  CHECK(address_of("web.shop.acme") == 0x0A540602);
  CHECK(address_of("web.shop.default", of_acme) == 0x0A540601);
  CHECK(ask("web.shop")->zone == "shop");
  CHECK(ask("web.shop")->lifetime_s == name_lifetime_s);
}

TEST_CASE("what an application does not have has no name, what is below none is for other servers") {
  CHECK(ask("log.shop")->code == dns_code::no_name);
  CHECK(ask("log.shop", dns_type::a, of_acme)->code == dns_code::done);
  CHECK_FALSE(ask("shop"));
  CHECK_FALSE(ask("web.other"));
  CHECK_FALSE(ask("web.shop.nobody"));
  CHECK_FALSE(ask("www.web.shop.acme"));
  CHECK_FALSE(ask(""));
  CHECK_FALSE(ask("example.com"));
}

TEST_CASE("there is no address of another kind, and the answer says that there is nothing rather than no such name") {
  const auto answer = ask("web.shop", dns_type::aaaa);
  REQUIRE(answer);
  CHECK(answer->code == dns_code::done);
  CHECK(answer->addresses.empty());
  const auto reply = read_dns_reply(encode_dns_answer(*parse_dns_query(dns_question("web.shop", dns_type::aaaa)), *answer, 512));
  CHECK(reply.answers == 0);
  CHECK(reply.authorities == 1);
}

TEST_CASE("a port is found by its name and protocol") {
  const auto found = ask("_http._tcp.web.shop", dns_type::srv);
  REQUIRE(found);
  REQUIRE(found->services.size() == 1);
  CHECK(found->services[0] == dns_service{8080, "web.shop"});
  CHECK(found->target_address == 0x0A540601);
  CHECK(ask("_http._udp.web.shop", dns_type::srv)->code == dns_code::no_name);
  CHECK(ask("_https._tcp.web.shop", dns_type::srv)->code == dns_code::no_name);
  CHECK(ask("_http._tcp.web.shop", dns_type::a)->addresses.empty());
  CHECK(ask("web.shop", dns_type::srv)->services.size() == 1);
  CHECK(ask("_in._udp.log.shop.acme", dns_type::srv)->services[0] == dns_service{514, "log.shop.acme"});
}

TEST_CASE("an answer repeats the question, says who knows and fits") {
  const auto asked = dns_question("web.shop", dns_type::a, 1'232);
  const auto query = parse_dns_query(asked);
  REQUIRE(query);
  CHECK(query->has_edns);
  CHECK(query->udp_bytes == 1'232);
  const auto bytes = encode_dns_answer(*query, *ask("web.shop"), query->udp_bytes);
  const auto reply = read_dns_reply(bytes);
  CHECK(reply.id == dns_test_id);
  CHECK(reply.code == 0);
  CHECK(reply.is_authoritative);
  CHECK(reply.addresses == std::vector<std::string>{"10.84.6.1"});
  CHECK(is_answer_to(bytes, asked));
  CHECK_FALSE(is_answer_to(bytes, dns_question("web.chop", dns_type::a)));
  dns_answer many;
  many.zone = "shop";
  many.addresses.assign(100, 0x0A540601);
  const auto cut = encode_dns_answer(*query, many, 512);
  CHECK(cut.size() <= 512);
  CHECK(read_dns_reply(cut).is_cut);
  CHECK_FALSE(read_dns_reply(encode_dns_answer(*query, many, 65'535)).is_cut);
}

TEST_CASE("what is no question is not answered, and half of one is called malformed") {
  const auto good = dns_question("web.shop", dns_type::a);
  for (std::size_t size = 0; size < 12; ++size)
    CHECK_FALSE(parse_dns_query(std::string_view{good}.substr(0, size)));
  for (std::size_t size = 12; size < good.size(); ++size)
    CHECK(parse_dns_query(std::string_view{good}.substr(0, size))->question.empty());
  CHECK_FALSE(parse_dns_query(encode_dns_answer(*parse_dns_query(good), {}, 512)));
  auto pointer = good.substr(0, 12) + "\xc0\x0c" + std::string("\0\1\0\1", 4); // to itself
  CHECK(parse_dns_query(pointer)->question.empty());
  auto two = good;
  two[5] = 2;
  CHECK(parse_dns_query(two)->question.empty());
  const auto long_name = [](std::size_t labels) {
    std::string name;
    for (std::size_t i = 0; i < labels; ++i)
      name += (name.empty() ? "" : ".") + std::string(62, 'a');
    return dns_question(name, dns_type::a);
  };
  CHECK_FALSE(parse_dns_query(long_name(4))->question.empty());
  CHECK(parse_dns_query(long_name(5))->question.empty());
  const auto odd = parse_dns_query(dns_question("web shop.x", dns_type::a));
  CHECK(odd->name.empty()); // passed on as it is
  CHECK_FALSE(odd->question.empty());
}

TEST_CASE("random bytes are read without harm") {
  std::mt19937 random{7};
  const auto good = dns_question("_http._tcp.web.shop", dns_type::srv, 4'096);
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = good.substr(0, random() % (good.size() + 1));
    for (auto i = random() % 4; i > 0 && !bytes.empty(); --i)
      bytes[random() % bytes.size()] = static_cast<char>(random() % 256);
    const auto query = parse_dns_query(bytes);
    if (!query)
      continue;
    const auto answer = answer_by(a_table(), *query, stranger).value_or(dns_answer{});
    CHECK_FALSE(parse_dns_query(encode_dns_answer(*query, answer, 512)));
  }
}

TEST_CASE("of a resolv.conf the first three servers count, without ourselves") {
  CHECK(resolvers_in("search lan\nnameserver 10.84.0.1\nnameserver 10.0.0.1\n#nameserver 1.1.1.1\nnameserver fd00::1\n"
                     "nameserver nonsense\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n",
                     "10.84.0.1")
        == std::vector<std::string>{"10.0.0.1", "fd00::1", "10.0.0.3"});
  CHECK(resolvers_in("", "10.84.0.1").empty());
}
