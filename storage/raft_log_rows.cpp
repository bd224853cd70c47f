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

std::uint64_t last_of(std::uint64_t first, std::uint64_t kind) {
  return kind == packed_kind ? first + entries_per_packed_row - 1 : first;
}

std::string name_of(std::uint64_t first, std::uint64_t last) {
  return first == last ? "entry " + std::to_string(first)
                       : "entries " + std::to_string(first) + " to " + std::to_string(last);
}

/// Memory grows with what is read, not with what the bytes claim.
bool unpack(std::string_view bytes, linked_entries& out) {
  try {
    bytes_input_archive archive(bytes);
    for (std::size_t i = 0; i < entries_per_packed_row; ++i)
      archive(out.emplace_back().first);
    return archive.left() == 0;
  } catch (const std::exception&) {
    return false;
  }
}

/// "" or why the entries of a row with that `term` and `sum` do not continue `previous`. Fills in their links.
std::string link(linked_entries& entries, raft_log_tail previous, std::uint64_t term, std::string_view sum) {
  checksum_builder sums;
  const auto name = name_of(previous.index + 1, previous.index + entries.size());
  bool possible = true;
  for (auto& [entry, own] : entries) {
    own = entry_sum(sums, previous.sum, entry);
    possible = possible && entry.index == previous.index + 1 && entry.term >= previous.term &&
               static_cast<std::uint8_t>(entry.kind) <= static_cast<std::uint8_t>(entry_kind::barrier);
    previous = {previous.index + 1, entry.term, own};
  }
  if (as_bytes(previous.sum) != sum)
    return "the checksum of " + name + " is wrong";
  return possible && previous.term == term ? "" : "the term or kind of " + name + " is impossible";
}

/// Of a row with the columns idx, term, kind, data, sum.
std::string read_row(SQLite::Statement& row, const raft_log_tail& previous, linked_entries& out) {
  out.clear();
  const auto index = column_number(row, 0);
  const auto term = column_number(row, 1);
  const auto kind = column_number(row, 2);
  const auto expected = previous.index + 1;
  if (index != expected)
    return "entry " + std::to_string(expected) + " is missing, the next one stored is " + std::to_string(index);
  std::string problem;
  if (kind != packed_kind)
    out.push_back({{term, index, static_cast<entry_kind>(std::min<std::uint64_t>(kind, 255)),
                    std::string(column_bytes(row, 3))},
                   {}});
  else if (!unpack(column_bytes(row, 3), out))
    problem = name_of(index, last_of(index, kind)) + " cannot be told apart";
  if (problem.empty())
    problem = link(out, previous, term, column_bytes(row, 4));
  if (!problem.empty())
    out.clear();
  return problem;
}

} // namespace

raft_log_row_writer::raft_log_row_writer(SQLite::Database& db)
    : insert_(db, "INSERT INTO entry(idx, term, kind, data, sum) VALUES(?,?,?,?,?)") {
}

void raft_log_row_writer::follow(const log_entry& entry, raft_log_tail& tail) {
  if (entry.term < tail.term || entry.term == 0)
    fail(storage_errc::invalid_argument, "entry " + std::to_string(entry.index) + " has term " +
                                             std::to_string(entry.term) + " after term " + std::to_string(tail.term) +
                                             "; terms start at 1 and never go back");
  tail = {entry.index, entry.term, entry_sum(sums_, tail.sum, entry)};
}

void raft_log_row_writer::put(std::uint64_t index, std::uint64_t kind, std::string_view data,
                              const raft_log_tail& tail) {
  bind_number(insert_, 1, index);
  bind_number(insert_, 2, tail.term);
  bind_number(insert_, 3, kind);
  bind_blob(insert_, 4, data);
  bind_blob(insert_, 5, as_bytes(tail.sum));
  run(insert_);
}

void raft_log_row_writer::add(const std::vector<log_entry>& entries, raft_log_tail& tail) {
  const auto fits = [&](std::size_t first) {
    std::size_t bytes = 0;
    for (auto i = first; i < first + entries_per_packed_row && bytes <= max_packed_bytes; ++i)
      bytes += entries[i].data.size();
    return bytes <= max_packed_bytes;
  };
  for (std::size_t i = 0; i < entries.size();) {
    const auto& first = entries[i];
    if (entries.size() - i < entries_per_packed_row || !fits(i)) {
      follow(first, tail);
      put(first.index, static_cast<std::uint64_t>(first.kind), first.data, tail);
      ++i;
      continue;
    }
    packed_.clear();
    bytes_output_archive archive(packed_);
    for (const auto end = i + entries_per_packed_row; i < end; ++i) {
      follow(entries[i], tail);
      archive(entries[i]);
    }
    put(first.index, packed_kind, packed_, tail);
  }
}

raft_log_row_finder::raft_log_row_finder(SQLite::Database& db)
    : span_(db, "SELECT idx, kind FROM entry WHERE idx<=? ORDER BY idx DESC LIMIT 1"),
      row_(db, "SELECT idx, term, kind, data, sum FROM entry WHERE idx=?") {
}

raft_log_span raft_log_row_finder::span_at(std::uint64_t index) {
  const statement_reset after(span_);
  bind_number(span_, 1, index);
  if (!span_.executeStep())
    return {};
  const auto first = column_number(span_, 0);
  return {first, last_of(first, column_number(span_, 1))};
}

std::string raft_log_row_finder::read_behind(const raft_log_tail& previous, linked_entries& out) {
  const statement_reset after(row_);
  out.clear();
  bind_number(row_, 1, previous.index + 1);
  return row_.executeStep() ? read_row(row_, previous, out)
                            : "entry " + std::to_string(previous.index + 1) + " is missing";
}

std::string read_entries(SQLite::Database& db, const raft_log_head& head,
                         const std::function<void(log_entry&&, const checksum&)>& take) {
  raft_log_tail tail{head.compacted_index, head.compacted_term, head.compacted_sum};
  linked_entries entries;
  try {
    SQLite::Statement rows(db, "SELECT idx, term, kind, data, sum FROM entry ORDER BY idx");
    while (rows.executeStep()) {
      auto problem = read_row(rows, tail, entries);
      if (!problem.empty())
        return problem;
      for (auto& [entry, sum] : entries) {
        tail = {entry.index, entry.term, sum};
        take(std::move(entry), sum);
      }
    }
  } catch (const SQLite::Exception& error) {
    return "entry " + std::to_string(tail.index + 1) + " cannot be read (" + error.what() + ")";
  }
  return {};
}

std::uint64_t count_entries(SQLite::Database& db) {
  SQLite::Statement rows(db, "SELECT count(*), coalesce(sum(kind=?), 0) FROM entry");
  bind_number(rows, 1, packed_kind);
  rows.executeStep();
  return column_number(rows, 0) + column_number(rows, 1) * (entries_per_packed_row - 1);
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
