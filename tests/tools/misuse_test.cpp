// What a person gets wrong on the command line: one sentence, what to do, and exit code 2 before anything is sent.

#include <doctest/doctest.h>

#include "tests/tools/invocation.hpp"

using namespace prunella;
using namespace prunella::tests;

TEST_CASE("a misspelt flag is named with the one that was meant") {
  for (const auto& [line, meant] : std::vector<std::pair<words, std::string>>{
           {{"get", "hosts", "--ouput", "json"}, "--output"},
           {{"get", "hosts", "--ouput=json"}, "--output"},
           {{"status", "--enpoint", "http://127.0.0.1:1"}, "--endpoint"},
           {{"site", "up", "--data-dri", "x"}, "--data-dir"}}) {
    CAPTURE(line);
    const auto got = run(line);
    CHECK(got.code == 2);
    CHECK(contains(got.err, "did you mean `" + meant + "`?"));
  }
  CHECK_FALSE(contains(run({"get", "hosts", "--frobnicate"}).err, "did you mean"));
}

TEST_CASE("an option that a list does not have is refused, not dropped") {
  const fake_site site;
  for (const auto& line : std::vector<words>{{"get", "hosts", "--limit", "3"},
                                             {"get", "instances", "--after", "x"},
                                             {"get", "events", "-a", "popcorn"},
                                             {"get", "applications", "-a", "popcorn"}}) {
    CAPTURE(line);
    const auto got = run_at(site, line);
    CHECK(got.code == 2);
    CHECK(contains(got.err, "says nothing about " + line[1]));
    CHECK(contains(got.err, "fix: leave it out"));
  }
  CHECK(site.requests().empty());
}

TEST_CASE("an endpoint or a directory of no letters is refused and not taken for the default") {
  for (const auto* endpoint : {"", ",", " , "}) {
    const auto got = run({"status", "--endpoint", endpoint});
    CHECK(got.code == 2);
    CHECK(contains(got.err, "the endpoint is empty"));
  }
  called record;
  CHECK(run({"site", "up", "-f", "x", "--data-dir", ""}, {}, &record).code == 2);
  CHECK(run({"site", "init", "-f", "x", "--dir", ""}, {}, &record).code == 2);
  CHECK(run({"host", "run", "--site", "s", "--host-id", "h", "--data-dir", "", "--api", "a:1"}, {}, &record).code == 2);
  CHECK(record.up.empty());
  CHECK(record.init.empty());
  CHECK(record.run.empty());
}

TEST_CASE("no instances of one application does not sound like an empty site") {
  const fake_site site;
  const auto got = run_at(site, {"get", "instances", "-a", "nosuch"});
  CHECK(got.code == 0);
  CHECK(got.err == "no instances of `nosuch`: `prunella get applications` lists what there is\n");
}

TEST_CASE("a folder, a device or a missing file is told as such by apply and validate, and nothing is sent") {
  const fake_site site;
  for (const auto& [name, says] : std::vector<std::pair<std::string, std::string>>{
           {"/", "/: is a folder; name a file in it"},
           {"/dev/zero", "/dev/zero: is a device; name a file"},
           {"/no/such/file", "/no/such/file: cannot be read: No such file or directory; check the name"},
           {"", "``: is no name of a file; name one"}}) {
    CAPTURE(name);
    for (const auto& got : {run_at(site, {"apply", "-f", name}), run_at(site, {"config", "validate", name})}) {
      CHECK(got.code == 1);
      CHECK(contains(got.err, says));
      CHECK(contains(got.err, "1 problem in 1 file"));
    }
  }
  CHECK(site.requests().empty());
}
