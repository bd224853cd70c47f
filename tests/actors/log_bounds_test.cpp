#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "actors/instance/container_log.hpp"
#include "actors/instance/log_bounds.hpp"
#include "actors/instance/log_keeper.hpp"
#include "config/time.hpp"
#include "tests/actors/real_process.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella::actors;
using namespace std::chrono_literals;
using prunella::config::log_spec;
namespace fs = std::filesystem;

namespace {

constexpr std::int64_t now = 1'795'000'000'000;
constexpr std::int64_t hour = 3'600'000;

std::string line_at(std::int64_t at_ms, const std::string& text) {
  return prunella::config::time_text(std::chrono::system_clock::time_point{std::chrono::milliseconds{at_ms}}) + " stdout F " + text + "\n";
}

struct container_files {
  explicit container_files(const std::string& folder) : path(folder + "/log") { fs::create_directories(folder); }

  void write(const std::string& newer, const std::string& older) const {
    if (!newer.empty())
      std::ofstream{path} << newer;
    if (!older.empty())
      std::ofstream{older_log_path(path)} << older;
  }

  std::string path;
};

} // namespace

TEST_CASE("a half is full with one byte more than half of the size") {
  const log_spec bounds{1'000'000, 0ms};
  CHECK(judge_log({500'000, {}, {}}, bounds, now) == log_verdict{false, false});
  CHECK(judge_log({500'001, {}, {}}, bounds, now) == log_verdict{true, false});
}

TEST_CASE("a half is full when its first line is older than half of the age, and goes when that is older than all of it") {
  const log_spec bounds{1'000'000, 10h};
  CHECK(judge_log({1, now - 5 * hour, now - 10 * hour}, bounds, now) == log_verdict{false, false});
  CHECK(judge_log({1, now - 5 * hour - 1, now - 10 * hour}, bounds, now) == log_verdict{true, false});
  CHECK(judge_log({1, now - 5 * hour, now - 10 * hour - 1}, bounds, now) == log_verdict{false, true});
}

TEST_CASE("without a bound of age, without lines, and with lines of a clock that went back, nothing is too old") {
  CHECK(judge_log({1, 0, 0}, {1'000'000, 0ms}, now) == log_verdict{});
  CHECK(judge_log({0, {}, {}}, {1'000'000, 60s}, now) == log_verdict{});
  CHECK(judge_log({1, now + hour, now + hour}, {1'000'000, 60s}, now) == log_verdict{});
}

TEST_CASE("logs are looked at sixteen times within the smallest age, between one second and ten minutes") {
  CHECK(time_between_looks(16min) == 60s);
  CHECK(time_between_looks(1s) == 1s);
  CHECK(time_between_looks(168h) == 10min);
}

TEST_CASE("bounds are kept beside the log, and where none or none that can be read are kept the defaults hold") {
  prunella::tests::temporary_folder folder;
  const auto path = folder / "log";
  CHECK(kept_log_bounds(path) == log_spec{});
  keep_log_bounds(path, {});
  CHECK_FALSE(fs::exists(path + ".bounds")); // the defaults need no file
  keep_log_bounds(path, {123'456, 7min});
  CHECK(kept_log_bounds(path) == log_spec{123'456, 7min});
  keep_log_bounds(path, {});
  CHECK(kept_log_bounds(path) == log_spec{});
  for (const char* bad : {"x", "5", "5 x", "0 0", "-1 5"}) {
    std::ofstream{path + ".bounds"} << bad;
    CHECK_MESSAGE(kept_log_bounds(path) == log_spec{}, bad);
  }
}

TEST_CASE("a log is as large as its newer half and as old as the first lines of both") {
  prunella::tests::temporary_folder folder;
  const container_files log{folder / "c"};
  CHECK(measure_log(log.path, true).bytes == 0);
  CHECK_FALSE(measure_log(log.path, true).begins_at_ms);
  log.write(line_at(now, "a") + line_at(now + 5, "b"), line_at(now - 1'000, std::string(5'000, 'x')));
  const auto found = measure_log(log.path, true);
  CHECK(found.bytes == static_cast<std::int64_t>(fs::file_size(log.path)));
  CHECK(found.begins_at_ms == now);
  CHECK(found.older_begins_at_ms == now - 1'000);
  CHECK_FALSE(measure_log(log.path, false).begins_at_ms);
  std::ofstream{log.path} << std::string(500, 'z');
  CHECK_FALSE(measure_log(log.path, true).begins_at_ms);
}

TEST_CASE("what is too old goes also of containers that print nothing or have ended, and others are left as they are") {
  prunella::tests::temporary_folder folder;
  const container_files silent{folder / "silent"};
  const container_files ended{folder / "ended"};
  const container_files young{folder / "young"};
  const container_files unbounded{folder / "unbounded"};
  const auto old = line_at(now - 9 * hour, "newer");
  const auto older = line_at(now - 11 * hour, "older");
  for (const auto* log : {&silent, &ended, &unbounded})
    log->write(old, older);
  young.write(line_at(now - 4 * hour, "newer"), line_at(now - 9 * hour, "older"));
  for (const auto* log : {&ended, &young})
    keep_log_bounds(log->path, {1'000'000, 10h});
  log_keeper keeper{folder / "", [] { return now; }};
  keeper.add({silent.path, {}, 0}, {1'000'000, 10h});
  CHECK(fs::exists(older_log_path(ended.path))); // it does not begin before it is told who writes what
  keeper.begin_ageing();
  for (const auto* log : {&silent, &ended})
    CHECK(prunella::tests::eventually([&] { return prunella::tests::read_text(older_log_path(log->path)) == old && !fs::exists(log->path); }));
  keeper.remove(silent.path);
  CHECK(prunella::tests::read_text(older_log_path(young.path)) == line_at(now - 9 * hour, "older"));
  CHECK(fs::exists(young.path));
  CHECK(prunella::tests::read_text(older_log_path(unbounded.path)) == older);
}

TEST_CASE("output of a log whose folder could not be watched is taken within a second, as it is then looked at") {
  prunella::tests::temporary_folder folder;
  const container_files files{folder / "web"};
  fs::remove(folder / "web"); // as good as a system without watches left: none can be had
  log_keeper keeper{folder / ""};
  keeper.add({files.path, {}, 0}, {});
  fs::create_directory(folder / "web");
  std::ofstream{folder / "web/stdout.raw"} << "hello\n";
  CHECK(prunella::tests::eventually([&] { return prunella::tests::read_text(files.path).find("F hello\n") != std::string::npos; }));
  std::ofstream{folder / "web/stdout.raw", std::ios::app} << "again\n";
  CHECK(prunella::tests::eventually([&] { return prunella::tests::read_text(files.path).find("F again\n") != std::string::npos; }));
}

TEST_CASE("a log whose writer bounds its size is turned over by its age alone, and nothing is taken from files beside it") {
  prunella::tests::temporary_folder folder;
  const container_files files{folder / "web"};
  log_keeper keeper{folder / "", [] { return now; }};
  files.write(line_at(now - hour, "long ago"), {});
  std::ofstream{folder / "web/stdout.raw"} << "not ours\n";
  keeper.add({files.path, {}, 0, true}, {20, 10h});
  keeper.begin_ageing();
  keeper.add({files.path, {}, 0, true}, {20, 1h + 30min});
  CHECK(prunella::tests::eventually([&] { return fs::exists(older_log_path(files.path)); }));
  CHECK_FALSE(fs::exists(files.path));
  keeper.remove(files.path);
  CHECK_FALSE(fs::exists(files.path));
}
