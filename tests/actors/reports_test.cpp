#include <doctest/doctest.h>

#include <caf/binary_serializer.hpp>

#include "actors/site/observations.hpp"
#include "tests/actors/report_fixture.hpp"

using namespace prunella;
using namespace prunella::test;
using namespace std::chrono_literals;

namespace {

std::string name(int n) { return "default.shop.web-" + std::to_string(n); }

/// Sends heartbeats until the leader holds everything. Number of heartbeats; at most 100.
int exchange(actors::report_log& log, actors::observations& seen, std::uint64_t confirmed) {
  for (int n = 1; n <= 100; ++n) {
    confirmed = seen.take(beat_of(log, confirmed), {});
    if (confirmed == log.revision())
      return n;
  }
  return 100;
}

} // namespace

TEST_CASE("reports reach the leader as differences, and whole when it knows none") {
  actors::report_log log;
  actors::observations seen;
  log.put(running("default.a.web-1", 1));
  log.put(running("default.a.web-2", 1));
  auto confirmed = seen.take(beat_of(log, 0), {});
  CHECK(confirmed == log.revision());
  CHECK(seen.of_host("host-1").size() == 2);

  CHECK_FALSE(log.put(running("default.a.web-1", 1))); // says the same
  log.put(running("default.a.web-1", 2));
  log.remove("default.a.web-2");
  const auto beat = beat_of(log, confirmed);
  CHECK(beat.reports.size() == 1);
  CHECK(beat.gone == std::vector<std::string>{"default.a.web-2"});
  confirmed = seen.take(beat, {});
  CHECK(confirmed == log.revision());
  CHECK(seen.find("host-1", "default.a.web-1")->generation == 2);
  CHECK(seen.find("host-1", "default.a.web-2") == nullptr);
}

TEST_CASE("differences to something the leader does not hold are not mixed in, it asks for all") {
  actors::report_log log;
  actors::observations seen;
  log.put(running("default.a.web-1", 1));
  const auto first = log.revision();
  log.put(running("default.a.web-2", 1));
  CHECK(seen.take(beat_of(log, first), {}) == 0); // a new leader
  CHECK(seen.of_host("host-1").empty());
  CHECK(seen.take(beat_of(log, 0), {}) == log.revision());
  CHECK(seen.take(beat_of(log, first, 2), {}) == 0); // the agent was restarted
}

TEST_CASE("a host whose reports together are above the limit has none, whatever it sends them in") {
  actors::report_log log;
  actors::observations seen;
  std::uint64_t confirmed = 0;
  const auto report = [&](std::size_t i, std::size_t bytes) {
    auto x = running("default.a.web-" + std::to_string(i), 1);
    x.reason = std::string(bytes, 'x');
    log.put(x);
    confirmed = seen.take(beat_of(log, confirmed), {});
  };
  constexpr std::size_t parts = 16;
  for (std::size_t i = 1; i < parts; ++i)
    report(i, actors::max_held_bytes / parts);
  report(1, actors::max_held_bytes / parts); // again the same one: it counts once
  CHECK(seen.of_host("host-1").size() == parts - 1);
  CHECK(confirmed == log.revision());
  report(parts, actors::max_held_bytes / parts);
  CHECK(seen.of_host("host-1").empty());
  CHECK(confirmed == 0);
}

TEST_CASE("a lost answer only repeats the difference") {
  actors::report_log log;
  actors::observations seen;
  log.put(running("default.a.web-1", 1));
  const auto before = seen.take(beat_of(log, 0), {});
  log.put(running("default.a.web-2", 1));
  seen.take(beat_of(log, before), {}); // its answer is lost
  log.put(running("default.a.web-3", 1));
  const auto known = seen.take(beat_of(log, before), {});
  CHECK(seen.take(beat_of(log, known), {}) == log.revision());
  CHECK(seen.of_host("host-1").size() == 3);
}

