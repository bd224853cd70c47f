#include <doctest/doctest.h>

#include "config/label_expression.hpp"

using namespace prunella::config;

namespace {

const labels front_till{{"zone", "front"}, {"role", "till"}, {"disk", "ssd"}, {"shop.lan/gpu", ""}, {"name", "and"}};

bool holds(std::string_view text) {
  const auto parsed = parse_label_expression(text);
  REQUIRE_MESSAGE(parsed.error == "", text << ": " << parsed.error);
  return parsed.expression.matches(front_till);
}

std::string error_of(std::string_view text) {
  const auto parsed = parse_label_expression(text);
  // With an error, what is left matches everything: the caller must look at the error, and no half of it is used.
  CHECK(parsed.expression.matches({}));
  return std::to_string(parsed.column) + ": " + parsed.error;
}

} // namespace

TEST_CASE("a blank expression matches every host") {
  CHECK(holds(""));
  CHECK(holds(" \t\n"));
  CHECK(label_expression{}.matches({}));
}

TEST_CASE("each test of a label holds for its value and not for another") {
  CHECK(holds("zone = front"));
  CHECK(holds("zone==front"));
  CHECK_FALSE(holds("zone = back"));
  CHECK(holds("zone != back"));
  CHECK_FALSE(holds("zone != front"));
  CHECK(holds("role in (kiosk, till)"));
  CHECK_FALSE(holds("role in (kiosk)"));
  CHECK(holds("role not in (kiosk)"));
  CHECK_FALSE(holds("role not in (kiosk,till)"));
  CHECK(holds("exists shop.lan/gpu"));
  CHECK(holds("shop.lan/gpu"));
  CHECK(holds("shop.lan/gpu = ''"));
  CHECK(holds("name = \"and\""));
}

TEST_CASE("a label that is absent equals nothing, so its negations hold") {
  CHECK_FALSE(holds("owner = x"));
  CHECK_FALSE(holds("owner = ''"));
  CHECK_FALSE(holds("owner in (x)"));
  CHECK_FALSE(holds("exists owner"));
  CHECK_FALSE(holds("owner"));
  CHECK(holds("owner != x"));
  CHECK(holds("owner not in (x)"));
  CHECK(holds("not owner"));
}

TEST_CASE("not binds tighter than and, and tighter than or") {
  CHECK(holds("zone = front or zone = back and role = kiosk"));
  CHECK_FALSE(holds("(zone = front or zone = back) and role = kiosk"));
  CHECK(holds("not zone = back and role = till"));
  CHECK_FALSE(holds("not (zone = front or role = kiosk)"));
  CHECK(holds("not not zone = front"));
  CHECK(holds("zone = x or role = x or disk = ssd"));
  CHECK_FALSE(holds("zone = front and role = till and disk = hdd"));
}

TEST_CASE("an error says the column, what was expected and what was found") {
  CHECK(error_of("zone =") == "7: expected a value after \"=\", found the end");
  CHECK(error_of("zone = and") == "8: expected a value after \"=\", found \"and\"");
  CHECK(error_of("zone front") == "6: expected \"and\", \"or\" or the end, found \"front\"");
  CHECK(error_of("= x") == "1: expected a label key, \"not\", \"exists\" or \"(\", found \"=\"");
  CHECK(error_of("a and") == "6: expected a label key, \"not\", \"exists\" or \"(\", found the end");
  CHECK(error_of("exists (a)") == "8: expected a label key after \"exists\", found \"(\"");
  CHECK(error_of("a in x") == "6: expected \"(\" after \"in\", found \"x\"");
  CHECK(error_of("a in ()") == "7: expected a value, found \")\"");
  CHECK(error_of("a in (x y)") == "9: expected \",\" or \")\", found \"y\"");
  CHECK(error_of("a not x") == "7: expected \"in\" after \"not\", found \"x\"");
  CHECK(error_of("(a = b") == "7: expected \")\", \"and\" or \"or\", found the end");
  CHECK(error_of("a = b)") == "6: expected \"and\", \"or\" or the end, found \")\"");
  CHECK(error_of("a && b") == "3: expected \"and\", \"or\" or the end, found \"&\" (write and)");
  CHECK(error_of("a || b") == "3: expected \"and\", \"or\" or the end, found \"|\" (write or)");
  CHECK(error_of("!a") == "1: expected a label key, \"not\", \"exists\" or \"(\", found \"!\" (write not)");
  CHECK(error_of("a = 'b") == "5: expected a value after \"=\", found a quote without its end");
  CHECK(error_of("a = \xC3\xB6") == "5: expected a value after \"=\", found a letter outside of ASCII");
}

TEST_CASE("31 levels of parentheses around a test are parsed and 32 are not") {
  const auto nested = [](std::size_t levels) {
    return std::string(levels, '(') + "zone = front" + std::string(levels, ')');
  };
  CHECK(holds(nested(31)));
  CHECK(error_of(nested(32)) == "33: expected at most 32 levels of parentheses and \"not\", found \"zone\"");
  std::string nots;
  for (int i = 0; i < 1000; ++i)
    nots += "not ";
  CHECK(error_of(nots + "a").substr(0, 21) == "129: expected at most");
}

TEST_CASE("4096 bytes are parsed and 4097 are not") {
  CHECK(holds("zone" + std::string(4092, ' ')));
  CHECK(error_of("zone" + std::string(4093, ' ')) == "4097: expected at most 4096 bytes, found 4097");
}
