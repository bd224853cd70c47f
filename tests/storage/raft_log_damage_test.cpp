// What a Raft log notices: rot, torn writes, lost ends, files of others. Never silently other entries than were stored.

#include <random>

#include "storage/raft_log_rows.hpp"
#include "tests/storage/damage.hpp"
#include "tests/storage/raft_log_fixture.hpp"

using namespace prunella;
using namespace prunella::tests;
using storage::storage_errc;

namespace {

/// A log with everything in it, in several transactions: compacted, a snapshot, state, small and large entries.
void fill(storage::raft_log& log) {
  must(log.append(state(2, 1, 0)));
  must(log.append(entries(1, 20, 2, 900)));
  must(log.save_snapshot(snapshot(12, 2, std::string(9000, 's'))));
  must(compact(log, 10));
  for (std::uint64_t index = 21; index <= 40; ++index)
    must(log.append(entries(index, index, 3, 40 * index)));
  must(log.append(state(3, 2, 38)));
}

struct harm_counts {
  int refused = 0;
  int harmless = 0;
};

/// Opens the log and demands: refused, or exactly `expected`.
void open_harmed(const std::string& path, const storage::raft_log_contents& expected, harm_counts& counts) {
  auto log = storage::open_raft_log(path, owner);
  if (!log) {
    CHECK_FALSE(log.error().message.empty());
    ++counts.refused;
    return;
  }
  auto contents = (*log)->load();
  if (!contents) {
    CHECK_FALSE(contents.error().message.empty());
    ++counts.refused;
    return;
  }
  REQUIRE(*contents == expected);
  ++counts.harmless;
}

} // namespace

TEST_CASE("a flipped bit anywhere in the database file is refused or changes nothing") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  fill(*open_log(path));
  const auto expected = load(path);
  const auto sound = read_bytes(path);
  const std::uint32_t seed = 7001;
  CAPTURE(seed);
  std::mt19937 random(seed);
  harm_counts counts;
  for (int round = 0; round < 300; ++round) {
    // The first page holds header and tables' definitions; it is small and gets its share.
    const auto bits = (round % 4 == 0 ? std::size_t{4096} : sound.size()) * 8;
    const auto bit = random() % bits;
    CAPTURE(bit);
    copy_database(path, folder / "harmed.db");
    write_bytes(folder / "harmed.db", flipped(sound, bit));
    open_harmed(folder / "harmed.db", expected, counts);
  }
  CHECK(counts.refused > 100);
}

TEST_CASE("a flipped bit anywhere in the used write-ahead log of a killed process is refused or changes nothing") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  fill(*log);
  copy_database(folder / "raft.db", folder / "killed.db");
  const auto expected = must(log->load());
  const auto sound = read_bytes(folder / "killed.db-wal");
  const auto used = sound.find_last_not_of('\0') + 1;
  REQUIRE(used > 40 * 4096);
  const std::uint32_t seed = 7002;
  CAPTURE(seed);
  std::mt19937 random(seed);
  harm_counts counts;
  for (int round = 0; round < 200; ++round) {
    const auto bit = random() % (used * 8);
    CAPTURE(bit);
    copy_database(folder / "killed.db", folder / "harmed.db");
    write_bytes(folder / "harmed.db-wal", flipped(sound, bit));
    open_harmed(folder / "harmed.db", expected, counts);
  }
  CHECK(counts.refused > 150); // harmless are only bits that SQLite never reads
}

TEST_CASE("a file cut short at any page is refused") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  fill(*open_log(path));
  const auto expected = load(path);
  const auto sound = read_bytes(path);
  harm_counts counts;
  int cuts = 0;
  for (std::size_t size = 0; size < sound.size(); size += 4096, ++cuts) {
    CAPTURE(size);
    copy_database(path, folder / "harmed.db");
    write_bytes(folder / "harmed.db", sound.substr(0, size));
    open_harmed(folder / "harmed.db", expected, counts);
  }
  CHECK(cuts > 5);
  CHECK(counts.refused == cuts);
}

