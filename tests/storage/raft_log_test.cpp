// What a Raft log promises while nothing goes wrong, and what it refuses.

#include "storage/raft_log_rows.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/raft_log_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

TEST_CASE("a new log is empty and starts at index 1") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  CHECK(log->first_index() == 1);
  CHECK(log->last_index() == 0);
  CHECK(must(log->load()) == storage::raft_log_contents{});
}

TEST_CASE("entries of every kind and size, empty and 1 MiB included, come back after reopening") {
  temporary_folder folder;
  auto batch = entries(1, 3);
  batch.entries[0].kind = storage::entry_kind::barrier;
  batch.entries[0].data.clear();
  batch.entries[1].kind = storage::entry_kind::membership;
  batch.entries[2].data = std::string(1u << 20, '\0');
  batch.has_state = true;
  batch.state = {1, 2, 1};
  must(open_log(folder / "raft.db")->append(batch));
  const auto found = load(folder / "raft.db");
  CHECK(found.entries == batch.entries);
  CHECK(found.state == batch.state);
  CHECK_FALSE(found.repaired);
}

TEST_CASE("an empty batch is done at once and an entry may follow it") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append({}));
  must(log->append(entries(1, 1)));
  CHECK(log->last_index() == 1);
}

TEST_CASE("a gap of one index, a repeated index and an index of 0 are refused and change nothing") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 5)));
  check_refused(log->append(entries(7, 7)), storage_errc::invalid_argument, "expected 6");
  check_refused(log->append(entries(5, 5)), storage_errc::invalid_argument, "expected 6");
  check_refused(log->append(entries(0, 0)), storage_errc::invalid_argument, "expected 6");
  must(log->append(entries(6, 6)));
  CHECK(must(log->load()).entries == entries(1, 6).entries);
}

TEST_CASE("a term that goes back is refused even in the middle of a batch, and the batch is not stored at all") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  auto batch = entries(1, 3, 4);
  batch.entries[2].term = 3;
  check_refused(log->append(batch), storage_errc::invalid_argument, "term 3 after term 4");
  CHECK(log->last_index() == 0);
  CHECK(must(log->load()).entries.empty());
  must(log->append(entries(1, 1, 4)));
  check_refused(log->append(entries(2, 2, 3)), storage_errc::invalid_argument, "term 3 after term 4");
}

TEST_CASE(
    "an older term and a second vote in the same term are refused, the same vote again and a newer term are not") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(state(5, 0, 0)));
  must(log->append(state(5, 2, 0)));
  must(log->append(state(5, 2, 0)));
  check_refused(log->append(state(5, 3, 0)), storage_errc::invalid_argument, "voted for 2");
  check_refused(log->append(state(5, 0, 0)), storage_errc::invalid_argument, "voted for 2");
  check_refused(log->append(state(4, 2, 0)), storage_errc::invalid_argument, "older than the stored term 5");
  must(log->append(state(6, 3, 0)));
  log.reset();
  CHECK(load(folder / "raft.db").state == storage::hard_state{6, 3, 0});
}

TEST_CASE("truncation drops from its index on and the new entries follow, all in one batch") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 10, 1)));
  auto batch = entries(4, 6, 2);
  batch.truncate_from = 4;
  must(log->append(batch));
  CHECK(log->last_index() == 6);
  log.reset();
  const auto found = load(folder / "raft.db").entries;
  REQUIRE(found.size() == 6);
  CHECK(found[2] == entry(3, 1));
  CHECK(found[3] == entry(4, 2));
}

TEST_CASE("truncation from the first index empties the log, and from behind the end it drops nothing") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 3)));
  storage::raft_log_batch batch;
  batch.truncate_from = 4;
  must(log->append(batch));
  CHECK(log->last_index() == 3);
  batch.truncate_from = 1;
  must(log->append(batch));
  CHECK(log->last_index() == 0);
  log.reset();
  CHECK(load(folder / "raft.db").entries.empty());
}

TEST_CASE("a snapshot that the log leads to keeps the entries, and compaction drops those up to its index") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 10)));
  must(log->save_snapshot(snapshot(8, 1)));
  CHECK(log->first_index() == 1);
  must(compact(*log, 5));
  CHECK(log->first_index() == 6);
  log.reset();
  const auto found = load(folder / "raft.db");
  CHECK(found.snapshot == snapshot(8, 1));
  CHECK(found.compacted_index == 5);
  CHECK(found.compacted_term == 1);
  CHECK(found.entries == entries(6, 10).entries);
}

