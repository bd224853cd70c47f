#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "config/spec.hpp"
#include "storage/cereal_bytes.hpp"
#include "storage/raft_log.hpp"

namespace {

using prunella::storage::from_bytes;
using prunella::storage::to_bytes;
namespace config = prunella::config;
namespace storage = prunella::storage;

config::application_spec some_application() {
  config::application_spec app;
  app.name = "popcorn";
  app.version = "1.2.3";
  app.labels = {{"tier", "front"}, {"zone", ""}};
  config::service_spec service;
  service.name = "web";
  service.replicas = 3;
  service.when_cut_off.mode = config::cut_off_mode::stop_after;
  service.when_cut_off.after = std::chrono::milliseconds{2500};
  config::container_spec container;
  container.name = "server";
  container.command = {"/bin/sh", "-c", std::string("with\0zero", 9)};
  container.env = {{"A", "1"}};
  container.ports.push_back({"http", 8080, config::port_protocol::udp});
  service.containers.push_back(container);
  app.services.push_back(service);
  return app;
}

} // namespace

TEST_CASE("a nested spec comes back from its bytes as it was, enums, durations, maps and zero bytes included") {
  const auto app = some_application();
  config::application_spec back;
  REQUIRE(from_bytes(to_bytes(app), back));
  CHECK(back == app);
}

TEST_CASE("bytes have a fixed layout: one for little endian, then each field in order") {
  storage::hard_state state{1, 2, 3};
  const std::string expected("\x01"
                             "\x01\0\0\0\0\0\0\0"
                             "\x02\0\0\0\0\0\0\0"
                             "\x03\0\0\0\0\0\0\0",
                             25);
  CHECK(to_bytes(state) == expected);
}

TEST_CASE("every proper prefix of the bytes is refused and leaves the value as it was") {
  const auto bytes = to_bytes(some_application());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    config::application_spec out;
    out.name = "untouched";
    CAPTURE(size);
    REQUIRE_FALSE(from_bytes(std::string_view(bytes).substr(0, size), out));
    REQUIRE(out.name == "untouched");
  }
}

TEST_CASE("one byte of garbage behind the value is refused") {
  storage::hard_state out;
  CHECK(from_bytes(to_bytes(storage::hard_state{4, 5, 6}), out));
  CHECK_FALSE(from_bytes(to_bytes(storage::hard_state{4, 5, 6}) + 'x', out));
}

TEST_CASE("an input one byte over the bound is refused, one at the bound is read") {
  const auto bytes = to_bytes(std::string("12345678"));
  std::string out;
  CHECK(from_bytes(bytes, out, bytes.size()));
  CHECK_FALSE(from_bytes(bytes, out, bytes.size() - 1));
}

TEST_CASE("a length that claims more than the input holds is refused without allocating it") {
  std::string bytes("\x01\xff\xff\xff\xff\xff\xff\xff\x7f"
                    "abc",
                    12);
  std::string text;
  std::vector<config::application_spec> apps;
  std::map<std::string, std::string> labels;
  CHECK_FALSE(from_bytes(bytes, text));
  CHECK_FALSE(from_bytes(bytes, apps));
  CHECK_FALSE(from_bytes(bytes, labels));
}

TEST_CASE("a layout byte of another byte order is refused") {
  auto bytes = to_bytes(storage::hard_state{1, 1, 1});
  bytes[0] = 0;
  storage::hard_state out;
  CHECK_FALSE(from_bytes(bytes, out));
}

TEST_CASE("a bool byte of 2 is refused") {
  bool out = false;
  CHECK(from_bytes(std::string("\x01\x01", 2), out));
  CHECK(out);
  CHECK_FALSE(from_bytes(std::string("\x01\x02", 2), out));
}

TEST_CASE("random bit flips never crash the reader") {
  const std::uint32_t seed = 20240517;
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto bytes = to_bytes(some_application());
  std::size_t refused = 0;
  for (int i = 0; i < 5000; ++i) {
    auto damaged = bytes;
    damaged[random() % damaged.size()] ^= static_cast<char>(1u << (random() % 8));
    config::application_spec out;
    if (!from_bytes(damaged, out))
      ++refused;
  }
  CHECK(refused > 100);  // lengths are a good part of the bytes
  CHECK(refused < 5000); // payload is not checked here: that is the log's checksum
}

TEST_CASE("a list that claims as many elements as there are bytes takes memory for those that are there only") {
  struct large {
    static int& alive() {
      static int count = 0;
      return count;
    }
    static int& most() {
      static int count = 0;
      return count;
    }
    large() { most() = std::max(most(), ++alive()); }
    large(const large&) { most() = std::max(most(), ++alive()); }
    large& operator=(const large&) = default;
    ~large() { --alive(); }
    std::string text;
    void serialize(storage::bytes_input_archive& archive) { archive(text); }
  };
  std::string bytes("\x01\x00\x10\x00\x00\x00\x00\x00\x00", 9); // 4096 elements …
  bytes += std::string(8, '\0');                                       // … of which the first is an empty text …
  bytes.resize(9 + 4096, '\xff');                                      // … and the second is damage
  std::vector<large> list;
  CHECK_FALSE(from_bytes(bytes, list));
  CHECK(large::most() < 8);
}
