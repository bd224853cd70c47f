// The files of a host whose rows are not what this version writes, with checksums that fit and without: each store opens
// and reads them or refuses with a sentence, and a consensus log can be repaired whatever is in it.
//   The input is a choice of store, then rows; see `harm_*`.

#include <fuzzer/FuzzedDataProvider.h>
#include <sqlite3.h>

#include <filesystem>
#include <string>
#include <utility>

#include "storage/container_records.hpp"
#include "storage/event_journal.hpp"
#include "storage/raft_log_rows.hpp"
#include "storage/site_database.hpp"
#include "tests/fuzz/fuzz.hpp"
#include "tests/storage/temporary_folder.hpp"

using namespace prunella;
using namespace prunella::storage;
using fuzz::require;

namespace {

const host_owner host{"shop", "host-1"};
const raft_log_owner member{"shop", 3};

/// A file without a journal, changed behind the back of its store.
class open_file {
public:
  explicit open_file(const std::string& path) { require(sqlite3_open(path.c_str(), &db_) == SQLITE_OK, "a sound file opens"); }
  ~open_file() { sqlite3_close(db_); }
  open_file(const open_file&) = delete;
  open_file& operator=(const open_file&) = delete;

  /// Inserts or replaces a row of the five or fewer columns that `bind` fills; a row that breaks a rule of the table stays out.
  template <class Bind>
  void put(const char* sql, Bind bind) {
    sqlite3_stmt* statement = nullptr;
    require(sqlite3_prepare_v2(db_, sql, -1, &statement, nullptr) == SQLITE_OK, "the tables are as they were");
    bind(statement);
    sqlite3_step(statement);
    sqlite3_finalize(statement);
  }

  void put_meta(const std::string& key, const std::string& value) {
    const auto sum = checksum_builder().begin().add(key).add(value).finish();
    put("INSERT OR REPLACE INTO meta VALUES(?,?,?)", [&](sqlite3_stmt* row) {
      text(row, 1, key);
      blob(row, 2, value);
      blob(row, 3, as_bytes(sum));
    });
  }

