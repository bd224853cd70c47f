#include <doctest/doctest.h>

#include <fstream>

#include "actors/host/wall_clock.hpp"
#include "actors/instance/container_log.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella::actors;

namespace {

std::int64_t ms_of(const std::optional<log_line>& line) { return unix_time_ms(line->at); }

} // namespace

TEST_CASE("a line of a log has a time in any zone, a stream, a tag and a text that may be empty") {
  auto line = parse_log_line("2026-11-21T17:59:24.075213707+00:00 stdout F some text ");
  REQUIRE(line);
  CHECK(line->text == "some text ");
  CHECK_FALSE(line->is_error);
  CHECK_FALSE(line->is_partial);
  const auto at = ms_of(line);
  line = parse_log_line("2026-11-21T19:59:24.075+02:00 stderr P ");
  REQUIRE(line);
  CHECK(ms_of(line) == at);
  CHECK(line->text == "");
  CHECK(line->is_error);
  CHECK(line->is_partial);
  CHECK(ms_of(parse_log_line("2026-11-21T12:29:24.075-05:30 stdout F")) == at);
  CHECK(ms_of(parse_log_line("2026-11-21T17:59:24.075Z stdout F x")) == at);
}

TEST_CASE("what is no line of a log is told apart") {
  for (const char* bad : {"", "text", "2026-11-21T17:59:24Z", "2026-11-21T17:59:24Z stdin F x", "2026-11-21T17:59:24Z stdout X x",
                          "2026-11-21T17:59:24+0x:00 stdout F x", "yesterday stdout F x"})
    CHECK_MESSAGE(!parse_log_line(bad), bad);
}

TEST_CASE("the last words are the last line of standard error with something on it since the start") {
  prunella::tests::temporary_folder folder;
  const auto path = folder / "log";
  CHECK(last_error_line(path, 0) == "");
  std::ofstream{path} << "2026-11-21T17:59:24.000Z stderr F old words\n2026-11-21T17:59:25.000Z stderr F  bind: caf\xc3\xa9 \n"
                         "2026-11-21T17:59:25.001Z stderr F \n2026-11-21T17:59:25.002Z stdout F bye\n";
  const auto start = ms_of(parse_log_line("2026-11-21T17:59:24.500Z stderr F x"));
  CHECK(last_error_line(path, start) == "bind: caf??");
  CHECK(last_error_line(path, start + 1'000) == "");
  CHECK(shown_words(std::string(5'000, 'x')) == std::string(200, 'x'));
  CHECK(shown_words(" red \x1b[31m \xc3\xbc\r\n") == "red ?[31m ??");
}
