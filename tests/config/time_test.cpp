#include <doctest/doctest.h>

#include "config/time.hpp"

using namespace std::chrono_literals;
using prunella::config::duration_text;
using prunella::config::parse_duration;
using prunella::config::parse_time;
using prunella::config::time_text;

TEST_CASE("a duration is read in each of its five units") {
  CHECK(parse_duration("500ms") == 500ms);
  CHECK(parse_duration("10s") == 10s);
  CHECK(parse_duration("5m") == 5min);
  CHECK(parse_duration("1h") == 1h);
  CHECK(parse_duration("7d") == 168h);
  CHECK(parse_duration("0") == 0ms);
}

TEST_CASE("a duration of exactly ten years is read and one hour more is not") {
  CHECK(parse_duration("87600h") == prunella::config::longest_duration);
  CHECK(parse_duration("3650d") == prunella::config::longest_duration);
  CHECK_FALSE(parse_duration("87601h"));
  CHECK_FALSE(parse_duration("3651d"));
  CHECK_FALSE(parse_duration("9223372036854775807h"));
  CHECK_FALSE(parse_duration("99999999999999999999s"));
}

TEST_CASE("texts that are no duration are refused") {
  for (const char* text : {"", "10", "s", "-1s", "-0s", "1.5s", "1 s", " 1s", "1s ", "1w", "1m30s", "+1s", "1S"})
    CHECK_MESSAGE(!parse_duration(text), text);
}

TEST_CASE("a duration is written in the coarsest unit that is exact") {
  CHECK(duration_text(0ms) == "0s");
  CHECK(duration_text(999ms) == "999ms");
  CHECK(duration_text(1000ms) == "1s");
  CHECK(duration_text(60s) == "1m");
  CHECK(duration_text(90s) == "90s");
  CHECK(duration_text(120min) == "2h");
  CHECK(duration_text(24h) == "1d");
  CHECK(duration_text(25h) == "25h");
  CHECK(duration_text(-1500ms) == "-1500ms");
}

TEST_CASE("a point in time is written in UTC with milliseconds rounded down, before the epoch too") {
  const std::chrono::system_clock::time_point epoch;
  CHECK(time_text(epoch) == "1970-01-01T00:00:00.000Z");
  CHECK(time_text(epoch + 1795260493042ms + 999us) == "2026-11-21T11:28:13.042Z");
  CHECK(time_text(epoch - 1ms) == "1969-12-31T23:59:59.999Z");
}

TEST_CASE("a written point in time is read back") {
  const auto time = std::chrono::system_clock::time_point{} + 1795260493042ms;
  CHECK(parse_time(time_text(time)) == time);
  CHECK(parse_time("2026-11-21T11:28:13Z") == time - 42ms);
  CHECK(parse_time("2026-11-21T11:28:13.04Z") == time - 2ms);
  CHECK(parse_time("2026-11-21T11:28:13.042999999Z") == time);
  CHECK(parse_time("2024-02-29T00:00:00Z").has_value());
}

TEST_CASE("texts that are no point in time are refused") {
  for (const char* text : {"", "2026-11-21", "2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-11-21T24:00:00Z",
                           "2026-11-21T11:28:13", "2026-11-21T11:28:13.Z", "2026-11-21T11:28:13.0000000000Z",
                           "2026-11-21T11:28:13+00:00", "2026-11-21T11:28:13Zx", "2026-11-21 11:28:13Z"})
    CHECK_MESSAGE(!parse_time(text), text);
}

TEST_CASE("the years 1678 to 2261 are read back, and times that the clock cannot count are refused") {
  for (const char* text : {"1678-01-01T00:00:00.000Z", "2261-12-31T23:59:59.999Z"}) {
    REQUIRE_MESSAGE(parse_time(text), text);
    CHECK(time_text(*parse_time(text)) == text);
  }
  for (const char* text : {"0000-01-01T00:00:00Z", "1677-09-21T00:12:43Z", "2262-04-11T23:47:17Z", "9999-12-31T23:59:59Z"})
    CHECK_MESSAGE(!parse_time(text), text);
}
