#include <cerrno>
#include <filesystem>
#include <optional>
#include <sqlite3.h>
#include <unistd.h>

#include "storage/raft_log_rows.hpp"

namespace prunella::storage {

namespace fs = std::filesystem;

namespace {

struct salvage {
  std::optional<raft_log_head> head;
  raft_snapshot snapshot;
  std::vector<log_entry> entries;
  std::uint64_t rows = 0; ///< entries that could be counted, sound or not
  std::string problem;    ///< the first thing that was wrong
};

void note(salvage& found, std::string problem) {
  if (found.problem.empty())
    found.problem = std::move(problem);
}

std::optional<raft_log_head> salvage_head(SQLite::Database& db, salvage& found) {
  std::optional<std::string> bytes;
  raft_log_head head;
  auto problem = read_meta_row(db, raft_log_head_key, bytes);
  if (problem.empty() && (!bytes || !from_bytes(*bytes, head)))
    problem = "its term and vote are missing";
  if (problem.empty())
    return head;
  note(found, std::move(problem));
  return std::nullopt;
}

std::string owner_problem(SQLite::Database& db, const sqlite_file_options& expected) {
  for (const auto& [key, value] : {std::pair{"site", expected.site}, std::pair{"holder", expected.holder}}) {
    std::optional<std::string> stored;
    auto problem = read_meta_row(db, key, stored);
    if (!problem.empty())
      return problem;
    if (stored != value)
      return "it does not say whose it is";
  }
  return {};
}

/// Reads what can be trusted: nothing without owner and head, no entries without the snapshot that they follow.
salvage read_salvage(const std::string& path, const sqlite_file_options& expected) {
  salvage found;
  try {
    SQLite::Database db(path, SQLite::OPEN_READWRITE | SQLite::OPEN_NOMUTEX);
    // The copy is evidence: it stays as it was found.
    sqlite3_db_config(db.getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
    db.exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON");
    note(found, owner_problem(db, expected));
    if (!found.problem.empty())
      return found;
    found.head = salvage_head(db, found);
    if (!found.head)
      return found;
    auto problem = read_snapshot(db, found.snapshot);
    if (problem.empty() && found.snapshot.index < found.head->compacted_index)
      problem = "its snapshot is missing";
    if (!problem.empty()) {
      note(found, std::move(problem));
      found.head.reset();
      return found;
    }
    note(found, read_entries(db, *found.head,
                             [&](log_entry&& entry, const checksum&) { found.entries.push_back(std::move(entry)); }));
    found.rows = count_entries(db);
  } catch (const SQLite::Exception& error) {
    note(found, std::string("it cannot be read on (") + error.what() + ")");
  }
  return found;
}

/// A snapshot that lies beyond the last sound entry replaces the entries before it.
void fit_entries(salvage& found) {
  const auto last = found.head->compacted_index + found.entries.size();
  if (found.snapshot.index <= last)
    return;
  found.entries.clear();
  found.head->compacted_index = found.snapshot.index;
  found.head->compacted_term = found.snapshot.term;
  checksum_builder sums;
  found.head->compacted_sum = chain_start(sums, found.snapshot.index, found.snapshot.term);
}

result<void> build(const std::string& path, const raft_log_owner& owner, const salvage& found) {
  for (const auto* suffix : {"", "-wal", "-shm"})
    ::unlink((path + suffix).c_str()); // of a repair that was interrupted
  auto options = raft_log_file_options(path, owner);
  options.preallocate_wal = false;
  auto head = found.head.value_or(raft_log_head{});
  head.repaired = true;
  ++head.revision;
  options.initial_meta.emplace_back(raft_log_head_key, to_bytes(head));
  auto file = sqlite_file::open(path, options);
  if (!file)
    return file.error();
  auto filled = (*file)->transact("fill", [&] {
    if (found.snapshot.index != 0 && found.head) {
      checksum_builder sums;
      write_snapshot((*file)->db(), sums, found.snapshot);
    }
    raft_log_tail tail{head.compacted_index, head.compacted_term, head.compacted_sum};
    raft_log_row_writer((*file)->db()).add(found.entries, tail);
  });
  if (filled)
    filled = (*file)->checkpoint();
  file->reset();
  ::unlink((path + ".lock").c_str());
  return filled;
}

/// Puts the new file in the old one's place. At each step in between, opening finds damage and asks for a repair: the
/// mark written first is ahead of any log, and a write-ahead log is never left beside a file it does not belong to.
result<void> replace(const std::string& path, const std::string& replacement) {
  {
    auto mark = commit_mark::open(path + ".mark");
    if (!mark)
      return mark.error();
    mark->write({max_log_index, 0});
  }
  for (const auto* suffix : {"-wal", "-shm"})
    if (::unlink((path + suffix).c_str()) != 0 && errno != ENOENT)
      return os_error(errno, "remove " + path + suffix);
  auto synced = sync_folder(folder_of(path));
  if (!synced)
    return synced;
  if (::rename(replacement.c_str(), path.c_str()) != 0)
    return os_error(errno, "rename " + replacement + " to " + path);
  if (::unlink((path + ".mark").c_str()) != 0 && errno != ENOENT)
    return os_error(errno, "remove " + path + ".mark");
  return sync_folder(folder_of(path));
}

std::string report_of(const raft_log_repair& done, const std::string& path, const std::string& problem) {
  std::string text = "The Raft log " + path + " was damaged: " + problem + ". ";
  if (!done.state_kept)
    text += "Nothing in it could be trusted, so it is now empty. ";
  else
    text += "Kept: " + std::to_string(done.entries_kept) + " entries up to index " + std::to_string(done.last_kept) +
            (done.snapshot_kept ? ", the snapshot, term and vote. " : ", term and vote. ") +
            "Dropped: " + std::to_string(done.entries_dropped) +
            " entries that were seen behind the damage; more may be missing. ";
  return text + "The damaged file is in " + done.damaged_copy +
         ". This member may have acknowledged what it no longer has, so it must not vote: remove it from the site and "
         "let "
         "it rejoin empty or as a learner. Only if it is the site's one voter, go on with it and check what is "
         "missing.";
}

result<std::string> problem_of(const std::string& path, const raft_log_owner& owner) {
  auto log = open_raft_log(path, owner);
  if (log) {
    auto contents = (*log)->load();
    if (contents)
      return std::string{};
    if (contents.error().code != storage_errc::damaged)
      return contents.error();
    return contents.error().message;
  }
  if (log.error().code != storage_errc::damaged)
    return log.error();
  return log.error().message;
}

} // namespace

result<raft_log_repair> repair_raft_log(const std::string& path, const raft_log_owner& owner) {
  if (!file_exists(path))
    return os_error(ENOENT, "repair the Raft log " + path);
  auto problem = problem_of(path, owner);
  if (!problem)
    return problem.error();
  raft_log_repair done;
  if (problem->empty()) {
    done.was_sound = true;
    done.message = "The Raft log " + path + " is sound; nothing was changed.";
    return done;
  }
  auto lock = process_lock::acquire(path + ".lock", "the Raft log " + path);
  if (!lock)
    return lock.error();
  auto aside = copy_aside(path);
  if (!aside)
    return aside.error();
  auto found =
      read_salvage((fs::path(*aside) / fs::path(path).filename()).string(), raft_log_file_options(path, owner));
  if (found.head)
    fit_entries(found);
  auto built = build(path + ".repair", owner, found);
  if (built)
    built = replace(path, path + ".repair");
  if (!built)
    return built.error();

  done.damaged_copy = *aside;
  done.state_kept = found.head.has_value();
  done.snapshot_kept = found.snapshot.index != 0 && found.head;
  done.entries_kept = found.entries.size();
  done.entries_dropped = found.rows > done.entries_kept ? found.rows - done.entries_kept : 0;
  done.last_kept = found.head ? found.head->compacted_index + found.entries.size() : 0;
  // What opening complained about ends in the advice to run this; the salvage knows the bare fact, if it is in the
  // rows.
  done.message = report_of(done, path, found.problem.empty() ? *problem : found.problem);
  return done;
}

} // namespace prunella::storage
