// A log in a process that is killed, and on a disk without room.

#include <csignal>
#include <cstdio>
#include <fstream>
#include <random>
#include <sys/resource.h>
#include <sys/wait.h>

#include "tests/storage/raft_log_fixture.hpp"
#include "tests/storage/small_disk.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

/// Appends batches for ever and writes each acknowledged last index into `pipe`; every 40 batches a snapshot and a
/// compaction. Never returns.
[[noreturn]] void append_until_killed(const std::string& path, int pipe, std::uint32_t seed) {
  std::mt19937 random(seed);
  auto log = storage::open_raft_log(path, owner);
  if (!log)
    ::_exit(1);
  for (int round = 1;; ++round) {
    const auto first = (*log)->last_index() + 1;
    auto batch = entries(first, first + random() % 8, 1, 1 + random() % 3000);
    for (auto& made : batch.entries)
      made = entry(made.index, 1, 64 + made.index % 2000);
    batch.has_state = round % 5 == 0;
    batch.state = {1, 2, first};
    if (!(*log)->append(batch))
      ::_exit(2);
    const auto acknowledged = (*log)->last_index();
    if (::write(pipe, &acknowledged, sizeof(acknowledged)) != sizeof(acknowledged))
      ::_exit(3);
    if (round % 40 == 0 && (!(*log)->save_snapshot(snapshot(acknowledged, 1)) || !compact(**log, acknowledged - 10)))
      ::_exit(4);
  }
}

/// Runs a writer, kills it with SIGKILL after it acknowledged `batches` batches; the last index it acknowledged.
std::uint64_t kill_writer(const std::string& path, int batches, std::uint32_t seed) {
  int ends[2] = {-1, -1};
  REQUIRE(::pipe(ends) == 0);
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    ::close(ends[0]);
    append_until_killed(path, ends[1], seed);
  }
  ::close(ends[1]);
  std::uint64_t acknowledged = 0, index = 0;
  for (int seen = 0; ::read(ends[0], &index, sizeof(index)) == sizeof(index); ++seen) {
    acknowledged = index;
    if (seen + 1 == batches)
      ::kill(pid, SIGKILL);
  }
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFSIGNALED(status));
  return acknowledged;
}

/// Appends 64 KiB entries until refused; that error.
storage::storage_error append_until_full(storage::raft_log& log) {
  for (int i = 0; i < 10'000; ++i) {
    auto done = log.append(entries(log.last_index() + 1, log.last_index() + 1, 1, 64 * 1024));
    if (!done)
      return done.error();
  }
  return {storage_errc::invalid_argument, "the disk never filled up"};
}

} // namespace

TEST_CASE("every entry acknowledged before a SIGKILL is there afterwards, and at most one batch more") {
  temporary_folder folder;
  const std::uint32_t seed = 4711;
  CAPTURE(seed);
  std::mt19937 random(seed);
  for (int round = 0; round < 15; ++round) {
    CAPTURE(round);
    const auto acknowledged =
        kill_writer(folder / "raft.db", 1 + static_cast<int>(random() % 60), seed + static_cast<std::uint32_t>(round));
    const auto found = load(folder / "raft.db");
    const auto last = found.entries.empty() ? found.compacted_index : found.entries.back().index;
    REQUIRE(last >= acknowledged);
    REQUIRE(last <= acknowledged + 8);
    for (const auto& kept : found.entries)
      REQUIRE(kept == entry(kept.index, 1, 64 + kept.index % 2000));
  }
}

TEST_CASE("on a full disk an append is refused as retryable, nothing acknowledged is lost, and with room it goes on") {
  temporary_folder folder;
  small_disk mounted(folder / "disk", "12m");
  if (!mounted.mounted())
    return;
  const auto& disk = mounted.path();
  {
    std::ofstream ballast(disk + "/ballast", std::ios::binary); // written, not resized: a hole takes no room
    ballast << std::string(1u << 20, 'b');
  }

  auto log = open_log(disk + "/raft.db");
  const auto error = append_until_full(*log);
  CAPTURE(error.message);
  CHECK(error.code == storage_errc::disk_full);
  CHECK(storage::is_retryable(error.code));
  const auto stored = log->last_index();
  CHECK(stored > 20);
  CHECK(must(log->load()).entries.size() == stored);
  std::filesystem::remove(disk + "/ballast");
  must(log->append(entries(stored + 1, stored + 1)));
  log.reset();
  CHECK(load(disk + "/raft.db").entries.size() == stored + 1);
}

TEST_CASE("a file size limit is told as no room, and what was acknowledged before it is there") {
  temporary_folder folder;
  int ends[2] = {-1, -1};
  REQUIRE(::pipe(ends) == 0);
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{3u << 20, 3u << 20};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    auto log = storage::open_raft_log(folder / "raft.db", owner);
    std::uint64_t report[2] = {0, 0};
    if (log) {
      report[0] = static_cast<std::uint64_t>(append_until_full(**log).code);
      report[1] = (*log)->last_index();
    }
    ::_exit(::write(ends[1], report, sizeof(report)) == sizeof(report) ? 0 : 1);
  }
  ::close(ends[1]);
  std::uint64_t report[2] = {0, 0};
  REQUIRE(::read(ends[0], report, sizeof(report)) == sizeof(report));
  ::close(ends[0]);
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  CHECK(report[0] == static_cast<std::uint64_t>(storage_errc::disk_full));
  CHECK(report[1] > 10);
  CHECK(load(folder / "raft.db").entries.size() == report[1]);
}