TEST_CASE("compaction up to the snapshot is done, one index further is refused, and again is a no-op") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 10)));
  check_refused(compact(*log, 1), storage_errc::invalid_argument, "snapshot holds only those up to 0");
  must(log->save_snapshot(snapshot(10, 1)));
  check_refused(compact(*log, 11), storage_errc::invalid_argument, "up to 10");
  must(compact(*log, 10));
  must(compact(*log, 10));
  must(compact(*log, 3));
  CHECK(log->first_index() == 11);
  CHECK(log->last_index() == 10);
  must(log->append(entries(11, 11, 2)));
  log.reset();
  CHECK(load(folder / "raft.db").entries == entries(11, 11, 2).entries);
}

TEST_CASE("a received snapshot beyond the log replaces all entries, and the next one follows it") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 10)));
  must(log->save_snapshot(snapshot(50, 3)));
  CHECK(log->first_index() == 51);
  CHECK(log->last_index() == 50);
  check_refused(log->append(entries(51, 51, 2)), storage_errc::invalid_argument, "term 2 after term 3");
  must(log->append(entries(51, 52, 3)));
  log.reset();
  const auto found = load(folder / "raft.db");
  CHECK(found.snapshot == snapshot(50, 3));
  CHECK(found.compacted_index == 50);
  CHECK(found.compacted_term == 3);
  CHECK(found.entries == entries(51, 52, 3).entries);
}

TEST_CASE("a received snapshot whose term differs from the entry at its index replaces all entries") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 10, 1)));
  must(log->save_snapshot(snapshot(5, 2)));
  CHECK(log->first_index() == 6);
  CHECK(log->last_index() == 5);
}

TEST_CASE("an older snapshot is refused and the same one again is a no-op") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 10)));
  must(log->save_snapshot(snapshot(8, 1)));
  must(log->save_snapshot(snapshot(8, 1)));
  check_refused(log->save_snapshot(snapshot(7, 1)), storage_errc::invalid_argument, "does not follow");
  must(log->save_snapshot(snapshot(9, 1, std::string(3u << 20, 's'))));
  log.reset();
  CHECK(load(folder / "raft.db").snapshot.data.size() == 3u << 20);
}

TEST_CASE("entries that the snapshot holds cannot be truncated, the one behind it can") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 10)));
  must(log->save_snapshot(snapshot(5, 1)));
  storage::raft_log_batch batch;
  batch.truncate_from = 5;
  check_refused(log->append(batch), storage_errc::invalid_argument, "holds the entries up to 5");
  batch.truncate_from = 6;
  must(log->append(batch));
  CHECK(log->last_index() == 5);
}

TEST_CASE("a second opener is refused with the process that holds the log, and may open it after that one closed it") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  check_refused(storage::open_raft_log(folder / "raft.db", owner), storage_errc::locked,
                "in use by process " + std::to_string(::getpid()));
  log.reset();
  CHECK(open_log(folder / "raft.db") != nullptr);
}

TEST_CASE("the log of another site or another member is refused and both are named") {
  temporary_folder folder;
  must(open_log(folder / "raft.db")->append(entries(1, 2)));
  check_refused(storage::open_raft_log(folder / "raft.db", {"harbour", 4}), storage_errc::foreign,
                "belongs to member 3 of site harbour, not to member 4 of site harbour");
  check_refused(storage::open_raft_log(folder / "raft.db", {"mill", 3}), storage_errc::foreign, "of site mill");
  check_refused(storage::repair_raft_log(folder / "raft.db", {"mill", 3}), storage_errc::foreign, "of site mill");
  CHECK(load(folder / "raft.db").entries.size() == 2);
}

TEST_CASE("an owner without a site or with member 0 is refused before a file is made") {
  temporary_folder folder;
  check_refused(storage::open_raft_log(folder / "raft.db", {"", 1}), storage_errc::invalid_argument, "site's name");
  check_refused(storage::open_raft_log(folder / "raft.db", {"harbour", 0}), storage_errc::invalid_argument,
                "member id");
  CHECK_FALSE(std::filesystem::exists(folder / "raft.db"));
}

TEST_CASE("a path in a folder that is not there, and a folder in the log's place, are refused with the path") {
  temporary_folder folder;
  check_refused(storage::open_raft_log(folder / "nowhere/raft.db", owner), storage_errc::inaccessible,
                "nowhere/raft.db");
  std::filesystem::create_directory(folder / "raft.db");
  check_refused(storage::open_raft_log(folder / "raft.db", owner), storage_errc::inaccessible, "not a regular file");
}