TEST_CASE("a write-ahead log torn by a power cut, with a mark that lags, leaves a prefix of the appended entries") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 5)));
  std::filesystem::copy_file(folder / "raft.db.mark", folder / "old.mark");
  for (std::uint64_t index = 6; index <= 20; ++index)
    must(log->append(entries(index, index)));
  copy_database(folder / "raft.db", folder / "cut.db");
  const auto wal = read_bytes(folder / "cut.db-wal");
  const auto used = wal.find_last_not_of('\0') + 1;
  std::uint64_t shortest = 20;
  for (auto size = used; size > used / 2; size -= 1500) {
    CAPTURE(size);
    copy_database(folder / "cut.db", folder / "torn.db");
    write_bytes(folder / "torn.db-wal", wal.substr(0, size));
    std::filesystem::copy_file(folder / "old.mark", folder / "torn.db.mark",
                               std::filesystem::copy_options::overwrite_existing);
    const auto found = load(folder / "torn.db").entries;
    REQUIRE(found.size() >= 5);
    REQUIRE(found == entries(1, found.size()).entries);
    shortest = std::min<std::uint64_t>(shortest, found.size());
    std::filesystem::copy_file(folder / "raft.db.mark", folder / "torn.db.mark",
                               std::filesystem::copy_options::overwrite_existing);
  }
  CHECK(shortest < 20);
}

TEST_CASE("a write-ahead log that lost one acknowledged batch is refused when the mark has seen it") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 5)));
  const auto before = read_bytes(folder / "raft.db-wal");
  must(log->append(entries(6, 6)));
  copy_database(folder / "raft.db", folder / "cut.db");
  write_bytes(folder / "cut.db-wal", before);
  check_refused(storage::open_raft_log(folder / "cut.db", owner), storage_errc::damaged,
                "ends at entry 5 and revision 0, but entry 6");
}

TEST_CASE("a log that is refused stays as it was found, its write-ahead log included, for the repair") {
  temporary_folder folder;
  auto log = open_log(folder / "raft.db");
  must(log->append(entries(1, 5)));
  copy_database(folder / "raft.db", folder / "killed.db");
  const auto file = read_bytes(folder / "killed.db");
  const auto wal = read_bytes(folder / "killed.db-wal");
  check_refused(storage::open_raft_log(folder / "killed.db", {"mill", 3}), storage_errc::foreign, "site mill");
  CHECK(read_bytes(folder / "killed.db") == file);
  CHECK(read_bytes(folder / "killed.db-wal") == wal);
  CHECK(load(folder / "killed.db").entries.size() == 5);
}

TEST_CASE("a log restored from an old copy is refused, also when only a vote is missing") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 5)));
  const auto old = read_bytes(path);
  SUBCASE("entries are missing") {
    must(open_log(path)->append(entries(6, 6)));
  }
  SUBCASE("a vote is missing") {
    must(open_log(path)->append(state(2, 3, 0)));
  }
  write_bytes(path, old);
  check_refused(storage::open_raft_log(path, owner), storage_errc::damaged, "old copy");
}

TEST_CASE("a log that was removed while its mark stayed is refused, and removing both starts anew") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 5)));
  std::filesystem::remove(path);
  check_refused(storage::open_raft_log(path, owner), storage_errc::damaged, "is gone");
  check_refused(storage::open_raft_log(path, owner), storage_errc::damaged, "prunella host repair");
  std::filesystem::remove(path);
  std::filesystem::remove(path + ".mark");
  CHECK(load(path).entries.empty());
}

TEST_CASE("a damaged mark bears no witness and the log opens") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 5)));
  write_bytes(path + ".mark", flipped(read_bytes(path + ".mark"), 100));
  CHECK(load(path).entries.size() == 5);
}

