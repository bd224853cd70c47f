#include <doctest/doctest.h>

#include "config/address.hpp"
#include "config/quantity.hpp"

using namespace prunella::config;

TEST_CASE("CPU is read as cores with up to three decimals or as thousandths") {
  CHECK(parse_cpu("2") == 2000);
  CHECK(parse_cpu("0.5") == 500);
  CHECK(parse_cpu("0.001") == 1);
  CHECK(parse_cpu("1.5") == 1500);
  CHECK(parse_cpu("500m") == 500);
  CHECK(parse_cpu("0") == 0);
  for (const char* text : {"", "m", "-1", "+1", ".5", "1.", "0.0001", "1.5m", "2 cores", " 2", "2 ", "1e3", "0x10",
                           "9007199254740993", "99999999999999999999"})
    CHECK_MESSAGE(!parse_cpu(text), text);
}

TEST_CASE("memory is read in powers of 1024 and of 1000") {
  CHECK(parse_memory("64Mi") == 64 << 20);
  CHECK(parse_memory("1G") == 1'000'000'000);
  CHECK(parse_memory("1Gi") == 1 << 30);
  CHECK(parse_memory("1.5Gi") == 1'610'612'736);
  CHECK(parse_memory("2k") == 2000);
  CHECK(parse_memory("2K") == 2000);
  CHECK(parse_memory("123") == 123);
  CHECK(parse_memory("1Ti") == std::int64_t{1} << 40);
  for (const char* text :
       {"", "Mi", "-1", "1.5", "0.001Ki", "1GB", "1gi", "1 Gi", "10000Ti", "9007199254740993", "lots"})
    CHECK_MESSAGE(!parse_memory(text), text);
}

TEST_CASE("exactly 2^53 is the most that is read") {
  CHECK(parse_memory("8192Ti") == std::int64_t{1} << 53);
  CHECK_FALSE(parse_memory("8193Ti"));
  CHECK(parse_memory("9007199254740992") == std::int64_t{1} << 53);
}

TEST_CASE("amounts are written in the shortest exact way and read back") {
  CHECK(cpu_text(2000) == "2");
  CHECK(cpu_text(1500) == "1500m");
  CHECK(memory_text(64 << 20) == "64Mi");
  CHECK(memory_text(500'000'000) == "500M");
  CHECK(memory_text(1) == "1");
  CHECK(memory_text(0) == "0");
  for (std::int64_t amount : {0, 1, 999, 1000, 1023, 1024, 1025, 1536, 1 << 30, 2'000'000'000}) {
    CHECK(parse_cpu(cpu_text(amount)) == amount);
    CHECK(parse_memory(memory_text(amount)) == amount);
  }
}

TEST_CASE("addresses are IPv4, bracketed IPv6 or a host name, with a port from 1 to 65535") {
  CHECK(parse_address("127.0.0.1:7101") == network_address{"127.0.0.1", 7101});
  CHECK(parse_address("[::1]:1") == network_address{"::1", 1});
  CHECK(parse_address("[fe80::1%eth0]:65535") == network_address{"fe80::1%eth0", 65535});
  CHECK(parse_address("till-1.shop.lan:7101") == network_address{"till-1.shop.lan", 7101});
  CHECK(parse_address("till_1:7101") == network_address{"till_1", 7101});
  for (const char* text : {"",
                           ":7101",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:0",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "127.0.0.1:+1",
                           "127.0.0.1:7101x",
                           "256.0.0.1:1",
                           "1.2.3:1",
                           "::1:7101",
                           "[::1]",
                           "[]:1",
                           "[::g]:1",
                           "[::1%]:1",
                           "[127.0.0.1]:1",
                           "-a:1",
                           "a-:1",
                           "a..b:1",
                           "a b:1",
                           "http://a:1"})
    CHECK_MESSAGE(!parse_address(text), text);
  CHECK_FALSE(parse_address(std::string_view("1.2.3.4\0x:1", 11)));
  CHECK(parse_address(std::string(63, 'a') + ":1").has_value());
  CHECK_FALSE(parse_address(std::string(64, 'a') + ":1").has_value());
}

TEST_CASE("an address is written as it is read") {
  for (const char* text : {"127.0.0.1:7101", "[::1]:1", "till-1.shop.lan:7101"})
    CHECK(address_text(*parse_address(text)) == text);
}

TEST_CASE("bytes are shown with a tenth below ten, and without one that is zero") {
  constexpr std::int64_t mebi = 1024 * 1024;
  CHECK(shown_bytes(0) == "0 B");
  CHECK(shown_bytes(1023) == "1023 B");
  CHECK(shown_bytes(1024) == "1 KiB");
  CHECK(shown_bytes(1536) == "1.5 KiB");
  CHECK(shown_bytes(9 * mebi + 1024 * 999) == "10 MiB");
  CHECK(shown_bytes(64 * mebi) == "64 MiB");
  CHECK(shown_bytes(std::int64_t{3} << 40) == "3 TiB");
  CHECK(shown_bytes(std::int64_t{5} << 50) == "5120 TiB");
}
