#include <doctest/doctest.h>

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "actors/api/use_views.hpp"
#include "actors/host/use.hpp"
#include "actors/names.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace std::chrono_literals;
using std::chrono::microseconds;

namespace {

void write(const std::string& path, std::size_t bytes) { std::ofstream{path, std::ios::binary} << std::string(bytes, 'x'); }

actors::container_stats stats_of(const std::string& name, std::uint64_t generation, microseconds user, microseconds system) {
  actors::container_stats x;
  x.name = name;
  x.generation = generation;
  x.user_time = user;
  x.system_time = system;
  x.rss_bytes = 4096;
  x.processes = 2;
  return x;
}

} // namespace

TEST_CASE("processor use is the mean between two readings, rounded, and 0 where a counter or the clock went back") {
  using actors::cpu_millis_between;
  CHECK(cpu_millis_between({0s, 0s}, {1s, 500ms}) == 500);
  CHECK(cpu_millis_between({5s, 10s}, {7s, 14s}) == 2000);
  CHECK(cpu_millis_between({0s, 0s}, {1s, 499us}) == 0);
  CHECK(cpu_millis_between({0s, 0s}, {1s, 500us}) == 1);
  CHECK(cpu_millis_between({1s, 0s}, {1s, 500ms}) == 0);
  CHECK(cpu_millis_between({2s, 0s}, {1s, 500ms}) == 0);
  CHECK(cpu_millis_between({0s, 9s}, {1s, 1s}) == 0);
}

