#include <doctest/doctest.h>

#include <random>

#include "config/limits.hpp"
#include "config/reader.hpp"

using namespace prunella::config;

namespace {

/// What is said of a text that is refused as a whole.
std::string refusal(const std::string& text) {
  const auto result = read_documents(text, "f");
  CHECK(result.documents.empty());
  REQUIRE(result.problems.size() >= 1);
  return problem_text(result.problems.front());
}

std::string repeated(const std::string& part, std::size_t count) {
  std::string text;
  text.reserve(part.size() * count);
  for (std::size_t i = 0; i < count; ++i)
    text += part;
  return text;
}

/// `labels` nested in lists so that there are `levels` lists and maps.
std::string nested(std::size_t levels) {
  return "labels: " + repeated("[", levels - 1) + repeated("]", levels - 1);
}

const std::string small_application =
    "kind: application\nname: shop\nversion: 1.0\nservices:\n  - name: web\n    replicas: 2\n"
    "    placement: {match-host-labels: a = b, anti-affinity: [web]}\n    when-cut-off: {stop-after: 30s}\n"
    "    restart: {backoff: {initial: 1s}}\n    containers:\n      - &c\n        name: main\n"
    "        command: [sh, -c, \"echo \\\"hi\\\"\"]\n        env: {A: 'x', B: |\n          y}\n"
    "        resources: {cpu: 500m, memory: 64Mi}\n        ports: [{name: http, port: 80}]\n";

} // namespace

TEST_CASE("1 MiB is read and one byte more is refused before it is parsed") {
  const std::string head = "kind: site\n#";
  const std::string at_limit = head + std::string(limits::file_bytes - head.size(), '[');
  CHECK(refusal(at_limit) ==
        "f:1:1: name: is missing; use 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends");
  CHECK(refusal(at_limit + '[') == "f: the file has 1048577 bytes, more than 1048576; split it");
}

TEST_CASE("32 levels are parsed and 33 are refused, also when there are half a million") {
  const std::string too_deep =
      "lists and maps are nested more than 32 deep; no document needs that; check the indentation and brackets";
  CHECK(refusal(nested(32)).find("nested") == std::string::npos);
  CHECK(refusal(nested(33)).find(too_deep) != std::string::npos);
  for (const char* part : {"[", "{a: ", "- ", "? "})
    CHECK_MESSAGE(refusal(repeated(part, 200'000)).find(too_deep) != std::string::npos, part);
}

TEST_CASE("100000 values are read and one more is refused, aliases counted as what they stand for") {
  const std::string too_many =
      "the file holds more than 100000 values, aliases included; split it, or use fewer aliases";
  const auto lists = [](std::size_t items) { return "[" + repeated("1,", items) + "]"; };
  CHECK(refusal(lists(limits::values - 1)).find(too_many) == std::string::npos);
  CHECK(refusal(lists(limits::values)).find(too_many) != std::string::npos);
  // The anchor's copy and each alias are 10001 values; with the anchor itself, eight aliases fit and nine do not.
  const std::string base = "a: &a " + lists(10'000) + "\n";
  const auto aliases = [&](std::size_t count) { return base + "b: [" + repeated("*a,", count) + "]\n"; };
  CHECK(refusal(aliases(7)).find(too_many) == std::string::npos);
  CHECK(refusal(aliases(8)).find(too_many) != std::string::npos);
}

TEST_CASE("nine levels of nine aliases each are refused instead of expanded") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i)
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" +
            repeated("*a" + std::to_string(i - 1) + ", ", 9) + "]\n";
  CHECK(refusal(bomb).find("aliases included") != std::string::npos);
}

TEST_CASE("256 documents are read and 257 are refused") {
  const std::string too_many = "the file holds more than 256 documents";
  CHECK(refusal(repeated("---\nx\n", 256)).find(too_many) == std::string::npos);
  const auto result = read_documents(repeated("---\nx\n", 257), "f");
  CHECK(result.problems.back().what == "157 more problems are not shown");
  CHECK(refusal(repeated("---\n", 257)).find(too_many) != std::string::npos);
  // On this text yaml-cpp 0.7 reports empty documents without end.
  CHECK(refusal(",").find(too_many) != std::string::npos);
}

TEST_CASE("100 problems are shown and the rest is counted") {
  const auto with_unknown_keys = [](int count) {
    std::string text = "kind: site\nname: x\nhosts: [{id: a, address: 'a:1', capacity: {cpu: 1, memory: 1}}]\n";
    for (int i = 0; i < count; ++i)
      text += "colour" + std::to_string(i) + ": red\n";
    return read_documents(text, "f").problems;
  };
  CHECK(with_unknown_keys(100).size() == 100);
  const auto many = with_unknown_keys(20'000);
  REQUIRE(many.size() == 101);
  CHECK(problem_text(many.back()) == "f: 19900 more problems are not shown; correct these first");
}

TEST_CASE("bytes that are no text are refused with their place") {
  for (const char* bytes : {"\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                            "\xF8\x88\x80\x80\x80", "\x80", "\xC3", "\xE2\x82", "\xF0\x9F\x98", "\xFE"})
    CHECK_MESSAGE(refusal(std::string("a: ö") + bytes).find("f:1:5: the byte 0x") == 0, bytes);
  for (const char* text :
       {"\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    CHECK_MESSAGE(refusal(std::string("kind: '") + text + "'").find("UTF-8") == std::string::npos, text);
  CHECK(refusal(std::string("\x7f"
                            "ELF\x02\x01\x01\0\0",
                            9)) ==
        "f:1:5: the control character 0x02 stands in the text; remove it; is this a text file?");
}

TEST_CASE("a text with a thousand random changes is read or refused, and every refusal says what and how") {
  for (std::uint32_t seed = 1; seed <= 1000; ++seed) {
    CAPTURE(seed);
    std::mt19937 random(seed);
    std::string text = small_application;
    const std::string alphabet = "{}[]:,-?&*!|>'\"%@`#\n\t \\a0~<=\xC3\x01";
    for (std::uint32_t changes = 1 + random() % 8; changes > 0; --changes) {
      const std::size_t at = random() % text.size();
      switch (random() % 3) {
      case 0:
        text[at] = alphabet[random() % alphabet.size()];
        break;
      case 1:
        text.insert(at, 1, alphabet[random() % alphabet.size()]);
        break;
      default:
        text.erase(at, 1 + random() % 20);
      }
    }
    const auto result = read_documents(text, "f");
    CHECK((!result.problems.empty() || !result.documents.empty()));
    for (const auto& p : result.problems) {
      CHECK(!p.what.empty());
      CHECK(!p.fix.empty());
      CHECK(p.file == "f");
    }
  }
}
