// Devices, addresses and announcements in network namespaces of the test's own.

#include <doctest/doctest.h>

#include <unistd.h>

#include <algorithm>
#include <thread>

#include "net/address_device.hpp"
#include "net/devices.hpp"
#include "storage/images/child_process.hpp"
#include "tests/cluster/site_network.hpp"
#include "tests/storage/outcome.hpp"

using namespace prunella;
using namespace prunella::tests;
using namespace std::chrono_literals;

namespace {

/// What `ip` prints; the test fails if it fails.
std::string ip(std::vector<std::string> words) {
  storage::child_order order;
  order.command = {"/usr/sbin/ip"};
  order.command.insert(order.command.end(), words.begin(), words.end());
  order.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  order.go_on = [](std::chrono::milliseconds passed) { return passed < 10s; };
  const auto end = must(storage::run_child(order));
  CHECK_MESSAGE(end.succeeded(), end.errors);
  return end.output;
}

int index_of(const std::string& name) {
  std::string problem;
  for (const auto& device : net::list_devices(problem))
    if (device.name == name)
      return device.index;
  return 0;
}

bool has(int device, const std::string& address) {
  std::string problem;
  const auto all = net::list_addresses(problem);
  return std::any_of(all.begin(), all.end(), [&](const auto& x) { return x.device == device && x.address.address == address; });
}

bool is_possible() {
  const auto why = site_network::why_not();
  if (!why.empty())
    MESSAGE("SKIPPED: " << why);
  return why.empty();
}

} // namespace

TEST_CASE("a bridge is made with its mark, taken addresses are listed and removed, and a second one of the name is refused") {
  if (!is_possible())
    return;
  const auto room = network_namespace::make();
  const inside_network here{room.fd()};
  REQUIRE(net::add_bridge("br7", "ours") == "");
  CHECK(net::add_bridge("br7", "ours").find("the bridge br7 cannot be made") == 0);
  const auto index = index_of("br7");
  std::string problem;
  for (const auto& device : net::list_devices(problem))
    if (device.index == index)
      CHECK(device == net::network_device{index, "br7", "ours", "bridge", true});
  for (const auto& address : {config::interface_address{"10.84.4.1", 22, false}, config::interface_address{"fd00::50", 64, true}}) {
    CHECK(net::put_address(index, address) == "");
    CHECK(net::put_address(index, address) == "");
    CHECK(has(index, address.address));
    CHECK(net::remove_address(index, address) == "");
    CHECK(net::remove_address(index, address) == "");
    CHECK_FALSE(has(index, address.address));
  }
  CHECK(net::put_address(index, {"nonsense", 24, false}).find("cannot be set") != std::string::npos);
  CHECK(net::put_address(index, {"10.84.4.1", 22, false}) == "");
  const auto routes = net::list_routes(problem);
  REQUIRE(routes.size() == 1);
  CHECK(network_text(routes[0].to) == "10.84.4.0/22");
  CHECK(net::put_local_network(index, *config::parse_network("10.84.6.0/23")) == "");
  CHECK(ip({"route", "get", "10.84.7.9"}).find("local 10.84.7.9") == 0);
  CHECK(net::remove_device(index) == "");
  CHECK(net::remove_device(index) == "");
}

TEST_CASE("an address that is not held again goes by itself, one that is stays") {
  if (!is_possible())
    return;
  const auto room = network_namespace::make();
  const inside_network here{room.fd()};
  REQUIRE(net::add_bridge("br7", "ours") == "");
  const auto index = index_of("br7");
  const auto device = net::make_address_device("br7");
  REQUIRE(net::put_address(index, {"10.0.0.51", 24, false}) == "");
  CHECK(device->put({"10.0.0.50", 24, false}, {1}) == "");
  const auto shown = ip({"address", "show", "dev", "br7"});
  CHECK(shown.find("valid_lft 1sec") != std::string::npos);
  CHECK(shown.find("inet 10.0.0.50/32 ") != std::string::npos);
  const auto limit = std::chrono::steady_clock::now() + 10s;
  while (has(index, "10.0.0.50") && std::chrono::steady_clock::now() < limit)
    std::this_thread::yield();
  CHECK_FALSE(has(index, "10.0.0.50"));
  CHECK(has(index, "10.0.0.51"));
  const config::interface_address alone{"10.9.0.50", 24, false};
  CHECK(device->put(alone, {600}) == "");
  CHECK(device->put(alone, {600}) == "");
  CHECK(ip({"address", "show", "dev", "br7"}).find("inet 10.9.0.50/24 ") != std::string::npos);
  CHECK(device->remove(alone) == "");
  CHECK_FALSE(has(index, "10.9.0.50"));
  CHECK(has(index, "10.0.0.51"));
  const auto missing = net::make_address_device("eth77");
  CHECK(missing->put({"10.0.0.50", 24, false}, {1}).find("there is no network device eth77") == 0);
  CHECK(missing->remove({"10.0.0.50", 24, false}) == "");
}

