#pragma once

// Stores of a host that live in memory and outlive its agent: the site's database, which loses its unsynced tail at a
// power cut as SQLite's write-ahead log without a sync does, and the event journal. The Raft log is in
// tests/runtime/consensus_actors.hpp.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "storage/event_journal.hpp"
#include "storage/site_database.hpp"

namespace prunella::tests {

/// The file of a site database.
struct memory_database_file {
  using row_map = std::map<std::pair<std::string, std::string>, std::string>;
  struct content {
    std::uint64_t index = 0;
    std::uint64_t term = 0;
    row_map rows;
  };

  content now;
  content durable;
  std::vector<storage::site_batch> unsynced; ///< leads from `durable` to `now`
  std::function<void(const content&)> on_applied;

  static void add(content& to, const storage::site_batch& batch) {
    for (const auto& key : batch.deletes)
      to.rows.erase({key.kind, key.key});
    for (const auto& row : batch.puts)
      to.rows[{row.kind, row.key}] = row.value;
    to.index = batch.index;
    to.term = batch.term;
  }

  /// Keeps what was synced and, of the rest, as much as the disk happened to have written.
  void cut_power(std::mt19937_64& random) {
    unsynced.resize(random() % (unsynced.size() + 1));
    now = durable;
    for (const auto& batch : unsynced)
      add(now, batch);
  }
};

class memory_site_database : public storage::site_database {
public:
  explicit memory_site_database(std::shared_ptr<memory_database_file> file) : file_(std::move(file)) {}

  storage::result<storage::site_contents> load_all() override {
    storage::site_contents contents;
    contents.applied_index = file_->now.index;
    contents.applied_term = file_->now.term;
    for (const auto& [key, value] : file_->now.rows)
      contents.rows.push_back({key.first, key.second, value});
    return contents;
  }

  storage::result<void> apply(const storage::site_batch& batch) override {
    if (batch.index <= file_->now.index)
      return {};
    memory_database_file::add(file_->now, batch);
    file_->unsynced.push_back(batch);
    told();
    return {};
  }

  storage::result<void> replace_all(const storage::site_contents& contents) override {
    file_->now = {contents.applied_index, contents.applied_term, {}};
    for (const auto& row : contents.rows)
      file_->now.rows[{row.kind, row.key}] = row.value;
    told();
    return checkpoint();
  }

  storage::result<void> checkpoint() override {
    file_->durable = file_->now;
    file_->unsynced.clear();
    return {};
  }

  std::uint64_t applied_index() const override { return file_->now.index; }
  std::uint64_t applied_term() const override { return file_->now.term; }

private:
  void told() {
    if (file_->on_applied)
      file_->on_applied(file_->now);
  }

  std::shared_ptr<memory_database_file> file_;
};

/// Events by (origin, sequence); shared with the journals opened on it.
struct memory_journal_file {
  std::map<std::pair<std::string, std::uint64_t>, storage::journal_event> events;
};

class memory_journal : public storage::event_journal {
public:
  explicit memory_journal(std::shared_ptr<memory_journal_file> file) : file_(std::move(file)) {}

  storage::result<void> append(const std::vector<storage::journal_event>& events, std::int64_t) override {
    for (const auto& event : events)
      file_->events.try_emplace({event.origin, event.sequence}, event);
    return {};
  }

  storage::result<std::vector<storage::journal_event>> read(const storage::journal_query& query) override {
    const auto place = [](const storage::journal_event& x) { return std::tie(x.time_ms, x.origin, x.sequence); };
    const auto after = std::tie(query.after.time_ms, query.after.origin, query.after.sequence);
    std::vector<storage::journal_event> found;
    for (const auto& [key, event] : file_->events)
      if (place(event) > after && event.object.compare(0, query.object_prefix.size(), query.object_prefix) == 0)
        found.push_back(event);
    std::sort(found.begin(), found.end(), [&](const auto& a, const auto& b) { return place(a) < place(b); });
    if (found.size() > query.limit)
      query.newest ? found.erase(found.begin(), found.end() - query.limit) : found.erase(found.begin() + query.limit, found.end());
    return found;
  }

  storage::result<std::uint64_t> next_sequence(const std::string& origin) override {
    std::uint64_t next = 1;
    for (const auto& [key, event] : file_->events)
      if (key.first == origin)
        next = key.second + 1;
    return next;
  }

  storage::journal_counts counts() const override { return {file_->events.size(), 0}; }

private:
  std::shared_ptr<memory_journal_file> file_;
};

} // namespace prunella::tests
