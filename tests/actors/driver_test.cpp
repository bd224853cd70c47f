#include <doctest/doctest.h>

#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "actors/instance/container_folder.hpp"
#include "actors/instance/driver.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/process.hpp"
#include "actors/instance/process_recovery.hpp"
#include "actors/instance/start_room.hpp"

using namespace prunella::actors;

namespace {

// Fields 3 … 52 of a real line, with the interesting ones settable.
std::string stat_line(const std::string& command, const std::string& start_ticks) {
  return "4242 (" + command + ") Z 1 4242 4242 0 -1 4194304 100 0 0 0 7 9 0 0 20 0 1 0 " + start_ticks
         + " 1000 25 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 768\n";
}

marked_process marked(pid_t pid, const std::string& container, std::uint64_t generation) {
  marked_process process;
  process.stat.pid = pid;
  process.mark = {"/data", container, generation};
  return process;
}

prunella::storage::container_record record(const std::string& name, std::uint64_t generation) {
  prunella::storage::container_record made;
  made.name = name;
  made.generation = generation;
  return made;
}

container_order order() {
  container_order made;
  made.name = "default.shop.web-1.server";
  made.instance = "default.shop.web-1";
  made.generation = 3;
  made.spec.command = {"sleep", "1"};
  return made;
}

} // namespace

TEST_CASE("a stat line is read up to its last field, the exit status of a zombie") {
  const auto stat = parse_proc_stat(stat_line("sleep", "123456789"));
  REQUIRE(stat);
  CHECK(stat->pid == 4242);
  CHECK(stat->command == "sleep");
  CHECK(stat->state == 'Z');
  CHECK(stat->parent == 1);
  CHECK(stat->group == 4242);
  CHECK(stat->session == 4242);
  CHECK(stat->user_ticks == 7);
  CHECK(stat->system_ticks == 9);
  CHECK(stat->start_ticks == 123456789);
  CHECK(stat->rss_pages == 25);
  CHECK(stat->wait_status == 768);
}

TEST_CASE("a command with spaces and parentheses does not shift the fields of a stat line") {
  const auto stat = parse_proc_stat(stat_line("a) S 1 (b c", "77"));
  REQUIRE(stat);
  CHECK(stat->command == "a) S 1 (b c");
  CHECK(stat->state == 'Z');
  CHECK(stat->start_ticks == 77);
}

TEST_CASE("what is not a stat line is refused, not half read") {
  CHECK_FALSE(parse_proc_stat(""));
  CHECK_FALSE(parse_proc_stat("4242 sleep S 1"));
  CHECK_FALSE(parse_proc_stat("4242 (sleep"));
  CHECK_FALSE(parse_proc_stat("4242 (sleep) S 1 4242"));
  CHECK_FALSE(parse_proc_stat("x (sleep) S 1 1 1 0 0 0 0 0 0 0 1 1 0 0 0 0 0 0 5 0 0"));
}

TEST_CASE("a mark needs all three variables and a number as generation") {
  using namespace std::string_literals;
  const auto mark = parse_mark("PRUNELLA_AGENT=/data\0PRUNELLA_CONTAINER=a.b.c-1.d\0PRUNELLA_GENERATION=7\0PATH=/bin\0"s);
  REQUIRE(mark);
  CHECK(mark->agent == "/data");
  CHECK(mark->container == "a.b.c-1.d");
  CHECK(mark->generation == 7);
  CHECK_FALSE(parse_mark("PRUNELLA_AGENT=/data\0PRUNELLA_CONTAINER=a\0"s));
  CHECK_FALSE(parse_mark("PRUNELLA_AGENT=/data\0PRUNELLA_CONTAINER=a\0PRUNELLA_GENERATION=7x\0"s));
  CHECK_FALSE(parse_mark("PRUNELLA_AGENT=/data\0PRUNELLA_CONTAINER=\0PRUNELLA_GENERATION=7\0"s));
  CHECK_FALSE(parse_mark(""));
}

