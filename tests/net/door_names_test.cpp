// Doors that answer for services by their names: at addresses of their own, on the services' own ports.

#include "tests/net/door_fixture.hpp"

#include <unistd.h>

using namespace prunella;
using namespace prunella::tests;

namespace {

std::uint16_t port_of(const std::string& address) {
  return static_cast<std::uint16_t>(std::stoul(address.substr(address.rfind(':') + 1)));
}

/// A service by its name, at `address` if that is not empty.
net::door_service named_service(const std::string& name, std::uint16_t port, const std::string& address,
                                std::vector<net::door_backend> backends) {
  auto service = service_on(port, std::move(backends));
  service.name = name;
  service.is_named = true;
  service.address = address;
  return service;
}

} // namespace

TEST_CASE("a published port and services of the same number at addresses of their own each lead to their own instances") {
  if (::access("/proc/net/if_inet6", R_OK) != 0) {
    MESSAGE("SKIPPED: this machine has no IPv6");
    return;
  }
  // It listens on all addresses, as a host that is not one of several on its machine.
  test_doors doors(1, [](net::door_options& x) { x.address = "10.255.255.1"; });
  const letter_server published('p'), first('a'), second('b');
  const auto port = free_port("[::]");
  const auto at = [&](const std::string& last) { return doors.address(1).substr(0, doors.address(1).rfind('.') + 1) + last; };
  const auto on = [&](const std::string& host) { return host + ':' + std::to_string(port); };
  const auto names = std::vector{named_service("default.shop.a", port, at("101"), {local_backend("a", first.address())}),
                                 named_service("default.shop.b", port, at("102"), {local_backend("b", second.address())})};
  auto all = names;
  all.push_back(service_on(port, {local_backend("p", published.address())}));
  for (const auto& services : {all, std::vector{all[2], all[0], all[1]}}) { // whichever comes first
    doors.apply(1, {});
    const auto status = doors.apply(1, services);
    REQUIRE(status.size() == 1); // names are not published
    CHECK(status[0].problem == "");
    CHECK(ask_once(on("127.0.0.1")) == 'p');
    CHECK(ask_once(on(at("101"))) == 'a');
    CHECK(ask_once(on(at("102"))) == 'b');
  }
  doors.apply(1, names);
  CHECK(ask_once(on("127.0.0.1")) == '-');
  CHECK(ask_once(on(at("101"))) == 'a');
}

TEST_CASE("a number that somebody else listens on is not shared with them") {
  test_doors doors(1);
  const letter_server instance('i');
  const test_listener squatter(doors.address(1) + ":0");
  const auto status = doors.apply(1, {service_on(port_of(squatter.address()), {local_backend("a", instance.address())})});
  CHECK(status.at(0).problem.find("is in use on this host") != std::string::npos);
}

TEST_CASE("a service whose name nobody asks for here is not listened on, and its instances serve other hosts") {
  test_doors doors(2);
  const letter_server instance('i');
  const auto target = port_of(instance.address());
  const auto address = doors.address(2).substr(0, doors.address(2).rfind('.') + 1) + "101";
  doors.apply(1, {named_service("default.shop.web", target, "", {local_backend("default.shop.web-1", instance.address())})});
  doors.apply(2, {named_service("default.shop.web", target, address, {remote_backend("default.shop.web-1", 1)})});
  CHECK(ask_once(address + ':' + std::to_string(target)) == 'i');
  // Published under another number, it is the same instance.
  auto published = service_on(free_port(doors.address(2)), {remote_backend("default.shop.web-1", 1)});
  published.target = target;
  doors.apply(2, {published});
  CHECK(ask_once(doors.address(2) + ':' + std::to_string(published.port)) == 'i');
  doors.apply(1, {});
  doors.apply(2, {});
}
