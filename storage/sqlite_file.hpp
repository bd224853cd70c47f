#pragma once

// What every SQLite file of this folder has in common: opening with identity and format checks, one process at a time,
// transactions, checked meta rows, and errors as sentences. Internal: only sources of this folder include it, so that
// SQLite stays out of everybody else's compile.

#include <SQLiteCpp/SQLiteCpp.h>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/checksum.hpp"
#include "storage/errors.hpp"
#include "storage/process_lock.hpp"
#include "storage/site_database.hpp"

namespace prunella::storage {

/// Carries an error out of the depth of a transaction; never leaves this folder.
struct storage_failure {
  storage_error error;
};

[[noreturn]] void fail(storage_errc code, std::string message);

enum class durability : std::uint8_t {
  each_commit,    ///< synchronous=FULL: a commit is on disk when it returns
  at_checkpoints, ///< synchronous=NORMAL: a power cut may take the last commits; never consistency
};

class sqlite_file;

struct sqlite_file_options {
  std::string purpose;      ///< "Raft log": what the file is, for the meta row and for sentences
  std::uint32_t format = 1; ///< of our tables; the file says which it was written with
  std::string site;
  std::string holder;                                            ///< host id or "member 3"; only compared and printed
  std::string schema;                                            ///< statements that make the tables of a new file
  std::vector<std::pair<std::string, std::string>> initial_meta; ///< rows of a new file, in the same transaction
  std::string when_damaged;                                      ///< next step, ends the sentence about damage
  durability sync = durability::each_commit;
  int wal_pages = 1000;        ///< auto-checkpoint after so many 4 KiB pages
  bool preallocate_wal = true; ///< appending to a file of fixed size spares the file system a journal commit per sync
  int cache_kib = 2000;
  /// Further checks at opening, before the write-ahead log is merged into the file; refuses by `fail`. May be empty.
  std::function<void(sqlite_file&)> verify;
};

/// For a file of a host; the rest as it stands above.
sqlite_file_options options_of_host(const host_owner& owner);

/// For a host's table of few and short rows that are not written all the time: a short write-ahead log, little memory.
sqlite_file_options options_of_small_table(const host_owner& owner);

class sqlite_file {
public:
  static result<std::unique_ptr<sqlite_file>> open(const std::string& path, const sqlite_file_options& options);

  SQLite::Database& db() { return *db_; }
  const std::string& path() const { return path_; }
  bool created() const { return created_; } ///< by this open

  /// The checked value of a meta row; nothing if there is none. Throws for damage.
  std::optional<std::string> meta(std::string_view key);
  void set_meta(std::string_view key, std::string_view value);

  /// Runs `body` and turns what SQLite or `fail` throws into an error: "cannot <doing> in <path>: …".
  template <class Body>
  auto guarded(std::string_view doing, Body&& body) -> result<decltype(body())> {
    if (poisoned_)
      return *poisoned_;
    errno = 0;
    try {
      if constexpr (std::is_void_v<decltype(body())>) {
        body();
        return {};
      } else {
        return body();
      }
    } catch (const SQLite::Exception& error) {
      return translate(error, doing);
    } catch (const storage_failure& failure) {
      return failure.error;
    }
  }

  /// `guarded` within one transaction: committed if `body` returns, rolled back if it throws.
  template <class Body>
  result<void> transact(std::string_view doing, Body&& body) {
    return guarded(doing, [&] {
      transaction scope(*this);
      body();
      scope.commit();
    });
  }

  /// Makes everything committed so far durable and empties the write-ahead log into the database.
  result<void> checkpoint();

  /// The error for damage found by a caller, with the next step.
  storage_error damage(std::string_view what) const;

private:
  class transaction {
  public:
    explicit transaction(sqlite_file& file);
    ~transaction();
    void commit();

  private:
    sqlite_file& file_;
    bool done_ = false;
  };

  sqlite_file(std::string path, sqlite_file_options options, process_lock lock);
  void connect();
  void close_merged();
  void prepare_connection();
  void create_if_new();
  void check_identity();
  void check_structure();
  void preallocate_wal();
  storage_error translate(const SQLite::Exception& error, std::string_view doing);

  std::string path_;
  sqlite_file_options options_;
  process_lock lock_;
  std::optional<storage_error> poisoned_;
  bool created_ = false;
  checksum_builder sums_;
  std::unique_ptr<SQLite::Database> db_;
  std::unique_ptr<SQLite::Statement> begin_, commit_, rollback_, put_meta_;
};

/// Reads a meta row of any of our files into `value`; "" or a sentence about why it cannot be trusted. An absent row is
/// trusted to be absent and leaves `value` empty.
std::string read_meta_row(SQLite::Database& db, std::string_view key, std::optional<std::string>& value);

/// The blob or text of column `index`, without a copy; valid until the statement steps.
std::string_view column_bytes(SQLite::Statement& statement, int index);

/// Column `index` as what it was before it was stored as SQLite's signed integer.
std::uint64_t column_number(SQLite::Statement& statement, int index);

/// Binds without copying: `bytes` must live until the statement was run.
void bind_blob(SQLite::Statement& statement, int index, std::string_view bytes);
void bind_number(SQLite::Statement& statement, int index, std::uint64_t number);

/// Makes a statement ready for its next use, also when that throws: it would stay busy and the next use fail with a
/// misleading error.
class statement_reset {
public:
  explicit statement_reset(SQLite::Statement& statement) : statement_(statement) {}
  ~statement_reset() { statement_.tryReset(); }
  statement_reset(const statement_reset&) = delete;
  statement_reset& operator=(const statement_reset&) = delete;

private:
  SQLite::Statement& statement_;
};

/// Runs a statement that returns no rows and makes it ready for the next use.
void run(SQLite::Statement& statement);

} // namespace prunella::storage
