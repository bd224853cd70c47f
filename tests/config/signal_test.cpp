#include <doctest/doctest.h>

#include "config/signal.hpp"

using namespace prunella::config;

TEST_CASE("a signal is read by its name with and without SIG and by its number from 1 to 64") {
  CHECK(parse_signal("SIGTERM") == 15);
  CHECK(parse_signal("TERM") == 15);
  CHECK(parse_signal("1") == 1);
  CHECK(parse_signal("64") == 64);
  for (const char* bad : {"", "0", "65", "-1", "term", "SIG", "SIGSIGTERM", "9 ", "99999999999999999999"})
    CHECK_MESSAGE(!parse_signal(bad), bad);
}

TEST_CASE("a signal is told by its name, or by its number if it has none") {
  CHECK(signal_name(9) == "SIGKILL");
  CHECK(signal_name(64) == "signal 64");
}

TEST_CASE("a container is asked to end by the signal of its spec, else of its image, else by SIGTERM") {
  CHECK(stop_signal("INT", "SIGQUIT") == 2);
  CHECK(stop_signal("", "SIGQUIT") == 3);
  CHECK(stop_signal("", "") == 15);
  CHECK(stop_signal("") == 15);
  CHECK(stop_signal("64", "") == 64);
}

TEST_CASE("what is no signal asks by SIGTERM, and does not fall back to the image's") {
  CHECK(stop_signal("SIGNOTHING", "SIGQUIT") == 15);
  CHECK(stop_signal("", "SIGNOTHING") == 15);
  CHECK(stop_signal("0", "SIGQUIT") == 15);
}
