#include "storage/sqlite_file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/os_files.hpp"

namespace prunella::storage {

namespace {

// Marks our files for file(1); the letters "PRUN".
constexpr int application_id = 0x5052554e;

// quick_check reads the whole file. Beyond this size the checksums of the rows must do, or an agent on a slow card
// would not start for minutes.
constexpr std::uintmax_t max_quick_check_bytes = 256u << 20;

constexpr std::size_t wal_frame_bytes = 4096 + 24;

} // namespace

void fail(storage_errc code, std::string message) {
  throw storage_failure{{code, std::move(message)}};
}

std::string_view column_bytes(SQLite::Statement& statement, int index) {
  const auto column = statement.getColumn(index);
  const auto* data = static_cast<const char*>(column.getBlob());
  return {data == nullptr ? "" : data, static_cast<std::size_t>(column.getBytes())};
}

std::uint64_t column_number(SQLite::Statement& statement, int index) {
  return static_cast<std::uint64_t>(statement.getColumn(index).getInt64());
}

void bind_blob(SQLite::Statement& statement, int index, std::string_view bytes) {
  // A null pointer would bind NULL instead of an empty blob.
  statement.bindNoCopy(index, static_cast<const void*>(bytes.data() == nullptr ? "" : bytes.data()),
                       static_cast<int>(bytes.size()));
}

void bind_number(SQLite::Statement& statement, int index, std::uint64_t number) {
  statement.bind(index, static_cast<std::int64_t>(number));
}

void run(SQLite::Statement& statement) {
  const statement_reset after(statement);
  statement.exec();
}

sqlite_file::transaction::transaction(sqlite_file& file) : file_(file) {
  run(*file_.begin_);
}

void sqlite_file::transaction::commit() {
  run(*file_.commit_);
  done_ = true;
}

sqlite_file::transaction::~transaction() {
  // Some errors have already rolled back; then there is no transaction to end.
  if (!done_ && sqlite3_get_autocommit(file_.db_->getHandle()) == 0) {
    file_.rollback_->tryExecuteStep();
    file_.rollback_->tryReset();
  }
}

sqlite_file_options options_of_host(const host_owner& owner) {
  sqlite_file_options options;
  options.site = owner.site;
  options.holder = "host " + owner.host;
  return options;
}

sqlite_file_options options_of_small_table(const host_owner& owner) {
  auto options = options_of_host(owner);
  options.wal_pages = 100;
  options.preallocate_wal = false;
  options.cache_kib = 200;
  return options;
}

sqlite_file::sqlite_file(std::string path, sqlite_file_options options, process_lock lock)
    : path_(std::move(path)), options_(std::move(options)), lock_(std::move(lock)) {
}

result<std::unique_ptr<sqlite_file>> sqlite_file::open(const std::string& path, const sqlite_file_options& options) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISREG(status.st_mode))
      return storage_error{storage_errc::inaccessible, "cannot open the " + options.purpose + " " + path +
                                                           ": it is not a regular file; move it away"};
  } else if (errno != ENOENT) {
    return os_error(errno, "open the " + options.purpose + " " + path);
  }
  auto lock = process_lock::acquire(path + ".lock", "the " + options.purpose + " " + path);
  if (!lock)
    return lock.error();
  // SQLite would create it with the umask's mode, readable to all; its write-ahead log takes over the mode.
  unique_fd created(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!created)
    return os_error(errno, "open the " + options.purpose + " " + path);
  created = unique_fd();

  std::unique_ptr<sqlite_file> file(new sqlite_file(path, options, std::move(*lock)));
  auto opened = file->guarded("open", [&] {
    file->connect();
    file->create_if_new();
    file->check_identity();
    file->check_structure();
    if (options.verify)
      options.verify(*file);
    file->prepare_connection();
  });
  if (!opened)
    return opened.error();
  return file;
}

void sqlite_file::connect() {
  db_ = std::make_unique<SQLite::Database>(path_, SQLite::OPEN_READWRITE | SQLite::OPEN_NOMUTEX);
  sqlite3_extended_result_codes(db_->getHandle(), 1);
  // Exclusive before the first read: the index of the write-ahead log then lives on the heap, which spares the locks
  // and the shared memory file of every transaction.
  db_->exec("PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;"
            "PRAGMA temp_store=MEMORY");
  // Until all checks have passed, closing must not merge the write-ahead log: a file that is refused stays as it was
  // found, for the repair.
  sqlite3_db_config(db_->getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, nullptr);
}