  static void blob(sqlite3_stmt* row, int column, std::string_view bytes) {
    sqlite3_bind_blob(row, column, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
  }
  static void text(sqlite3_stmt* row, int column, std::string_view bytes) {
    sqlite3_bind_text(row, column, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT);
  }
  static void number(sqlite3_stmt* row, int column, std::uint64_t value) {
    sqlite3_bind_int64(row, column, static_cast<sqlite3_int64>(value));
  }

private:
  sqlite3* db_ = nullptr;
};

std::uint64_t small(FuzzedDataProvider& input) {
  return input.ConsumeIntegralInRange(0, 15) == 0 ? input.ConsumeIntegral<std::uint64_t>()
                                                  : input.ConsumeIntegralInRange<std::uint64_t>(0, 9);
}

/// `sum` as it is, or now and then something else.
std::string sum_or_damage(FuzzedDataProvider& input, const checksum& sum) {
  return input.ConsumeIntegralInRange(0, 15) == 0 ? input.ConsumeRandomLengthString(20) : std::string(as_bytes(sum));
}

// -- the consensus log ---------------------------------------------------------------------------------------------------

void harm_log(FuzzedDataProvider& input, open_file& file) {
  raft_log_head head;
  if (input.ConsumeBool()) {
    head = {{small(input), small(input), small(input)}, small(input), small(input), small(input), {}, input.ConsumeBool()};
    file.put_meta(std::string(raft_log_head_key),
                  input.ConsumeBool() ? input.ConsumeRandomLengthString(80) : to_bytes(head));
  }
  checksum_builder sums;
  auto last = head.compacted_sum;
  auto index = head.compacted_index;
  for (auto n = input.ConsumeIntegralInRange(0, 6); n > 0; --n) {
    log_entry entry{small(input), input.ConsumeIntegralInRange(0, 15) == 0 ? small(input) : ++index,
                    static_cast<entry_kind>(input.ConsumeIntegralInRange(0, 3)), input.ConsumeRandomLengthString(40)};
    last = entry_sum(sums, last, entry);
    file.put("INSERT OR REPLACE INTO entry VALUES(?,?,?,?,?)", [&](sqlite3_stmt* row) {
      open_file::number(row, 1, entry.index);
      open_file::number(row, 2, entry.term);
      open_file::number(row, 3, static_cast<std::uint64_t>(entry.kind));
      open_file::blob(row, 4, entry.data);
      open_file::blob(row, 5, sum_or_damage(input, last));
    });
  }
  if (!input.ConsumeBool())
    return;
  raft_snapshot snapshot{small(input), small(input), {}, input.ConsumeRandomLengthString(40)};
  const auto members = input.ConsumeBool() ? input.ConsumeRandomLengthString(60) : to_bytes(snapshot.members);
  file.put("INSERT OR REPLACE INTO snapshot VALUES(1,?,?,?,?,?)", [&](sqlite3_stmt* row) {
    open_file::number(row, 1, snapshot.index);
    open_file::number(row, 2, snapshot.term);
    open_file::blob(row, 3, members);
    open_file::blob(row, 4, snapshot.data);
    open_file::blob(row, 5, sum_or_damage(input, snapshot_sum(sums, snapshot, members)));
  });
}

/// Whether it can be read; what cannot be read says why.
bool reads_log(const std::string& path) {
  auto log = open_raft_log(path, member);
  require(log.ok() || !log.error().message.empty(), "a log that is refused says why");
  if (!log)
    return false;
  const auto contents = (*log)->load();
  require(contents.ok() || !contents.error().message.empty(), "a log that cannot be read says why");
  if (!contents)
    return false;
  require((*log)->last_index() >= (*log)->first_index() - 1, "a log ends behind its begin");
  log_entry next;
  next.index = (*log)->last_index() + 1;
  next.term = contents.value().state.term + 1;
  raft_log_batch batch;
  batch.entries.push_back(next);
  (void)(*log)->append(batch);
  return true;
}

void check_log(const std::string& path) {
  if (reads_log(path))
    return;
  const auto repaired = repair_raft_log(path, member);
  require(repaired.ok() || !repaired.error().message.empty(), "a repair that fails says why");
  if (repaired)
    require(reads_log(path), "a repaired log can be read");
}

// -- the other stores ----------------------------------------------------------------------------------------------------

void harm_state(FuzzedDataProvider& input, open_file& file) {
  if (input.ConsumeBool())
    file.put_meta("applied", input.ConsumeRandomLengthString(20));
  const auto kind = input.ConsumeRandomLengthString(12);
  const auto key = input.ConsumeRandomLengthString(12);
  const auto value = input.ConsumeRandomLengthString(60);
  file.put("INSERT OR REPLACE INTO state VALUES(?,?,?,?)", [&](sqlite3_stmt* row) {
    open_file::text(row, 1, kind);
    open_file::text(row, 2, key);
    open_file::blob(row, 3, value);
    open_file::blob(row, 4, sum_or_damage(input, checksum_builder().begin().add(kind).add(key).add(value).finish()));
  });
}

void harm_containers(FuzzedDataProvider& input, open_file& file) {
  const auto name = input.ConsumeRandomLengthString(20);
  const auto record = input.ConsumeRandomLengthString(200);
  file.put("INSERT OR REPLACE INTO container VALUES(?,?,?)", [&](sqlite3_stmt* row) {
    open_file::text(row, 1, name);
    open_file::blob(row, 2, record);
    open_file::blob(row, 3, sum_or_damage(input, checksum_builder().begin().add(name).add(record).finish()));
  });
}

void harm_journal(FuzzedDataProvider& input, open_file& file) {
  if (input.ConsumeBool())
    file.put_meta("dropped", input.ConsumeRandomLengthString(24));
  file.put("INSERT OR REPLACE INTO event VALUES(?,?,?,?,?,?,?,?)", [&](sqlite3_stmt* row) {
    open_file::number(row, 1, input.ConsumeIntegral<std::uint64_t>());
    open_file::text(row, 2, input.ConsumeRandomLengthString(8));
    open_file::number(row, 3, input.ConsumeIntegral<std::uint64_t>());
    for (int column = 4; column <= 8; ++column)
      open_file::text(row, column, input.ConsumeRandomLengthString(16));
  });
  file.put("INSERT OR REPLACE INTO origin VALUES(?,?)", [&](sqlite3_stmt* row) {
    open_file::text(row, 1, input.ConsumeRandomLengthString(8));
    open_file::number(row, 2, input.ConsumeIntegral<std::uint64_t>());
  });
}

void check_state(const std::string& path) {
  auto database = open_site_database(path, host);
  if (database)
    (void)(*database)->load_all();
}

void check_containers(const std::string& path) {
  auto records = open_container_records(path, host);
  if (records)
    (void)(*records)->list();
}

void check_journal(const std::string& path) {
  auto journal = open_event_journal(path, host, {});
  if (!journal)
    return;
  (void)(*journal)->read({});
  (void)(*journal)->next_sequence("host-1");
  (void)(*journal)->append({journal_event{"host-1", 7, 5, "host/host-1", "up", "down", "", ""}}, 1'000);
}

/// A new file of each store, made once, and the place where a copy of it is harmed.
struct workshop {
  tests::temporary_folder folder;
  workshop() {
    require(open_raft_log(folder / "log", member).ok() && open_site_database(folder / "state", host).ok() &&
                open_container_records(folder / "containers", host).ok() &&
                open_event_journal(folder / "journal", host, {}).ok(),
            "new files can be made");
  }

  void run(const char* name, FuzzedDataProvider& input, void (*harm)(FuzzedDataProvider&, open_file&),
           void (*check)(const std::string&)) {
    const auto place = folder / "harmed";
    std::filesystem::create_directory(place);
    std::filesystem::copy_file(folder / name, place + "/file.db");
    {
      open_file file(place + "/file.db");
      harm(input, file);
    }
    check(place + "/file.db");
    std::filesystem::remove_all(place);
  }
};

} // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static workshop shop;
  FuzzedDataProvider input(data, size);
  switch (input.ConsumeIntegralInRange(0, 5)) {
  case 0: shop.run("state", input, harm_state, check_state); break;
  case 1: shop.run("containers", input, harm_containers, check_containers); break;
  case 2: shop.run("journal", input, harm_journal, check_journal); break;
  default: shop.run("log", input, harm_log, check_log); break;
  }
  return 0;
}