TEST_CASE("an orphan is a marked process without a running container of its name and generation") {
  const auto orphans = find_orphans(
    {marked(10, "a", 1), marked(11, "a", 2), marked(12, "b", 1), marked(13, "c", 1)}, {record("a", 2), record("c", 1)});
  REQUIRE(orphans.size() == 2);
  CHECK(orphans[0].stat.pid == 10);
  CHECK(orphans[1].stat.pid == 12);
}

TEST_CASE("a wait status splits into exit code or signal") {
  CHECK(from_wait_status(3 << 8).exit_code == 3);
  CHECK(from_wait_status(3 << 8).signal == 0);
  CHECK(from_wait_status(9).signal == 9);
  CHECK(from_wait_status(0x80 | 11).signal == 11);
  CHECK(from_wait_status(0).known);
}

TEST_CASE("an end reads as a sentence's end") {
  container_exited exited;
  CHECK(describe_exit(exited) == "ended, and nobody saw how");
  exited.known = true;
  exited.exit_code = 3;
  CHECK(describe_exit(exited) == "exited with code 3");
  exited.last_words = "bind: Address already in use";
  CHECK(describe_exit(exited) == "exited with code 3: bind: Address already in use");
  exited.signal = 9;
  CHECK(describe_exit(exited) == "was killed by signal 9 (SIGKILL): bind: Address already in use");
  exited.last_words = {};
  CHECK(describe_exit(exited) == "was killed by signal 9 (SIGKILL)");
  exited.out_of_memory = true;
  CHECK(describe_exit(exited) == "ran out of memory and was killed");
  exited.memory_limit_bytes = 64 << 20;
  CHECK(describe_exit(exited) == "ran out of memory (its limit is 64 MiB) and was killed");
  exited.signal = 0;
  exited.exit_code = 137;
  CHECK(describe_exit(exited) == "ran out of memory (its limit is 64 MiB) and exited with code 137");
}

TEST_CASE("a container ended well that exited with code 0, untold, and whose driver knows of nothing that ended it") {
  container_exited exited;
  CHECK_FALSE(has_ended_well(exited)); // nobody saw how
  exited.known = true;
  CHECK(has_ended_well(exited));
  exited.stopped = true;
  CHECK_FALSE(has_ended_well(exited));
  exited.stopped = false;
  exited.last_words = "its container engine was stopped or restarted";
  CHECK_FALSE(has_ended_well(exited));
  exited.last_words.clear();
  exited.exit_code = 3;
  CHECK_FALSE(has_ended_well(exited));
  exited.exit_code = 0;
  exited.signal = 15;
  CHECK_FALSE(has_ended_well(exited));
}

TEST_CASE("the marks stand in front of the environment and cannot be overridden by a spec") {
  auto made = order();
  made.env = {{"A", "1"}, {"PRUNELLA_AGENT", "/forged"}, {"PRUNELLA_GENERATION", "99"}};
  const auto environment = make_environment(made, "/data");
  CHECK(environment
        == std::vector<std::string>{"PRUNELLA_AGENT=/data", "PRUNELLA_CONTAINER=default.shop.web-1.server",
                                    "PRUNELLA_GENERATION=3", "A=1", "PATH=" + std::string{default_path}});
}

TEST_CASE("a PATH of the spec replaces the default") {
  auto made = order();
  made.env = {{"PATH", "/opt/bin"}};
  CHECK(make_environment(made, "/data").back() == "PATH=/opt/bin");
}

