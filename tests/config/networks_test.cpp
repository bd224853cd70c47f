#include <doctest/doctest.h>

#include "config/networks.hpp"

using namespace prunella::config;

TEST_CASE("a network is an IPv4 address without bits behind its length") {
  const auto network = parse_network("10.84.0.0/16");
  REQUIRE(network);
  CHECK(network->base == 0x0A540000);
  CHECK(network->length == 16);
  CHECK(network_text(*network) == "10.84.0.0/16");
  CHECK(parse_network("0.0.0.0/0"));
  CHECK(parse_network("10.0.0.1/32"));
  for (const auto* bad : {"", "10.84.0.0", "10.84.0.1/16", "10.84.0.0/33", "10.84.0.0/016", "10.84.0.0/", "10.84.0/16",
                          "10.84.0.0/-1", "10.84.0.0/16 ", "fd00::/16", "1.0.0.0/0"})
    CHECK_MESSAGE(!parse_network(bad), bad);
}

TEST_CASE("two networks overlap when one holds the other, and neighbours do not") {
  const auto overlap = [](const char* a, const char* b) { return parse_network(a)->overlaps(*parse_network(b)); };
  CHECK(overlap("10.84.0.0/16", "10.84.4.0/22"));
  CHECK(overlap("10.84.4.0/22", "10.84.0.0/16"));
  CHECK(overlap("0.0.0.0/0", "10.84.4.0/22"));
  CHECK_FALSE(overlap("10.84.0.0/22", "10.84.4.0/22"));
  CHECK(parse_network("10.84.4.0/22")->holds(*parse_ipv4("10.84.7.255")));
  CHECK_FALSE(parse_network("10.84.4.0/22")->holds(*parse_ipv4("10.84.8.0")));
}

TEST_CASE("each of 64 hosts has a part of the range of its own, the lower half for instances, the upper for services") {
  const auto range = *parse_network("10.84.0.0/16");
  const auto second = network_of_host(range, 1);
  CHECK(network_text(second.network) == "10.84.4.0/22");
  CHECK(ipv4_text(second.gateway) == "10.84.4.1");
  CHECK(ipv4_text(second.first_instance) == "10.84.4.2");
  CHECK(ipv4_text(second.last_instance) == "10.84.5.255");
  CHECK(network_text(second.services) == "10.84.6.0/23");
  const auto last = network_of_host(range, 63);
  CHECK(network_text(last.network) == "10.84.252.0/22");
  CHECK(network_text(network_of_host(*parse_network("192.168.0.0/20"), 63).services) == "192.168.15.224/27");
  for (std::size_t i = 0; i < 64; ++i)
    for (std::size_t j = 0; j < i; ++j)
      CHECK_FALSE(network_of_host(range, i).network.overlaps(network_of_host(range, j).network));
}

TEST_CASE("a device's address has a length, and is none that no device can have") {
  CHECK(parse_interface_address("192.168.1.50/24") == interface_address{"192.168.1.50", 24, false});
  CHECK(parse_interface_address("fd00::50/64") == interface_address{"fd00::50", 64, true});
  for (const auto* bad : {"192.168.1.50", "192.168.1.50/33", "192.168.1.50/0", "0.0.0.0/8", "127.0.0.1/8", "224.0.0.1/8",
                          "::1/128", "::/64", "ff02::1/64", "fd00::50/129", "till/24"})
    CHECK_MESSAGE(!parse_interface_address(bad), bad);
}
