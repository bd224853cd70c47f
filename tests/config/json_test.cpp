#include <doctest/doctest.h>

#include <limits>

#include "config/json.hpp"

using namespace prunella::config;
using namespace std::chrono_literals;
namespace json = boost::json;

namespace {

struct numbers {
  bool flag = false;
  std::int8_t tiny = 0;
  std::uint16_t port = 0;
  std::int64_t wide = 0;
  std::uint64_t widest = 0;
  double share = 0;

  PRUNELLA_FIELDS(numbers, flag, tiny, port, wide, widest, share)
};

application_spec an_application() {
  application_spec app;
  app.name = "shop";
  app.version = "1.2.0";
  app.labels = {{"tier", "front"}};
  app.strategy = restart_strategy::rest_for_one;
  service_spec service;
  service.name = "web";
  service.replicas = 3;
  service.placement.anti_affinity = {"web"};
  service.when_cut_off = {cut_off_mode::stop_after, 90s};
  container_spec container;
  container.name = "main";
  container.command = {"sh", "-c", "echo \"hi\"\n"};
  container.env = {{"EMPTY", ""}, {"UNICODE", "größe"}};
  container.resources = {250, 64 << 20};
  container.ports = {{"http", 65535, port_protocol::udp}};
  service.containers = {container};
  app.services = {service};
  return app;
}

} // namespace

TEST_CASE("an application keeps every field through JSON text and back") {
  const auto app = an_application();
  for (const auto& text : {json_text(to_json(app)), pretty_json(to_json(app))}) {
    const auto parsed = parse_json(text);
    REQUIRE(parsed.error == "");
    application_spec read;
    CHECK(from_json(parsed.value, read).empty());
    CHECK(read == app);
  }
}

TEST_CASE("keys are field names, enums are their texts and durations carry a unit") {
  const auto value = to_json(an_application());
  CHECK(value.at("strategy") == "rest_for_one");
  CHECK(value.at("period") == "1m");
  const auto& service = value.at("services").at(0);
  CHECK(service.at("when_cut_off").at("mode") == "stop-after");
  CHECK(service.at("when_cut_off").at("after") == "90s");
  CHECK(service.at("restart").at("backoff_initial") == "100ms");
  CHECK(service.at("containers").at(0).at("ports").at(0).at("port") == 65535);
}

TEST_CASE("integers are read up to their limits and not one beyond") {
  numbers read;
  const auto good = parse_json(R"({"flag":true,"tiny":-128,"port":65535,"wide":-9223372036854775808,
                                   "widest":18446744073709551615,"share":0.5})");
  REQUIRE(good.error == "");
  CHECK(from_json(good.value, read).empty());
  CHECK(read.tiny == -128);
  CHECK(read.port == 65535);
  CHECK(read.wide == std::numeric_limits<std::int64_t>::min());
  CHECK(read.widest == std::numeric_limits<std::uint64_t>::max());
  CHECK(from_json(to_json(read), read).empty());

  const auto bad = parse_json(R"({"flag":1,"tiny":128,"port":65536,"wide":1.5,"widest":-1,"share":"x"})");
  numbers untouched = read;
  const std::vector<std::string> expected{
      "flag: expected true or false, found the number 1",
      "tiny: expected a whole number from -128 to 127, found the number 128",
      "port: expected a whole number from 0 to 65535, found the number 65536",
      "wide: expected a whole number from -9223372036854775808 to 9223372036854775807, found the number 1.5E0",
      "widest: expected a whole number from 0 to 18446744073709551615, found the number -1",
      "share: expected a number, found the text \"x\""};
  CHECK(from_json(bad.value, untouched) == expected);
  CHECK(untouched == read);
}

TEST_CASE("a problem deep in a document names its path and what was found") {
  auto value = to_json(an_application());
  auto& service = value.at("services").at(0);
  service.at("replicas") = "many";
  service.at("restart").at("period") = 5;
  service.at("when_cut_off").at("mode") = "never";
  service.at("containers").at(0).at("command") = "sh";
  application_spec read;
  const std::vector<std::string> expected{
      "services[0].replicas: expected a whole number from 0 to 4294967295, found the text \"many\"",
      "services[0].restart.period: expected a whole number with a unit, such as 500ms, 10s, 5m, 1h or 7d, found the number "
      "5",
      "services[0].when_cut_off.mode: expected one of keep-running, exclusive, stop-after, found the text \"never\"",
      "services[0].containers[0].command: expected a list, found the text \"sh\""};
  CHECK(from_json(value, read) == expected);
}

TEST_CASE("a member without a field is ignored and a field without a member keeps its value") {
  resources read{7, 8};
  CHECK(from_json(parse_json(R"({"memory_bytes": 9, "gpu": 1})").value, read).empty());
  CHECK(read == resources{7, 9});
}

TEST_CASE("JSON that does not parse is refused with line and column") {
  CHECK(parse_json("").error == "line 1, column 1: incomplete JSON");
  CHECK(parse_json("{\n  \"a\": x}").error == "line 2, column 8: syntax error");
  CHECK(parse_json("{} {}").error == "line 1, column 4: extra data");
  CHECK(parse_json(std::string(32, '[') + std::string(32, ']')).error == "");
  CHECK(parse_json(std::string(33, '[') + std::string(33, ']')).error != "");
  CHECK(parse_json(" {} \n").error == "");
}

TEST_CASE("pretty JSON has one member per line and closes empty lists on the same line") {
  CHECK(pretty_json(parse_json(R"({"a":[1,2],"b":{},"c":[]})").value) ==
        "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": []\n}\n");
}