TEST_CASE("the log is readable and writable by its owner only, whatever the umask") {
  temporary_folder folder;
  const auto before = ::umask(0);
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 1)));
  ::umask(before);
  for (const auto* suffix : {"", "-wal", ".mark", ".lock"}) {
    CAPTURE(suffix);
    const auto mode = std::filesystem::status(folder / ("raft.db" + std::string(suffix))).permissions();
    CHECK(mode == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  }
}

TEST_CASE("one batch adds entries, sets the state and drops old entries, all of it or nothing") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  {
    auto log = open_log(path);
    must(log->append(entries(1, 20, 1)));
    must(log->save_snapshot(snapshot(16, 1)));
    auto batch = entries(21, 22, 1);
    batch.has_state = true;
    batch.state = {1, 0, 22};
    batch.compact_to = 17;
    check_refused(log->append(batch), storage_errc::invalid_argument, "snapshot holds only those up to 16");
    CHECK(log->last_index() == 20);
    batch.compact_to = 16;
    must(log->append(batch));
    CHECK(log->first_index() == 17);
    CHECK(log->last_index() == 22);
  }
  const auto found = load(path);
  CHECK(found.compacted_index == 16);
  CHECK(found.entries.size() == 6);
  CHECK(found.state.commit == 22);
}


namespace {

/// How many rows hold the entries.
int rows_of(const std::string& path) {
  SQLite::Database db(path, SQLite::OPEN_READWRITE);
  return db.execAndGet("SELECT count(*) FROM entry").getInt();
}

} // namespace

TEST_CASE("sixteen small entries appended together are one row, fifteen and large ones have a row each") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 35)));
  CHECK(rows_of(path) == 2 + 3);
  must(open_log(path)->append(entries(36, 50)));
  CHECK(rows_of(path) == 5 + 15);
  must(open_log(path)->append(entries(51, 66, 1, 4096)));
  CHECK(rows_of(path) == 20 + 1);
  must(open_log(path)->append(entries(67, 82, 1, 4097)));
  CHECK(rows_of(path) == 21 + 16);
  const auto found = load(path);
  REQUIRE(found.entries.size() == 82);
  CHECK(found.entries[19] == entry(20));
  CHECK(found.entries[65] == entry(66, 1, 4096));
}

TEST_CASE("truncation cuts a row of sixteen entries at any of them, and the log goes on behind what is left") {
  for (std::uint64_t from = 16; from <= 33; ++from) {
    CAPTURE(from);
    temporary_folder folder;
    const auto path = folder / "raft.db";
    {
      auto log = open_log(path);
      must(log->append(entries(1, 40)));
      auto batch = entries(from, from + 20, 2);
      batch.truncate_from = from;
      must(log->append(batch));
      CHECK(log->last_index() == from + 20);
    }
    auto expected = entries(1, from - 1).entries;
    for (const auto& later : entries(from, from + 20, 2).entries)
      expected.push_back(later);
    CHECK(load(path).entries == expected);
  }
}

TEST_CASE("compaction within a row of sixteen entries ends before that row, at its last entry it takes the row too") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  {
    auto log = open_log(path);
    must(log->append(entries(1, 40)));
    must(log->save_snapshot(snapshot(33, 1)));
    must(compact(*log, 31));
    CHECK(log->first_index() == 17);
    must(compact(*log, 31)); // again: nothing
    CHECK(log->first_index() == 17);
  }
  CHECK(load(path).compacted_index == 16);
  {
    auto log = open_log(path);
    must(compact(*log, 32));
    CHECK(log->first_index() == 33);
  }
  CHECK(load(path).entries == entries(33, 40).entries);
}

TEST_CASE("a received snapshot is compared with an entry in the middle of a row") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  auto log = open_log(path);
  auto batch = entries(1, 8);
  for (const auto& later : entries(9, 40, 2).entries)
    batch.entries.push_back(later);
  must(log->append(batch));
  must(log->save_snapshot(snapshot(8, 1)));
  must(log->save_snapshot(snapshot(20, 2)));
  CHECK(log->last_index() == 40); // both are this log's own
  must(log->save_snapshot(snapshot(21, 3)));
  CHECK(log->last_index() == 21);
}

TEST_CASE("a term that goes back within sixteen entries is refused, and none of them is stored") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  auto batch = entries(1, 20, 2);
  batch.entries[9].term = 1;
  check_refused(log->append(batch), storage_errc::invalid_argument, "entry 10 has term 1 after term 2");
  CHECK(log->last_index() == 0);
  must(log->append(entries(1, 20, 2)));
}