TEST_CASE("an order that execve could not take, or whose name would leave the data directory, is refused") {
  const auto refused = [](auto change) {
    auto made = order();
    change(made);
    const auto failure = check_order(made);
    return failure && failure->code == driver_errc::invalid_request;
  };
  CHECK_FALSE(check_order(order()));
  CHECK(refused([](auto& o) { o.name = ""; }));
  CHECK(refused([](auto& o) { o.name = "a/b"; }));
  CHECK(refused([](auto& o) { o.name = ".."; }));
  CHECK(refused([](auto& o) { o.name.assign(256, 'a'); }));
  CHECK_FALSE(refused([](auto& o) { o.name.assign(255, 'a'); }));
  CHECK(refused([](auto& o) { o.instance = ""; }));
  CHECK(refused([](auto& o) { o.spec.command.clear(); }));
  CHECK(refused([](auto& o) { o.spec.command = {""}; }));
  CHECK(refused([](auto& o) { o.spec.command[1] = std::string("a\0b", 3); }));
  CHECK(refused([](auto& o) { o.env["A=B"] = "1"; }));
  CHECK(refused([](auto& o) { o.env[""] = "1"; }));
  CHECK(refused([](auto& o) { o.env["A"] = std::string("a\0b", 3); }));
}

TEST_CASE("every driver error has a name, and only the operating system's moods are retryable") {
  for (int code = 1; code <= 12; ++code)
    CHECK(to_text(static_cast<driver_errc>(code)) != "unknown");
  CHECK(is_retryable(driver_errc::fork_failed));
  CHECK(is_retryable(driver_errc::disk_full));
  CHECK_FALSE(is_retryable(driver_errc::command_not_found));
  CHECK_FALSE(is_retryable(driver_errc::stale_generation));
}

TEST_CASE("a driver error is known by its code, and no error is none of them") {
  const auto error = to_error({driver_errc::not_running, "it does not run"});
  CHECK(is_driver_error(error, driver_errc::not_running));
  CHECK_FALSE(is_driver_error(error, driver_errc::released));
  CHECK_FALSE(is_driver_error({}, driver_errc::not_running));
}

TEST_CASE("a disk with less than a start needs is waited for with one sentence for fifteen seconds, and then the start has failed") {
  using prunella::actors::room_left;
  using prunella::actors::start_room;
  start_room room{"/data"};
  const std::chrono::steady_clock::time_point begin{};
  const room_left enough{start_room::bytes_of_start, start_room::files_of_start};
  CHECK_FALSE(room.judge("web", enough, begin));
  const auto full = room.judge("web", {enough.bytes - 1, enough.files}, begin);
  REQUIRE(full);
  CHECK(full->code == driver_errc::disk_full);
  CHECK(full->message == "the disk of /data is full, so web cannot be started; free some space on it (`df -h /data`), then it is");
  for (auto t = std::chrono::seconds{1}; t < start_room::patience; ++t) // as often as those look that wait
    CHECK(room.judge("web", {0, enough.files}, begin + t)->code == driver_errc::disk_full);
  const auto later = room.judge("web", {0, enough.files}, begin + start_room::patience - std::chrono::milliseconds{1});
  CHECK(later->code == driver_errc::disk_full);
  CHECK(later->message == full->message);
  CHECK(room.judge("web", {0, enough.files}, begin + start_room::patience)->code == driver_errc::data_directory_unusable);
  // A day without a look does not count as a full one.
  CHECK(room.judge("web", {0, enough.files}, begin + std::chrono::hours{24})->code == driver_errc::disk_full);
  CHECK_FALSE(room.judge("web", enough, begin + std::chrono::hours{25}));
  const auto again = room.judge("db", {enough.bytes, enough.files - 1}, begin + std::chrono::hours{26}); // counted from anew
  CHECK(again->code == driver_errc::disk_full);
  CHECK(again->message.find("can hold no more files, so db cannot be started") != std::string::npos);
  CHECK(again->message.find("df -h -i /data") != std::string::npos);
}

TEST_CASE("what is left on a file system is measured, and one that cannot be looked at has room") {
  CHECK(prunella::actors::measure_room("/").files > 0);
  CHECK(prunella::actors::measure_room("/nowhere/at/all").bytes > (std::uint64_t{1} << 60));
  CHECK(prunella::actors::measure_room("/sys").bytes == 0);
}
