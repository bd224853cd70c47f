#include <doctest/doctest.h>

#include "config/did_you_mean.hpp"

using prunella::config::did_you_mean;

TEST_CASE("a misspelt word finds the one that was meant") {
  const std::vector<std::string> keys{"replicas", "restart", "strategy", "when-cut-off", "name"};
  CHECK(did_you_mean("replica", keys) == "replicas");
  CHECK(did_you_mean("erplicas", keys) == "replicas");
  CHECK(did_you_mean("STRATEGY", keys) == "strategy");
  CHECK(did_you_mean("when_cutoff", keys) == "when-cut-off");
  CHECK(did_you_mean("nmae", keys) == "name");
}

TEST_CASE("a word more than a third wrong finds nothing") {
  CHECK(did_you_mean("colour", {"name", "hosts"}) == "");
  CHECK(did_you_mean("abcxyz", {"abcdef"}) == "");
  CHECK(did_you_mean("abcdxy", {"abcdef"}) == "abcdef");
  CHECK(did_you_mean("", {"a"}) == "");
  CHECK(did_you_mean("x", {"y"}) == "");
}

TEST_CASE("a prefix of three letters finds the only word that starts with it") {
  CHECK(did_you_mean("inst", {"instances", "hosts"}) == "instances");
  CHECK(did_you_mean("ins", {"instances", "instruments"}) == "");
  CHECK(did_you_mean("in", {"instances"}) == "");
}

TEST_CASE("the nearest wins, of equally near ones the first") {
  CHECK(did_you_mean("hosts", {"posts", "hosts"}) == "hosts");
  CHECK(did_you_mean("cost", {"cast", "most"}) == "cast");
  CHECK(did_you_mean("cist", {"cost", "cast"}) == "cost");
}

TEST_CASE("words longer than 64 letters are not compared") {
  const std::string at_limit(64, 'a');
  CHECK(did_you_mean(at_limit, {at_limit}) == at_limit);
  CHECK(did_you_mean(at_limit + "a", {at_limit}) == "");
}