TEST_CASE("ten thousand reports come in parts of a quarter of the longest message, and are all there in the end") {
  actors::report_log log{1'000'000};
  actors::observations seen;
  for (int i = 1; i <= 10'000; ++i) {
    auto x = running(name(i), 1);
    x.containers = {{name(i) + ".main", "running", 4'000'000, 0, ""}};
    log.put(x);
  }
  std::uint64_t confirmed = 0;
  int parts = 0;
  while (confirmed != log.revision()) {
    const auto beat = beat_of(log, confirmed);
    std::size_t bytes = 0;
    for (const auto& x : beat.reports)
      bytes += x.instance.size() + x.containers[0].name.size();
    REQUIRE(bytes < actors::max_beat_bytes);
    confirmed = seen.take(beat, {});
    REQUIRE(++parts < 30);
  }
  CHECK(parts > 5);
  CHECK(seen.of_host("host-1").size() == 10'000);
  CHECK(beat_of(log, confirmed).reports.empty());
}

TEST_CASE("a full heartbeat of the longest reports fits into half of the longest message") {
  actors::report_log log;
  const std::string longest_name = std::string(63, 'a') + '.' + std::string(63, 'b') + '.' + std::string(63, 'c');
  for (int i = 0; i < 500; ++i) {
    auto x = running(longest_name + '-' + std::to_string(i), 1);
    x.reason = std::string(1'024, 'x');
    for (int c = 0; c < 16; ++c)
      x.containers.push_back({x.instance + '.' + std::string(63, 'd'), "stopping", 4'000'000, 3, x.reason});
    log.put(x);
  }
  const auto beat = beat_of(log, 0);
  CHECK(beat.revision != log.revision());
  std::vector<char> bytes;
  caf::binary_serializer sink{static_cast<caf::execution_unit*>(nullptr), bytes};
  CHECK_FALSE(sink(beat));
  CHECK(bytes.size() > actors::max_beat_bytes / 2);
  CHECK(bytes.size() < 512 * 1024);
}

TEST_CASE("what changes and goes while everything is reported part by part is right in the end") {
  actors::report_log log;
  actors::observations seen;
  for (int i = 1; i <= 3'000; ++i)
    log.put(running(name(i), 1));
  auto confirmed = seen.take(beat_of(log, 0), {});
  REQUIRE(confirmed != log.revision());
  log.remove(name(1));              // the leader has it
  log.remove(name(3'000));          // and this one not yet
  log.put(running(name(2), 2));     // it has an older one
  log.put(running(name(2'999), 2)); // it has none
  log.remove(name(3));
  log.put(running(name(3), 7)); // gone and back
  CHECK(exchange(log, seen, confirmed) < 10);
  CHECK(seen.of_host("host-1").size() == 2'998);
  CHECK(seen.find("host-1", name(1)) == nullptr);
  CHECK(seen.find("host-1", name(3'000)) == nullptr);
  CHECK(seen.find("host-1", name(2))->generation == 2);
  CHECK(seen.find("host-1", name(2'999))->generation == 2);
  CHECK(seen.find("host-1", name(3))->generation == 7);
}

TEST_CASE("1000 removals are told one by one, with one more everything is told again") {
  for (const int removals : {1'000, 1'001}) {
    actors::report_log log;
    actors::observations seen;
    for (int i = 0; i <= removals; ++i)
      log.put(running(name(i), 1));
    REQUIRE(exchange(log, seen, 0) < 10);
    const auto confirmed = log.revision();
    for (int i = 1; i <= removals; ++i)
      log.remove(name(i));
    const auto beat = beat_of(log, confirmed);
    CHECK((beat.since_revision == 0) == (removals > 1'000));
    seen.take(beat, {});
    CHECK(seen.of_host("host-1").size() == 1);
  }
}

TEST_CASE("a log of a later life never continues where an earlier one ended") {
  actors::observations seen;
  actors::report_log earlier{100};
  earlier.put(running(name(1), 1));
  earlier.put(running(name(2), 1));
  const auto confirmed = seen.take(beat_of(earlier, 0), {});
  actors::report_log later{200};
  later.put(running(name(2), 1));
  CHECK(beat_of(later, confirmed).since_revision == 0);
  CHECK(seen.take(beat_of(later, confirmed), {}) == 201);
  CHECK(seen.of_host("host-1").size() == 1);
}

TEST_CASE("a heartbeat without reports says nothing about them") {
  actors::report_log log;
  actors::observations seen;
  log.put(running(name(1), 1));
  const auto confirmed = seen.take(beat_of(log, 0), {});
  actors::host_heartbeat alive;
  alive.host = "host-1";
  alive.incarnation = 1;
  CHECK(seen.take(alive, {}) == confirmed);
  alive.incarnation = 2;
  CHECK(seen.take(alive, {}) == 0);
  CHECK(seen.of_host("host-1").size() == 1);
}

TEST_CASE("who gave up is known at once, and its revision changes with it and with nothing else") {
  actors::report_log log;
  actors::observations seen;
  log.put(running(name(1), 1));
  log.put(running(name(2), 1));
  auto confirmed = seen.take(beat_of(log, 0), {});
  const auto before = seen.ends_revision();
  log.put(running(name(1), 2));
  confirmed = seen.take(beat_of(log, confirmed), {});
  CHECK(seen.ends_revision() == before);
  auto failed = running(name(2), 1);
  failed.gave_up = true;
  failed.reason = "exited with code 3";
  log.put(failed);
  confirmed = seen.take(beat_of(log, confirmed), {});
  CHECK(seen.ends_revision() != before);
  REQUIRE(seen.gave_up().count(name(2)) == 1);
  CHECK(seen.gave_up().at(name(2)).host == "host-1");
  const auto known = seen.ends_revision();
  log.put(running(name(2), 2));
  seen.take(beat_of(log, confirmed), {});
  CHECK(seen.gave_up().empty());
  CHECK(seen.ends_revision() != known);
}

TEST_CASE("an instance counts as ready since its probes said so, from anew after each time they did not and after each restart") {
  actors::report_log log;
  actors::observations seen;
  std::uint64_t confirmed = 0;
  const auto heard = [&](const actors::instance_report& report, std::chrono::seconds at) {
    log.put(report);
    confirmed = seen.take(beat_of(log, confirmed), runtime::instant{at});
    return seen.ready_since("host-1", name(1), report.generation);
  };
  auto report = running(name(1), 1);
  report.ready = false;
  CHECK_FALSE(heard(report, 1s));
  report.ready = true;
  CHECK(heard(report, 2s) == runtime::instant{2s});
  report.reason = "something else";
  CHECK(heard(report, 3s) == runtime::instant{2s});
  report.ready = false;
  CHECK_FALSE(heard(report, 4s));
  report.ready = true;
  CHECK(heard(report, 5s) == runtime::instant{5s});
  report.restarts = 1;
  CHECK(heard(report, 6s) == runtime::instant{6s});
}
