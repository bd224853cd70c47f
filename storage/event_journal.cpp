#include "storage/event_journal.hpp"

#include <algorithm>
#include <charconv>

#include "storage/sqlite_file.hpp"

namespace prunella::storage {

namespace {

constexpr std::uint32_t max_limit = 10'000;
constexpr std::string_view dropped_key = "dropped";

sqlite_file_options options_for(const host_owner& owner) {
  auto options = options_of_host(owner);
  options.purpose = "event journal";
  options.format = 1;
  options.schema = "CREATE TABLE event(time INTEGER NOT NULL, origin TEXT NOT NULL, sequence INTEGER NOT NULL,"
                   "                   object TEXT NOT NULL, from_state TEXT NOT NULL, to_state TEXT NOT NULL,"
                   "                   reason TEXT NOT NULL, cause TEXT NOT NULL,"
                   "                   PRIMARY KEY(time, origin, sequence)) WITHOUT ROWID;"
                   "CREATE UNIQUE INDEX event_by_origin ON event(origin, sequence);"
                   "CREATE TABLE origin(name TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID";
  options.when_damaged = "only the history of events is lost with it";
  options.sync = durability::at_checkpoints;
  options.preallocate_wal = false;
  return options;
}

constexpr const char* select_events =
    "SELECT time, origin, sequence, object, from_state, to_state, reason, cause FROM event"
    " WHERE (time, origin, sequence)>(?1,?2,?3) AND substr(object, 1, length(?4))=?4";

class sqlite_event_journal final : public event_journal {
public:
  sqlite_event_journal(std::shared_ptr<sqlite_file> file, const journal_options& options)
      : file_(std::move(file)), options_(options),
        insert_(file_->db(), "INSERT OR IGNORE INTO event VALUES(?,?,?,?,?,?,?,?)"),
        raise_(file_->db(),
               "INSERT INTO origin VALUES(?1,?2) ON CONFLICT(name) DO UPDATE SET last=max(last, excluded.last)"),
        drop_old_(file_->db(), "DELETE FROM event WHERE time<?"),
        drop_first_(file_->db(), "DELETE FROM event WHERE (time, origin, sequence) IN"
                                 " (SELECT time, origin, sequence FROM event ORDER BY time, origin, sequence LIMIT ?)"),
        first_(file_->db(), std::string{select_events} + " ORDER BY time, origin, sequence LIMIT ?5"),
        newest_(file_->db(), std::string{select_events} + " ORDER BY time DESC, origin DESC, sequence DESC LIMIT ?5"),
        last_(file_->db(), "SELECT last FROM origin WHERE name=?") {
    counts_.stored = static_cast<std::uint64_t>(file_->db().execAndGet("SELECT count(*) FROM event").getInt64());
    if (const auto dropped = file_->meta(dropped_key)) {
      const auto* end = dropped->data() + dropped->size();
      const auto [at, error] = std::from_chars(dropped->data(), end, counts_.dropped);
      if (error != std::errc{} || at != end)
        throw storage_failure{file_->damage("how many events it dropped is not a number")};
    }
  }

  result<void> append(const std::vector<journal_event>& events, std::int64_t now_ms) override {
    auto counts = counts_;
    auto done = file_->transact("append to", [&] {
      for (const auto& event : events)
        insert(event, counts);
      const auto dropped = counts.dropped;
      drop_old_.bind(1, now_ms - options_.max_age.count());
      drop(drop_old_, counts);
      if (counts.stored > options_.max_events) {
        // A little more than needed, so that a full journal does not delete at every append.
        const auto keep = options_.max_events - options_.max_events / 32;
        bind_number(drop_first_, 1, counts.stored - keep);
        drop(drop_first_, counts);
      }
      if (counts.dropped != dropped)
        file_->set_meta(dropped_key, std::to_string(counts.dropped));
    });
    if (done)
      counts_ = counts;
    return done;
  }

  result<std::vector<journal_event>> read(const journal_query& query) override {
    return file_->guarded("read", [&] {
      std::vector<journal_event> events;
      auto& read = query.newest ? newest_ : first_;
      read.bind(1, query.after.time_ms);
      read.bindNoCopy(2, query.after.origin);
      bind_number(read, 3, query.after.sequence);
      read.bindNoCopy(4, query.object_prefix);
      read.bind(5, static_cast<std::int64_t>(std::min(query.limit, max_limit)));
      struct resetter {
        SQLite::Statement& statement;
        ~resetter() { statement.tryReset(); }
      } scope{read};
      while (read.executeStep())
        events.push_back(current(read));
      if (query.newest)
        std::reverse(events.begin(), events.end());
      return events;
    });
  }

  result<std::uint64_t> next_sequence(const std::string& origin) override {
    return file_->guarded("read", [&] {
      last_.bindNoCopy(1, origin);
      const std::uint64_t next = last_.executeStep() ? column_number(last_, 0) + 1 : 1;
      last_.reset();
      return next;
    });
  }

  journal_counts counts() const override { return counts_; }

private:
  void insert(const journal_event& event, journal_counts& counts) {
    insert_.bind(1, event.time_ms);
    insert_.bindNoCopy(2, event.origin);
    bind_number(insert_, 3, event.sequence);
    insert_.bindNoCopy(4, event.object);
    insert_.bindNoCopy(5, event.from);
    insert_.bindNoCopy(6, event.to);
    insert_.bindNoCopy(7, event.reason);
    insert_.bindNoCopy(8, event.cause);
    run(insert_);
    if (file_->db().getChanges() == 0)
      return;
    ++counts.stored;
    raise_.bindNoCopy(1, event.origin);
    bind_number(raise_, 2, event.sequence);
    run(raise_);
  }

  void drop(SQLite::Statement& statement, journal_counts& counts) {
    run(statement);
    const auto gone = static_cast<std::uint64_t>(file_->db().getChanges());
    counts.stored -= gone;
    counts.dropped += gone;
  }

  static journal_event current(SQLite::Statement& row) {
    journal_event event;
    event.time_ms = row.getColumn(0).getInt64();
    event.origin = column_bytes(row, 1);
    event.sequence = column_number(row, 2);
    event.object = column_bytes(row, 3);
    event.from = column_bytes(row, 4);
    event.to = column_bytes(row, 5);
    event.reason = column_bytes(row, 6);
    event.cause = column_bytes(row, 7);
    return event;
  }

  std::shared_ptr<sqlite_file> file_;
  journal_options options_;
  SQLite::Statement insert_, raise_, drop_old_, drop_first_, first_, newest_, last_;
  journal_counts counts_;
};

} // namespace

result<std::unique_ptr<event_journal>> open_event_journal(const std::string& path, const host_owner& owner,
                                                          const journal_options& options) {
  if (options.max_events == 0 || options.max_age.count() <= 0)
    return storage_error{storage_errc::invalid_argument, "an event journal keeps at least one event for at least 1 ms"};
  auto opened = sqlite_file::open(path, options_for(owner));
  if (!opened)
    return opened.error();
  const std::shared_ptr<sqlite_file> file = std::move(*opened);
  return file->guarded("read", [&]() -> std::unique_ptr<event_journal> {
    return std::make_unique<sqlite_event_journal>(file, options);
  });
}

} // namespace prunella::storage