TEST_CASE("a missing row, a changed row and swapped rows are named by their index, with the way to repair") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 10)));
  std::string expected;
  SUBCASE("missing in the middle") {
    run_sql(path, "DELETE FROM entry WHERE idx=5");
    expected = "entry 5 is missing, the next one stored is 6";
  }
  SUBCASE("missing at the start") {
    run_sql(path, "DELETE FROM entry WHERE idx=1");
    expected = "entry 1 is missing";
  }
  SUBCASE("changed data") {
    run_sql(path, "UPDATE entry SET data=x'00' WHERE idx=7");
    expected = "checksum of entry 7 is wrong";
  }
  SUBCASE("changed term") {
    run_sql(path, "UPDATE entry SET term=2 WHERE idx=10");
    expected = "checksum of entry 10 is wrong";
  }
  SUBCASE("changed kind") {
    run_sql(path, "UPDATE entry SET kind=2 WHERE idx=3");
    expected = "checksum of entry 3 is wrong";
  }
  SUBCASE("swapped") {
    run_sql(path, "UPDATE entry SET idx=-1 WHERE idx=4; UPDATE entry SET idx=4 WHERE idx=5;"
                  "UPDATE entry SET idx=5 WHERE idx=-1");
    expected = "checksum of entry 4 is wrong";
  }
  auto log = open_log(path);
  const auto loaded = log->load();
  check_refused(loaded, storage_errc::damaged, expected);
  check_refused(loaded, storage_errc::damaged, "prunella host repair");
}

TEST_CASE("a changed, a shortened and a missing row of sixteen entries are named by the entries they held") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 40)));
  std::string expected;
  SUBCASE("a changed byte of the data") {
    run_sql(path, "UPDATE entry SET data=CAST(replace(data, 'entry 20', 'entry 21') AS BLOB) WHERE idx=17");
    expected = "checksum of entries 17 to 32 is wrong";
  }
  SUBCASE("shortened data") {
    run_sql(path, "UPDATE entry SET data=substr(data, 1, 100) WHERE idx=17");
    expected = "entries 17 to 32 cannot be told apart";
  }
  SUBCASE("a changed term") {
    run_sql(path, "UPDATE entry SET term=2 WHERE idx=17");
    expected = "the term or kind of entries 17 to 32 is impossible";
  }
  SUBCASE("said to be one entry") {
    run_sql(path, "UPDATE entry SET kind=0 WHERE idx=17");
    expected = "checksum of entry 17 is wrong";
  }
  SUBCASE("missing") {
    run_sql(path, "DELETE FROM entry WHERE idx=17");
    expected = "entry 17 is missing, the next one stored is 33";
  }
  check_refused(open_log(path)->load(), storage_errc::damaged, expected);
  const auto done = must(storage::repair_raft_log(path, owner));
  CHECK(done.last_kept == 16);
  CHECK(done.entries_kept == 16);
  CHECK(load(path).entries == entries(1, 16).entries);
}

TEST_CASE("a newer and an older format are refused with both numbers") {
  temporary_folder folder;
  const auto path = folder / "raft.db";
  must(open_log(path)->append(entries(1, 1)));
  const auto format = storage::raft_log_format;
  const auto refused = [&](std::uint32_t other, storage_errc why) {
    set_meta(path, "format", std::to_string(other));
    check_refused(storage::open_raft_log(path, owner), why, "has format " + std::to_string(other) + ", this version");
  };
  refused(format + 1, storage_errc::newer_format);
  refused(format - 1, storage_errc::older_format);
  set_meta(path, "format", std::to_string(format));
  CHECK(load(path).entries.size() == 1);
}

TEST_CASE("a text file, a database of another program and another database of ours are not taken for a log") {
  temporary_folder folder;
  write_bytes(folder / "text", std::string(5000, 'x'));
  check_refused(storage::open_raft_log(folder / "text", owner), storage_errc::damaged, "not a database");
  run_sql(folder / "other.db", "CREATE TABLE t(x)");
  check_refused(storage::open_raft_log(folder / "other.db", owner), storage_errc::foreign, "not one of Prunella's");
  must(open_log(folder / "raft.db")->append(entries(1, 1)));
  set_meta(folder / "raft.db", "purpose", "site database");
  check_refused(storage::open_raft_log(folder / "raft.db", owner), storage_errc::foreign,
                "is a site database, not a Raft log");
}