TEST_CASE("what the kernel says of processor, memory and threads is read, and what says something else is not") {
  CHECK(*actors::parse_cpu_use("cpu  100 20 30 9999 500 6 4 77 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n", 100) == 1'600ms);
  CHECK(!actors::parse_cpu_use("cpu  100 20 30 9999 500 6\n", 100));
  CHECK(!actors::parse_cpu_use("cpu0 100 20 30 9999 500 6 4 77 0 0\n", 100));
  CHECK(!actors::parse_cpu_use("", 100));
  CHECK(!actors::parse_cpu_use("cpu  1 2 3 4 5 6 7", 0));
  const auto memory = actors::parse_memory("MemTotal:       2048 kB\nMemFree:  1 kB\nMemAvailable:     512 kB\n");
  REQUIRE(memory);
  CHECK(memory->total == 2 << 20);
  CHECK(memory->available == 512 << 10);
  CHECK(!actors::parse_memory("MemTotal: 2048 kB\n"));
  CHECK(!actors::parse_memory("MemTotal: lots\nMemAvailable: 1 kB"));
  CHECK(!actors::parse_memory(""));
  CHECK(*actors::parse_threads("0.50 0.40 0.30 2/193 4711\n") == 193);
  CHECK(!actors::parse_threads("0.50 0.40 0.30\n"));
  CHECK(!actors::parse_threads("1/"));
}

TEST_CASE("this machine has processors, memory, a disk and threads, and uses some of each") {
  const auto reading = actors::read_machine("/", 7s);
  CHECK(reading.cpu.at == 7s);
  CHECK(reading.cpu.used > 0s);
  const auto& use = reading.use;
  CHECK(use.cpu_millis_total >= 1000);
  CHECK((0 < use.memory_bytes && use.memory_bytes < use.memory_bytes_total));
  CHECK((0 < use.disk_bytes && use.disk_bytes <= use.disk_bytes_total));
  CHECK((0 < use.threads && use.threads < use.threads_total));
}

TEST_CASE("a machine whose /proc says nothing is not known rather than refused") {
  tests::temporary_folder folder;
  const auto use = actors::read_machine(folder.path() + "/none", 0s, folder.path()).use;
  CHECK(use.memory_bytes_total == 0);
  CHECK(use.disk_bytes_total == 0);
  CHECK(use.threads == 0);
}

TEST_CASE("files are counted by their blocks, each once, links are not followed, and after the limit it says at least") {
  tests::temporary_folder folder;
  const auto root = folder.path() + "/box";
  std::filesystem::create_directories(root + "/deep/er");
  const auto empty = actors::count_disk(root, 100);
  CHECK(empty.entries == 2);
  write(root + "/a", 1 << 20);
  const auto one = actors::count_disk(root, 100);
  CHECK(one.bytes - empty.bytes >= 1 << 20);
  CHECK(one.bytes - empty.bytes < (1 << 20) + 65'536);
  REQUIRE(::link((root + "/a").c_str(), (root + "/deep/er/b").c_str()) == 0);
  write(folder.path() + "/outside", 1 << 20);
  REQUIRE(::symlink((folder.path() + "/outside").c_str(), (root + "/deep/out").c_str()) == 0);
  REQUIRE(::symlink(folder.path().c_str(), (root + "/deep/up").c_str()) == 0);
  const auto linked = actors::count_disk(root, 100);
  CHECK(linked.bytes - one.bytes < 65'536);
  CHECK(linked.entries == 6);
  CHECK(!linked.is_at_least);
  CHECK(!actors::count_disk(root, 6).is_at_least);
  const auto some = actors::count_disk(root, 5);
  CHECK(some.is_at_least);
  CHECK(some.entries == 5);
  CHECK(actors::count_disk(root + "/none", 100).entries == 0);
  CHECK(actors::count_disk(root + "/a", 100).entries == 0); // no folder
}

TEST_CASE("of a container what its present start wrote is counted, its logs and its own folder, and no start that is being cleared away") {
  tests::temporary_folder folder;
  const auto root = folder.path() + "/c";
  for (const auto* part : {"/work", "/run/old/upper", "/run/new/upper"})
    std::filesystem::create_directories(root + part);
  std::ofstream{root + "/run/old/container.pid"} << 41;
  std::ofstream{root + "/run/new/container.pid"} << 42;
  const auto none = actors::count_container_disk(root, 42, 100);
  write(root + "/run/old/upper/a", 4 << 20);
  CHECK(actors::count_container_disk(root, 42, 100).bytes == none.bytes);
  write(root + "/run/new/upper/a", 1 << 20);
  write(root + "/work/a", 1 << 20);
  write(root + "/log", 1 << 20);
  const auto all = actors::count_container_disk(root, 42, 100);
  CHECK(all.bytes - none.bytes >= 3 << 20);
  CHECK(all.bytes - none.bytes < (3 << 20) + 65'536);
  CHECK(!all.is_at_least);
  CHECK(actors::count_container_disk(root, 42, 2).is_at_least);
  CHECK(actors::count_container_disk(root + "/none", 42, 100).entries == 0);
}

TEST_CASE("a container's use is counted since the reading before, and a new generation begins anew") {
  actors::container_readings readings;
  CHECK(readings.advance({{stats_of("t.a.s-1.c", 1, 5s, 5s)}}, 10s)[0].cpu_millis == 0);
  const auto next = readings.advance({{stats_of("t.a.s-1.c", 1, 6s, 5s), stats_of("t.a.s-2.c", 1, 1s, 1s)}}, 12s);
  REQUIRE(next.size() == 2);
  CHECK(next[0].cpu_millis == 500);
  CHECK(next[0].memory_bytes == 4096);
  CHECK(next[0].processes == 2);
  CHECK(next[1].cpu_millis == 0);
  CHECK(readings.advance({{stats_of("t.a.s-1.c", 2, 9s, 9s)}}, 13s)[0].cpu_millis == 0);
  CHECK(readings.advance({{stats_of("t.a.s-2.c", 1, 9s, 9s)}}, 14s)[0].cpu_millis == 0); // was forgotten when it was gone
}

TEST_CASE("use stands beside what is reserved, and a capacity that the machine does not have is warned of") {
  actors::site_state state;
  auto& host = state.hosts["host-1"];
  host.spec.id = "host-1";
  host.spec.capacity = {2'000, std::int64_t{1} << 30};
  config::container_spec container;
  container.name = "main";
  container.resources = {250, 64 << 20};
  config::service_spec service;
  service.name = "web";
  service.containers = {container};
  auto& application = state.applications[actors::application_key("default", "shop")];
  application.spec.name = "shop";
  application.spec.services = {service};
  auto& placed = state.assignments["default.shop.web-1"];
  placed.tenant = "default";
  placed.application = "shop";
  placed.service = "web";
  placed.host = "host-1";

  actors::use_answer answer;
  answer.machine.cpu_millis_total = 2'000;
  answer.machine.memory_bytes_total = std::int64_t{1} << 30;
  answer.containers.resize(2);
  answer.containers[0].name = "default.shop.web-1.main";
  answer.containers[1].name = "default.gone.web-1.main";
  auto rows = actors::host_use_views(state, {{"host-9", {}}, {"host-1", answer}});
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].host == "host-1");
  CHECK(rows[0].capacity.cpu_millis == 2'000);
  CHECK(rows[0].reserved.cpu_millis == 250);
  CHECK(rows[0].containers == 2);
  CHECK(rows[0].warning == "");
  CHECK(rows[1].reserved.cpu_millis == 0); // nobody the site knows
  const auto containers = actors::container_use_views(state, {{"host-1", answer}});
  REQUIRE(containers.size() == 2);
  CHECK(containers[0].use.name == "default.gone.web-1.main");
  CHECK(containers[0].reserved.memory_bytes == 0);
  CHECK(containers[1].reserved.memory_bytes == 64 << 20);

  const auto warning = [&] { return actors::host_use_views(state, {{"host-1", answer}})[0].warning; };
  answer.machine.cpu_millis_total = 1'000;
  CHECK(warning() == "its capacity promises 2 cores, the machine has 1");
  answer.machine.cpu_millis_total = 2'000;
  answer.machine.memory_bytes_total = (std::int64_t{1} << 30) / 21 * 20 + 1'000; // the kernel's own twentieth
  CHECK(warning() == "");
  answer.machine.memory_bytes_total = std::int64_t{512} << 20;
  CHECK(warning() == "its capacity promises 1Gi of memory, the machine has 512Mi");
}

TEST_CASE("a count that took 10 ms is used for a second, for two while there are two to count, and never for another start") {
  actors::paced_counts counts{100, 60s};
  const actors::measure_disk web{"default.shop.web-1.main", 7};
  const actors::measure_disk cash{"default.shop.cash-1.main", 8};
  CHECK_FALSE(counts.ask(web, 0s));
  counts.counted(web, {4096}, 10ms, 10ms);
  CHECK(counts.ask(web, 1'009ms)->bytes == 4096);
  CHECK_FALSE(counts.ask(web, 1'010ms));
  CHECK_FALSE(counts.ask({web.container, 9}, 20ms));
  CHECK_FALSE(counts.ask(cash, 1'010ms));
  CHECK(counts.ask(web, 2'009ms)->bytes == 4096);
  CHECK_FALSE(counts.ask(web, 2'010ms));
}

TEST_CASE("a container that nobody asked about for a minute is no longer counted with the others") {
  actors::paced_counts counts{100, 60s};
  const actors::measure_disk web{"default.shop.web-1.main", 7};
  CHECK_FALSE(counts.ask({"default.shop.cash-1.main", 8}, 0s));
  CHECK_FALSE(counts.ask(web, 60s));
  counts.counted(web, {1}, 10ms, 60s);
  REQUIRE(counts.ask(web, 60'999ms)); // by then there is one less
  CHECK_FALSE(counts.ask(web, 61s));
}

TEST_CASE("what took no time to count is counted whenever it is asked for") {
  actors::paced_counts counts{100, 60s};
  const actors::measure_disk web{"default.shop.web-1.main", 7};
  CHECK_FALSE(counts.ask(web, 1s));
  counts.counted(web, {1}, 0ms, 1s);
  CHECK_FALSE(counts.ask(web, 1s));
}