TEST_CASE("an address that is put again, by whichever process, says so, and one that is not stays as it was") {
  if (!is_possible())
    return;
  const auto room = network_namespace::make();
  const inside_network here{room.fd()};
  REQUIRE(net::add_bridge("br7", "ours") == "");
  const auto device = net::make_address_device("br7");
  const std::vector<config::interface_address> addresses{{"10.0.0.50", 24, false}, {"FD00:0::50", 64, true}};
  for (const auto& x : addresses) {
    CAPTURE(x.address);
    CHECK_FALSE(device->renewed_at(x));
    REQUIRE(device->put(x, {600}) == "");
    const auto first = device->renewed_at(x);
    REQUIRE(first);
    CHECK(device->renewed_at(x) == first);
    const auto limit = std::chrono::steady_clock::now() + 10s;
    auto next = first;
    while (next == first && std::chrono::steady_clock::now() < limit) { // the kernel's clock has steps of up to 10 ms
      REQUIRE(net::make_address_device("br7")->put(x, {600}) == "");
      next = device->renewed_at(x);
    }
    REQUIRE(next);
    CHECK(*next > *first);
    CHECK(*next - *first < 100);
    CHECK(device->remove(x) == "");
    CHECK_FALSE(device->renewed_at(x));
  }
  CHECK_FALSE(net::make_address_device("eth77")->renewed_at({"10.0.0.50", 24, false}));
}

TEST_CASE("neighbours that knew another owner of an address believe the announcement, for IPv4 and IPv6") {
  if (!is_possible())
    return;
  const auto room = network_namespace::make();
  const auto neighbour = network_namespace::make();
  const inside_network here{room.fd()};
  ip({"link", "add", "name", "eth0", "type", "veth", "peer", "name", "eth0", "netns",
      "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(neighbour.fd())});
  ip({"link", "set", "eth0", "up"});
  const auto device = net::make_address_device("eth0");
  const auto index = index_of("eth0");
  const auto own = ip({"-br", "link", "show", "dev", "eth0"}); // NAME STATE HARDWARE-ADDRESS FLAGS
  const auto at = own.find(':') - 2;
  const auto hardware = own.substr(at, 17);
  const std::vector<config::interface_address> addresses{{"10.0.0.50", 24, false}, {"fd00::50", 64, true}};
  {
    const inside_network there{neighbour.fd()};
    ip({"link", "set", "eth0", "up"});
    ip({"address", "add", "10.0.0.1/24", "dev", "eth0"});
    ip({"address", "add", "fd00::1/64", "dev", "eth0", "nodad"});
    for (const auto& x : addresses)
      ip({"neigh", "replace", x.address, "lladdr", "02:00:00:00:00:99", "dev", "eth0", "nud", "stale"});
  }
  for (const auto& x : addresses) {
    CAPTURE(x.address);
    REQUIRE(net::put_address(index, x) == "");
    CHECK(device->announce(x, true) == "");
    const inside_network there{neighbour.fd()};
    const auto limit = std::chrono::steady_clock::now() + 10s;
    std::string known;
    do
      known = ip({"neigh", "show", x.address, "dev", "eth0"});
    while (known.find(hardware) == std::string::npos && std::chrono::steady_clock::now() < limit);
    CHECK(known.find(hardware) != std::string::npos);
  }
  CHECK(net::make_address_device("eth77")->announce(addresses[0], false).find("there is no network device") == 0);
}
