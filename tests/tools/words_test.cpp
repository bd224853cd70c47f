#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "tools/cli/words.hpp"

using namespace prunella::tools;
using words = std::vector<std::string>;

namespace {

known_names small_site() {
  known_names names;
  names.applications = {"default.popcorn", "default.ticker"};
  names.services = {"default.popcorn/web"};
  names.hosts = {"host-1", "host-2"};
  names.instances = {"default.popcorn.web-1"};
  names.actors = {"host-1/root", "host-1/root/core"};
  return names;
}

} // namespace

TEST_CASE("a line splits at blanks, of which any number is one") {
  CHECK(split_line("  get \t hosts ").words == words{"get", "hosts"});
  CHECK(split_line("").words.empty());
  CHECK(split_line(" \t\r").words.empty());
}

TEST_CASE("quotes keep blanks, join what they touch, and may be empty") {
  CHECK(split_line("a 'b c' \"d e\"").words == words{"a", "b c", "d e"});
  CHECK(split_line("a'b'\"c\"d").words == words{"abcd"});
  CHECK(split_line("'' \"\"").words == words{"", ""});
  CHECK(split_line("'it\"s' \"it's\"").words == words{"it\"s", "it's"});
}

TEST_CASE("a backslash keeps the next character, but not inside single quotes") {
  CHECK(split_line(R"(a\ b)").words == words{"a b"});
  CHECK(split_line(R"("a\"b\\")").words == words{R"(a"b\)"});
  CHECK(split_line(R"('a\b')").words == words{R"(a\b)"});
}

TEST_CASE("# begins a comment at the start of a word only") {
  CHECK(split_line("get hosts # all").words == words{"get", "hosts"});
  CHECK(split_line("# nothing").words.empty());
  CHECK(split_line("a#b '#'").words == words{"a#b", "#"});
}

TEST_CASE("a quote that is not closed is an error at its column, and no words come out") {
  const auto open = split_line("get 'hosts");
  CHECK(open.column == 5);
  CHECK(open.error == "the quote ' is not closed; add another '");
  CHECK(open.words.empty());
  CHECK(split_line("\"").column == 1);
  CHECK(split_line("a \"b\\\"").column == 3);
}

TEST_CASE("a backslash at the end of a line is an error at its column") {
  CHECK(split_line("ab\\").column == 3);
  CHECK(split_line("ab\\").error == "nothing follows the backslash; write \\\\ for a backslash itself");
  CHECK(split_line("\"ab\\").column == 4);
}

TEST_CASE("the first word completes to commands") {
  CHECK(complete("s", small_site()) == words{"scale", "status"});
  CHECK(complete("zz", small_site()).empty());
  CHECK(complete("", small_site()).size() == 20);
}

TEST_CASE("the second word completes to what the command takes") {
  CHECK(complete("top ", small_site()) == words{"containers", "hosts"});
  CHECK(complete("get ", small_site()) == words{"applications", "events", "hosts", "images", "instances", "services"});
  CHECK(complete("get ho", small_site()) == words{"hosts"});
  CHECK(complete("delete default.p", small_site()) == words{"default.popcorn"});
  CHECK(complete("scale ", small_site()) == words{"default.popcorn/web"});
  CHECK(complete("kill host-1/root/", small_site()) == words{"host-1/root/core"});
  CHECK(complete("inspect host-1", small_site()) == words{"host-1", "host-1/root", "host-1/root/core"});
  CHECK(complete("get hosts -o ", small_site()) == words{"json", "table", "yaml"});
}

TEST_CASE("inside an open quote nothing completes") {
  CHECK(complete("inspect 'host", small_site()).empty());
}
