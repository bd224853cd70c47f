#include "actors/site/site_machine.hpp"

#include <map>

#include "actors/site/site_command_bytes.hpp"
#include "storage/cereal_bytes.hpp"

namespace prunella::actors {

namespace {

/// (kind, key) of rows; the value is always true.
using changed_rows = std::map<std::pair<std::string, std::string>, bool>;

class site_machine : public runtime::replicated_state_machine {
public:
  explicit site_machine(site_machine_options options) : options_(std::move(options)) {}

  storage::result<void> load() {
    auto stored = options_.database->load_all();
    if (!stored.ok())
      return stored.error();
    auto loaded = take_rows(stored.value());
    if (!loaded.ok())
      return loaded;
    publish();
    return {};
  }

  std::uint64_t applied_index() const override { return state_.applied_index; }

  storage::result<std::vector<std::string>> apply(const std::vector<runtime::shared_entry>& entries) override {
    std::vector<std::string> results;
    std::vector<storage::journal_event> decided;
    storage::site_batch batch;
    auto& rows = unsaved_;
    results.reserve(entries.size());
    for (const auto& entry : entries) {
      results.push_back(entry->kind == storage::entry_kind::command ? apply_one(*entry, rows, decided) : std::string{});
      state_.applied_index = entry->index;
      batch.index = entry->index;
      batch.term = entry->term;
    }
    for (const auto& [key, unused] : rows) {
      const changed_row row{key.first, key.second};
      auto value = row_value(state_, row);
      if (value.empty())
        batch.deletes.push_back({row.kind, row.key});
      else
        batch.puts.push_back({row.kind, row.key, std::move(value)});
    }
    auto stored = options_.database->apply(batch);
    if (stored.ok())
      rows.clear();
    else if (!storage::is_retryable(stored.error().code))
      return stored.error();
    // Rows that the disk has no room for go with the next batch: until then the log, which is not shortened meanwhile,
    // has what they came from.
    publish(); // also without a changed row: how far this host has come shows in its status
    if (!decided.empty() && options_.on_decided)
      options_.on_decided(std::move(decided));
    return results;
  }

  storage::result<std::string> take_snapshot() override {
    if (!unsaved_.empty())
      return storage::storage_error{storage::storage_errc::disk_full,
                                    "rows of the site database wait for room on its disk; free some"};
    auto durable = options_.database->checkpoint();
    if (!durable.ok())
      return durable.error();
    return encode(state_);
  }

  storage::result<void> restore(const runtime::raft_snapshot& snapshot) override {
    site_state state;
    if (!decode(snapshot.data, state))
      return storage::storage_error{storage::storage_errc::damaged,
                                    "the snapshot at index " + std::to_string(snapshot.index)
                                      + " is not a site state of this version; all hosts of a site must run versions "
                                        "that read each other's state"};
    state.applied_index = snapshot.index;
    auto stored = options_.database->replace_all(contents_of(state, snapshot.term));
    if (!stored.ok())
      return stored;
    state_ = std::move(state);
    unsaved_.clear();
    publish();
    return {};
  }

private:
  std::string apply_one(const storage::log_entry& entry, changed_rows& rows,
                        std::vector<storage::journal_event>& decided) {
    site_command command;
    if (!decode(entry.data, command))
      return encode(command_outcome{command_result::unchanged, 0, "the command is not one of this version"});
    auto applied = actors::apply(state_, command, entry.index);
    for (auto& row : applied.rows)
      rows[{std::move(row.kind), std::move(row.key)}] = true;
    std::uint64_t k = 0;
    for (auto& x : applied.events)
      decided.push_back({storage::site_origin, entry.index * 1'000 + k++, command.at, std::move(x.object),
                         std::move(x.from), std::move(x.to), std::move(x.reason), std::move(x.cause)});
    return encode(applied.outcome);
  }

  storage::result<void> take_rows(const storage::site_contents& contents) {
    for (const auto& row : contents.rows)
      if (!load_row(state_, {row.kind, row.key}, row.value))
        return storage::storage_error{storage::storage_errc::damaged,
                                      "the site database's row " + row.kind + ' ' + row.key
                                        + " cannot be read by this version; move the database away and restart: the log "
                                          "builds it anew"};
    state_.applied_index = contents.applied_index;
    return {};
  }

  static storage::site_contents contents_of(const site_state& state, std::uint64_t term) {
    storage::site_contents contents;
    contents.applied_index = state.applied_index;
    contents.applied_term = term;
    const auto add = [&](std::string kind, std::string key) {
      const changed_row row{std::move(kind), std::move(key)};
      contents.rows.push_back({row.kind, row.key, row_value(state, row)});
    };
    for (const auto& [key, x] : state.applications)
      add("application", key);
    for (const auto& [key, x] : state.assignments)
      add("assignment", key);
    for (const auto& [key, x] : state.hosts)
      add("host", key);
    add("site", "site");
    return contents;
  }

  void publish() { options_.state->set(std::make_shared<const site_state>(state_)); }

  site_machine_options options_;
  site_state state_;
  changed_rows unsaved_; ///< of `state_`, that the database does not have yet; bounded by the rows of a site
};

} // namespace

storage::result<std::shared_ptr<runtime::replicated_state_machine>> make_site_machine(site_machine_options options) {
  auto machine = std::make_shared<site_machine>(std::move(options));
  auto loaded = machine->load();
  if (!loaded.ok())
    return loaded.error();
  return std::shared_ptr<runtime::replicated_state_machine>{std::move(machine)};
}

} // namespace prunella::actors
