// How lines of logs look.

#include <doctest/doctest.h>

#include "tools/cli/logs.hpp"

using namespace prunella;
using namespace prunella::tools;

namespace {

actors::log_line_view line(const std::string& container, const std::string& text) {
  return {"2026-11-21T12:00:00.000Z", container, "stdout", text, false, {}};
}

} // namespace

TEST_CASE("lines of one container have no name in front, and their time where it is wanted") {
  log_printer plain{false, false};
  plain.set_containers({"default.shop.web-1.front"});
  CHECK(plain.text_of(line("default.shop.web-1.front", "hello")) == "hello\n");
  log_printer timed{true, false};
  timed.set_containers({"default.shop.web-1.front"});
  CHECK(timed.text_of(line("default.shop.web-1.front", "hello")) == "2026-11-21T12:00:00.000Z hello\n");
}

TEST_CASE("names of several are as short as they can be and aligned, with the container where an instance has two") {
  log_printer printer{false, false};
  printer.set_containers({"default.shop.web-1.front", "default.shop.web-10.front", "acme.shop.web-1.front"});
  CHECK(printer.text_of(line("default.shop.web-1.front", "a")) == "shop.web-1      | a\n");
  CHECK(printer.text_of(line("default.shop.web-10.front", "b")) == "shop.web-10     | b\n");
  CHECK(printer.text_of(line("acme.shop.web-1.front", "c")) == "acme.shop.web-1 | c\n");
  printer.set_containers({"default.shop.web-1.front", "default.shop.web-1.side"});
  CHECK(printer.text_of(line("default.shop.web-1.side", "d")) == "shop.web-1/side  | d\n");
}

TEST_CASE("where all hosts were asked, each line says which one keeps it, and one container needs no name of its own") {
  log_printer printer{false, false};
  printer.set_containers({"default.shop.web-1.front@host-1", "default.shop.web-1.front@host-10"});
  auto moved = line("default.shop.web-1.front", "a");
  moved.host = "host-1";
  CHECK(printer.text_of(moved) == "shop.web-1@host-1  | a\n");
  moved.host = "host-10";
  CHECK(printer.text_of(moved) == "shop.web-1@host-10 | a\n");
}

TEST_CASE("names are coloured only where colours are, and of a line's own escapes only colours are left then") {
  const std::string text = "\033[31mred\033[0m \033[2Jgone\a\ttab \xc2\x9bH\xc3\xa9";
  log_printer plain{false, false};
  CHECK(plain.text_of(line("x.y.z-1.a", text)) == "red ?[2Jgone?\ttab ?H\xc3\xa9\n");
  log_printer coloured{false, true};
  coloured.set_containers({"x.y.z-1.a", "x.y.z-2.a"});
  CHECK(coloured.text_of(line("x.y.z-1.a", text)) == "\033[36mx.y.z-1 | \033[0m\033[31mred\033[0m ?[2Jgone?\ttab ?H\xc3\xa9\n");
}
