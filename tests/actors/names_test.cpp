#include <doctest/doctest.h>

#include "actors/fnv1a.hpp"
#include "actors/names.hpp"

using namespace prunella::actors;

TEST_CASE("an instance name taken apart gives what it was made of, dashes in the service included") {
  const auto name = instance_name("default", "popcorn", "web-front", 12);
  CHECK(name == "default.popcorn.web-front-12");
  const auto parts = parse_instance_name(name);
  CHECK(parts.tenant == "default");
  CHECK(parts.application == "popcorn");
  CHECK(parts.service == "web-front");
  CHECK(parts.replica == 12);
}

TEST_CASE("what is no instance name has replica 0") {
  for (const auto* text : {"", ".", "a.b", "a.b.c", "a.b.c-", "a.b.c-0", "a.b.c-01", "a.b.c-x", "a.b-1.c", "a.b.c-99999999999"}) {
    CAPTURE(text);
    CHECK(parse_instance_name(text).replica == 0);
  }
}

TEST_CASE("the number of a text is that of FNV-1a, as its authors publish it, also for bytes above 127") {
  CHECK(fnv1a("") == 0x811c9dc5);
  CHECK(fnv1a("a") == 0xe40c292c);
  CHECK(fnv1a("foobar") == 0xbf9cf968);
  CHECK(fnv1a("\xc3\xa4") == ((0x811c9dc5U ^ 0xc3U) * 16'777'619U ^ 0xa4U) * 16'777'619U);
}
