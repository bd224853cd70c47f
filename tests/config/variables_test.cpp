#include <doctest/doctest.h>

#include "config/variables.hpp"

using namespace prunella::config;

namespace {

const std::map<std::string, std::string> variables{{"A", "1"}, {"B", "${A}"}, {"EMPTY", ""}, {"PORT_a-b", "80"}};

std::string expanded(std::string_view text) {
  return expand(text, variables).text;
}

} // namespace

TEST_CASE("each complete reference to a variable is replaced, and what it holds is not looked at again") {
  CHECK(expanded("") == "");
  CHECK(expanded("plain $A $ 5") == "plain $A $ 5");
  CHECK(expanded("${A}${A}x${EMPTY}y") == "11xy");
  CHECK(expanded("${B}") == "${A}");
  CHECK(expanded("http://x:${PORT_a-b}/") == "http://x:80/");
  CHECK(expanded("$${A} $$${A} $") == "${A} $${A} $");
  CHECK(expanded("${${A}}") == "${1}");
}

TEST_CASE("an unknown variable is named and left as it is, and what is no name in braces is a shell's") {
  const auto out = expand("${UNKNOWN} ${A ${NO} $${ESCAPED} ${X:-1} ${} ${A}", variables);
  CHECK(out.text == "${UNKNOWN} ${A ${NO} ${ESCAPED} ${X:-1} ${} 1");
  CHECK(out.unknown == std::vector<std::string>{"UNKNOWN", "NO"});
  CHECK(used_variables("${A} ${B} ${A}") == std::vector<std::string>{"A", "B", "A"});
}

TEST_CASE("a container may refer to its place, its name and the ports of its service") {
  service_spec service;
  service.containers.resize(2);
  service.containers[1].ports = {{"web-ui", 80, port_protocol::tcp}};
  CHECK(known_variables(service) == std::vector<std::string>{"ADDRESS", "APPLICATION", "CONTAINER", "GENERATION", "HOST",
                                                             "INSTANCE", "PORT_web-ui", "REPLICA", "SERVICE", "SITE", "TENANT"});
  CHECK(environment_name("PORT_web-ui") == "PRUNELLA_PORT_WEB_UI");
}
