// What the repair of a damaged Raft log keeps, and what it says about the rest.

#include "storage/commit_mark.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/raft_log_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

bool holds(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

} // namespace

TEST_CASE("repair keeps the entries before the damaged one, counts the others, keeps a copy, and marks the log") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  {
    auto log = open_log(path);
    must(log->append(entries(1, 10)));
    must(log->append(state(1, 2, 9)));
  }
  run_sql(path, "UPDATE entry SET data=x'00' WHERE idx=7");
  const auto damaged = read_bytes(path);
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK_FALSE(done.was_sound);
  CHECK(done.last_kept == 6);
  CHECK(done.entries_kept == 6);
  CHECK(done.entries_dropped == 4);
  CHECK(done.state_kept);
  CHECK_FALSE(done.snapshot_kept);
  CHECK(holds(done.message, "checksum of entry 7 is wrong"));
  CHECK(holds(done.message, "must not vote"));
  CHECK(done.damaged_copy == path + ".damaged-1");
  CHECK(read_bytes(done.damaged_copy + "/raft.db") == damaged);

  auto log = open_log(path);
  const auto found = must(log->load());
  CHECK(found.entries == entries(1, 6).entries);
  CHECK(found.state == storage::hard_state{1, 2, 9});
  CHECK(found.repaired);
  must(log->append(entries(7, 8, 2)));
  log.reset();
  CHECK(load(path).entries.size() == 8);
  CHECK(load(path).repaired);
}

TEST_CASE("repair of a sound log changes nothing and makes no copy") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 10)));
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK(done.was_sound);
  CHECK(done.damaged_copy.empty());
  CHECK_FALSE(load(path).repaired);
}

TEST_CASE("repair of a log whose end was lost keeps all there is and marks it") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 5)));
  const auto old = read_bytes(path);
  must(open_log(path)->append(entries(6, 9)));
  write_bytes(path, old);
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK(done.last_kept == 5);
  CHECK(holds(done.message, "entry 9"));
  const auto found = load(path);
  CHECK(found.entries == entries(1, 5).entries);
  CHECK(found.repaired);
}

TEST_CASE("with term and vote unreadable nothing can be trusted: the log is left empty and marked") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 10)));
  run_sql(path, "UPDATE meta SET sum=x'00' WHERE key='head'");
  check_refused(storage::open_raft_log(path, owner), storage_errc::damaged, "'head'");
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK_FALSE(done.state_kept);
  CHECK(done.entries_kept == 0);
  const auto found = load(path);
  CHECK(found.entries.empty());
  CHECK(found.repaired);
}

TEST_CASE("a file that is no database any more leaves an empty log, and the copy has its bytes") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 10)));
  write_bytes(path, std::string(8192, '\xff'));
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK_FALSE(done.state_kept);
  CHECK(read_bytes(done.damaged_copy + "/raft.db") == std::string(8192, '\xff'));
  CHECK(load(path).entries.empty());
  CHECK(load(path).repaired);
}

TEST_CASE("entries behind a compacted part are of no use without their snapshot") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  {
    auto log = open_log(path);
    must(log->append(entries(1, 10)));
    must(log->save_snapshot(snapshot(8, 1)));
    must(compact(*log, 8));
  }
  run_sql(path, "DELETE FROM snapshot");
  check_refused(open_log(path)->load(), storage_errc::damaged, "snapshot ends at index 0");
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK_FALSE(done.state_kept);
  CHECK(load(path).entries.empty());
}

TEST_CASE("a sound snapshot beyond the damaged entry is kept and the log goes on behind it") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  {
    auto log = open_log(path);
    must(log->append(entries(1, 10, 4)));
    must(log->save_snapshot(snapshot(8, 4)));
  }
  run_sql(path, "UPDATE entry SET data=x'00' WHERE idx=3");
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK(done.snapshot_kept);
  CHECK(done.last_kept == 8);
  auto log = open_log(path);
  const auto found = must(log->load());
  CHECK(found.snapshot == snapshot(8, 4));
  CHECK(found.compacted_index == 8);
  CHECK(found.compacted_term == 4);
  must(log->append(entries(9, 9, 4)));
}

TEST_CASE("a repair that was interrupted before the new file was in place is noticed and can be done again") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 10)));
  // As the repair leaves it before its rename: a mark beyond every log, and a half-made replacement.
  must(storage::commit_mark::open(path + ".mark")).write({std::uint64_t{1} << 62, 0});
  write_bytes(path + ".repair", "half");
  check_refused(storage::open_raft_log(path, owner), storage_errc::damaged, "prunella host repair");
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK(done.last_kept == 10);
  CHECK(load(path).entries == entries(1, 10).entries);
  CHECK_FALSE(std::filesystem::exists(path + ".repair"));
}

TEST_CASE("repair refuses a log in use, and one that is not there") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  check_refused(storage::repair_raft_log(path, owner), storage_errc::inaccessible, "No such file");
  auto log = open_log(path);
  check_refused(storage::repair_raft_log(path, owner), storage_errc::locked, "process " + std::to_string(::getpid()));
}
