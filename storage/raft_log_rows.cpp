#include "storage/raft_log_rows.hpp"

#include <algorithm>

namespace prunella::storage {

checksum entry_sum(checksum_builder& sums, const checksum& previous, const log_entry& entry) {
  return sums.begin()
      .add(as_bytes(previous))
      .add(entry.index)
      .add(entry.term)
      .add(static_cast<std::uint64_t>(entry.kind))
      .add(entry.data)
      .finish();
}

checksum snapshot_sum(checksum_builder& sums, const raft_snapshot& snapshot, std::string_view members) {
  return sums.begin().add(snapshot.index).add(snapshot.term).add(members).add(snapshot.data).finish();
}

checksum chain_start(checksum_builder& sums, std::uint64_t index, std::uint64_t term) {
  return sums.begin().add("chain").add(index).add(term).finish();
}

sqlite_file_options raft_log_file_options(const std::string& path, const raft_log_owner& owner) {
  sqlite_file_options options;
  options.purpose = "Raft log";
  options.format = raft_log_format;
  options.site = owner.site;
  options.holder = "member " + std::to_string(owner.member);
  options.schema = "CREATE TABLE entry(idx INTEGER PRIMARY KEY, term INTEGER NOT NULL, kind INTEGER NOT NULL,"
                   "                   data BLOB NOT NULL, sum BLOB NOT NULL);"
                   "CREATE TABLE snapshot(id INTEGER PRIMARY KEY CHECK(id=1), idx INTEGER NOT NULL,"
                   "                      term INTEGER NOT NULL, members BLOB NOT NULL, data BLOB NOT NULL,"
                   "                      sum BLOB NOT NULL)";
  options.when_damaged = "this member must not vote with it: repair it (`prunella host repair`, which keeps a copy; " + path +
                         "), or move it away and let the host rejoin empty";
  options.sync = durability::each_commit;
  return options;
}

raft_log_head read_head(sqlite_file& file) {
  const auto bytes = file.meta(raft_log_head_key);
  raft_log_head head;
  if (!bytes || !from_bytes(*bytes, head))
    throw storage_failure{file.damage("its term and vote are missing")};
  return head;
}

namespace {

std::string link_problem(checksum_builder& sums, const log_entry& entry, const raft_log_tail& tail,
                         std::string_view stored_sum) {
  const auto expected = tail.index + 1;
  if (entry.index != expected)
    return "entry " + std::to_string(expected) + " is missing, the next one stored is " + std::to_string(entry.index);
  const auto name = "entry " + std::to_string(entry.index);
  if (as_bytes(entry_sum(sums, tail.sum, entry)) != stored_sum)
    return "the checksum of " + name + " is wrong";
  if (entry.term < tail.term || static_cast<std::uint8_t>(entry.kind) > static_cast<std::uint8_t>(entry_kind::barrier))
    return name + " has an impossible term or kind";
  return {};
}

} // namespace

std::string read_entries(SQLite::Database& db, const raft_log_head& head,
                         const std::function<void(log_entry&&, const checksum&)>& take) {
  checksum_builder sums;
  raft_log_tail tail{head.compacted_index, head.compacted_term, head.compacted_sum};
  try {
    SQLite::Statement rows(db, "SELECT idx, term, kind, data, sum FROM entry ORDER BY idx");
    while (rows.executeStep()) {
      log_entry entry;
      entry.index = column_number(rows, 0);
      entry.term = column_number(rows, 1);
      const auto kind = column_number(rows, 2);
      entry.kind = static_cast<entry_kind>(std::min<std::uint64_t>(kind, 255));
      entry.data = column_bytes(rows, 3);
      const auto stored = column_bytes(rows, 4);
      auto problem = link_problem(sums, entry, tail, stored);
      if (!problem.empty())
        return problem;
      tail.index = entry.index;
      tail.term = entry.term;
      std::copy_n(reinterpret_cast<const unsigned char*>(stored.data()), tail.sum.size(), tail.sum.begin());
      take(std::move(entry), tail.sum);
    }
  } catch (const SQLite::Exception& error) {
    return "entry " + std::to_string(tail.index + 1) + " cannot be read (" + error.what() + ")";
  }
  return {};
}

std::string read_snapshot(SQLite::Database& db, raft_snapshot& out) {
  try {
    SQLite::Statement row(db, "SELECT idx, term, members, data, sum FROM snapshot WHERE id=1");
    if (!row.executeStep())
      return {};
    raft_snapshot snapshot;
    snapshot.index = column_number(row, 0);
    snapshot.term = column_number(row, 1);
    const std::string members(column_bytes(row, 2));
    snapshot.data = column_bytes(row, 3);
    checksum_builder sums;
    if (as_bytes(snapshot_sum(sums, snapshot, members)) != column_bytes(row, 4) ||
        !from_bytes(members, snapshot.members))
      return "the checksum of the snapshot at index " + std::to_string(snapshot.index) + " is wrong";
    out = std::move(snapshot);
    return {};
  } catch (const SQLite::Exception& error) {
    return std::string("its snapshot cannot be read (") + error.what() + ")";
  }
}

std::string fit_snapshot(const raft_log_head& head, const raft_snapshot& snapshot, std::uint64_t last_index) {
  if (snapshot.index >= head.compacted_index && snapshot.index <= last_index)
    return {};
  return "its snapshot ends at index " + std::to_string(snapshot.index) + ", but its entries are " +
         std::to_string(head.compacted_index + 1) + " to " + std::to_string(last_index);
}

void write_snapshot(SQLite::Database& db, checksum_builder& sums, const raft_snapshot& snapshot) {
  const auto members = to_bytes(snapshot.members);
  const auto sum = snapshot_sum(sums, snapshot, members);
  SQLite::Statement put(db, "INSERT OR REPLACE INTO snapshot VALUES(1,?,?,?,?,?)");
  bind_number(put, 1, snapshot.index);
  bind_number(put, 2, snapshot.term);
  bind_blob(put, 3, members);
  bind_blob(put, 4, snapshot.data);
  bind_blob(put, 5, as_bytes(sum));
  run(put);
}

} // namespace prunella::storage