void sqlite_file::close_merged() {
  put_meta_.reset();
  sqlite3_db_config(db_->getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  db_.reset();
}

void sqlite_file::create_if_new() {
  if (db_->execAndGet("SELECT count(*) FROM sqlite_master").getInt64() != 0)
    return;
  created_ = true;
  // Debian's SQLite overwrites deleted rows with zeros by default, twice the writes for nothing: rows here are no
  // secrets.
  db_->exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA secure_delete=OFF");
  db_->exec("BEGIN IMMEDIATE; PRAGMA application_id=" + std::to_string(application_id) +
            ";CREATE TABLE meta(key TEXT PRIMARY KEY, value BLOB NOT NULL, sum BLOB NOT NULL) WITHOUT ROWID");
  db_->exec(options_.schema);
  set_meta("purpose", options_.purpose);
  set_meta("format", std::to_string(options_.format));
  set_meta("site", options_.site);
  set_meta("holder", options_.holder);
  for (const auto& [key, value] : options_.initial_meta)
    set_meta(key, value);
  db_->exec("COMMIT");
  close_merged();
  auto synced = sync_folder(folder_of(path_));
  if (!synced)
    throw storage_failure{synced.error()};
  connect();
}

void sqlite_file::check_identity() {
  if (db_->execAndGet("SELECT count(*) FROM sqlite_master WHERE name='meta'").getInt64() == 0)
    fail(storage_errc::foreign, path_ + " is an SQLite file, but not one of Prunella's; move it away");
  const auto required = [&](std::string_view key) {
    auto value = meta(key);
    if (!value)
      throw storage_failure{damage("its meta row '" + std::string(key) + "' is missing")};
    return *value;
  };
  const auto purpose = required("purpose");
  if (purpose != options_.purpose)
    fail(storage_errc::foreign, path_ + " is a " + purpose + ", not a " + options_.purpose + "; check the path");
  const auto format = required("format");
  const auto ours = std::to_string(options_.format);
  if (format != ours) {
    const bool newer = format.size() > ours.size() || (format.size() == ours.size() && format > ours);
    fail(newer ? storage_errc::newer_format : storage_errc::older_format,
         path_ + " has format " + format + ", this version of Prunella reads format " + ours + "; " +
             (newer ? "run the newer version that wrote it" : "upgrade through the version that still reads it"));
  }
  const auto site = required("site");
  const auto holder = required("holder");
  if (site != options_.site || holder != options_.holder)
    fail(storage_errc::foreign, path_ + " belongs to " + holder + " of site " + site + ", not to " + options_.holder +
                                    " of site " + options_.site + "; use that one's data directory, or an empty one");
}

void sqlite_file::check_structure() {
  std::error_code error;
  if (created_ || std::filesystem::file_size(path_, error) > max_quick_check_bytes || error)
    return;
  const auto verdict = db_->execAndGet("PRAGMA quick_check(1)").getString();
  if (verdict != "ok")
    throw storage_failure{damage("its structure is broken (" + verdict + ")")};
}

void sqlite_file::prepare_connection() {
  // A clean close removes the write-ahead log, which can then be made anew at its full size before SQLite opens it.
  close_merged();
  preallocate_wal();
  connect();
  sqlite3_db_config(db_->getHandle(), SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, nullptr);
  db_->exec("PRAGMA journal_mode=WAL; PRAGMA secure_delete=OFF");
  db_->exec(options_.sync == durability::each_commit ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL");
  db_->exec("PRAGMA cache_size=-" + std::to_string(options_.cache_kib));
  db_->exec("PRAGMA wal_autocheckpoint=" + std::to_string(options_.wal_pages));
  // After a large transaction the log shrinks back to the size that the auto-checkpoint keeps it at.
  const auto wal_bytes = (static_cast<std::size_t>(options_.wal_pages) * 9 / 8) * wal_frame_bytes;
  db_->exec("PRAGMA journal_size_limit=" + std::to_string(wal_bytes));
  begin_ = std::make_unique<SQLite::Statement>(*db_, "BEGIN IMMEDIATE");
  commit_ = std::make_unique<SQLite::Statement>(*db_, "COMMIT");
  rollback_ = std::make_unique<SQLite::Statement>(*db_, "ROLLBACK");
}

void sqlite_file::preallocate_wal() {
  const auto wal = path_ + "-wal";
  if (!options_.preallocate_wal || file_exists(wal))
    return; // a clean close removed it; one that is still there holds commits
  const auto bytes = wal_frame_bytes * static_cast<std::size_t>(options_.wal_pages) * 9 / 8;
  std::error_code unknown;
  if (const auto space = std::filesystem::space(std::filesystem::path{path_}.parent_path(), unknown); unknown || space.available < 4 * bytes)
    return; // who opens another file there meanwhile would find the disk full
  unique_fd fd(::open(wal.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  // Zeros, not fallocate: converting unwritten extents costs the same journal commit as growing the file. SQLite takes
  // a log whose header is zero for an empty one.
  const std::string zeros(wal_frame_bytes * 128, '\0');
  bool ok = static_cast<bool>(fd);
  for (int pages = 0; ok && pages < options_.wal_pages * 9 / 8; pages += 128)
    ok = ::write(fd.get(), zeros.data(), zeros.size()) == static_cast<ssize_t>(zeros.size());
  ok = ok && ::fsync(fd.get()) == 0;
  // Only speed is lost without it, so a full disk is not reported here but by whoever writes next.
  if (!ok)
    ::unlink(wal.c_str());
}

std::string read_meta_row(SQLite::Database& db, std::string_view key, std::optional<std::string>& value) {
  value.reset();
  SQLite::Statement row(db, "SELECT value, sum FROM meta WHERE key=?");
  row.bind(1, std::string(key));
  if (!row.executeStep())
    return {};
  std::string stored(column_bytes(row, 0));
  if (column_bytes(row, 1) != as_bytes(checksum_builder().begin().add(key).add(stored).finish()))
    return "the checksum of its meta row '" + std::string(key) + "' is wrong";
  value = std::move(stored);
  return {};
}

std::optional<std::string> sqlite_file::meta(std::string_view key) {
  std::optional<std::string> value;
  const auto problem = read_meta_row(*db_, key, value);
  if (!problem.empty())
    throw storage_failure{damage(problem)};
  return value;
}

void sqlite_file::set_meta(std::string_view key, std::string_view value) {
  if (!put_meta_)
    put_meta_ = std::make_unique<SQLite::Statement>(*db_, "INSERT OR REPLACE INTO meta VALUES(?,?,?)");
  const auto sum = sums_.begin().add(key).add(value).finish();
  put_meta_->bind(1, std::string(key));
  bind_blob(*put_meta_, 2, value);
  bind_blob(*put_meta_, 3, as_bytes(sum));
  run(*put_meta_);
}

result<void> sqlite_file::checkpoint() {
  return guarded("checkpoint", [&] {
    SQLite::Statement statement(*db_, "PRAGMA wal_checkpoint(RESTART)");
    if (!statement.executeStep() || statement.getColumn(0).getInt() != 0)
      fail(storage_errc::io_failed, "the write-ahead log of " + path_ + " could not be emptied; restart the agent");
  });
}

storage_error sqlite_file::damage(std::string_view what) const {
  return {storage_errc::damaged,
          "the " + options_.purpose + " " + path_ + " is damaged: " + std::string(what) + "; " + options_.when_damaged};
}

storage_error sqlite_file::translate(const SQLite::Exception& error, std::string_view doing) {
  const std::string what = "cannot " + std::string(doing) + " the " + options_.purpose + " " + path_ + ": ";
  // sqlite3_system_errno stays 0 for a write that failed within COMMIT; errno is still that of the last failed call.
  const int system_errno = errno;
  storage_error translated{storage_errc::damaged, {}};
  switch (error.getErrorCode() & 0xff) {
  case SQLITE_FULL:
    return {storage_errc::disk_full, what + "the disk is full; free some space on its file system (`df -h`)"};
  case SQLITE_IOERR:
    if (means_no_room(system_errno) && (error.getExtendedErrorCode() == SQLITE_IOERR_WRITE))
      return {storage_errc::disk_full, what + "no room is left (disk, quota or file size limit); make some"};
    if (error.getExtendedErrorCode() == SQLITE_IOERR_SHORT_READ || error.getExtendedErrorCode() == SQLITE_IOERR_DATA)
      return damage(std::string("it is shorter than it says (") + error.what() + ")");
    translated = {storage_errc::io_failed,
                  what + error.what() + "; see the kernel's log (`dmesg`), then restart the agent"};
    poisoned_ = translated;
    return translated;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return {storage_errc::locked, what + "another process has it open (find it with `fuser " + path_ + "`); stop it"};
  case SQLITE_CANTOPEN:
  case SQLITE_PERM:
  case SQLITE_AUTH:
  case SQLITE_READONLY:
    return {storage_errc::inaccessible, what + error.what() + "; check the owner and the mode of it and its folder"};
  case SQLITE_NOMEM:
    throw std::bad_alloc();
  case SQLITE_TOOBIG:
  case SQLITE_MISUSE:
    return {storage_errc::invalid_argument, what + error.what()};
  default:
    // Our statements and rows are fixed, so an error about them (a missing column, a broken rule) says that the file is
    // not what we wrote.
    return damage(error.what());
  }
}

} // namespace prunella::storage
