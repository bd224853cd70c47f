#include "storage/site_database.hpp"

#include "storage/cereal_bytes.hpp"
#include "storage/sqlite_file.hpp"

namespace prunella::storage {

namespace {

constexpr std::size_t max_value_bytes = 64u << 20;
constexpr std::string_view applied_key = "applied";

struct applied_position {
  std::uint64_t index = 0;
  std::uint64_t term = 0;

  PRUNELLA_FIELDS(applied_position, index, term)
};

sqlite_file_options options_for(const host_owner& owner) {
  auto options = options_of_host(owner);
  options.purpose = "site database";
  options.format = 7;
  options.schema = "CREATE TABLE state(kind TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, sum BLOB NOT NULL,"
                   "                   PRIMARY KEY(kind, key))";
  options.initial_meta.emplace_back(applied_key, to_bytes(applied_position{}));
  options.when_damaged = "what it holds is made again from the Raft log when it is gone";
  options.sync = durability::at_checkpoints;
  return options;
}

class sqlite_site_database final : public site_database {
public:
  explicit sqlite_site_database(std::shared_ptr<sqlite_file> file)
      : file_(std::move(file)),
        put_(file_->db(), "INSERT INTO state VALUES(?1,?2,?3,?4)"
                          " ON CONFLICT(kind, key) DO UPDATE SET value=excluded.value, sum=excluded.sum"),
        delete_(file_->db(), "DELETE FROM state WHERE kind=? AND key=?") {
    const auto bytes = file_->meta(applied_key);
    if (!bytes || !from_bytes(*bytes, applied_))
      throw storage_failure{file_->damage("its applied index is missing")};
  }

  result<site_contents> load_all() override {
    return file_->guarded("read", [&] {
      site_contents contents;
      contents.applied_index = applied_.index;
      contents.applied_term = applied_.term;
      SQLite::Statement rows(file_->db(), "SELECT kind, key, value, sum FROM state ORDER BY kind, key");
      while (rows.executeStep()) {
        site_row row{std::string(column_bytes(rows, 0)), std::string(column_bytes(rows, 1)),
                     std::string(column_bytes(rows, 2))};
        if (as_bytes(sum_of(row)) != column_bytes(rows, 3))
          throw storage_failure{file_->damage("the checksum of " + row.kind + " '" + row.key + "' is wrong")};
        contents.rows.push_back(std::move(row));
      }
      return contents;
    });
  }

  result<void> apply(const site_batch& batch) override {
    if (batch.index <= applied_.index)
      return {};
    for (const auto& row : batch.puts)
      if (row.value.size() > max_value_bytes)
        return storage_error{storage_errc::invalid_argument,
                             row.kind + " '" + row.key + "' has " + std::to_string(row.value.size()) +
                                 " bytes, more than the " + std::to_string(max_value_bytes) + " allowed"};
    const applied_position applied{batch.index, batch.term};
    auto done = file_->transact("apply to", [&] {
      for (const auto& key : batch.deletes)
        remove(key);
      for (const auto& row : batch.puts)
        put(row);
      file_->set_meta(applied_key, to_bytes(applied));
    });
    if (done)
      applied_ = applied;
    return done;
  }

  result<void> replace_all(const site_contents& contents) override {
    const applied_position applied{contents.applied_index, contents.applied_term};
    auto done = file_->transact("replace", [&] {
      file_->db().exec("DELETE FROM state");
      for (const auto& row : contents.rows)
        put(row);
      file_->set_meta(applied_key, to_bytes(applied));
    });
    if (!done)
      return done;
    applied_ = applied;
    return checkpoint();
  }

  result<void> checkpoint() override { return file_->checkpoint(); }
  std::uint64_t applied_index() const override { return applied_.index; }
  std::uint64_t applied_term() const override { return applied_.term; }

private:
  checksum sum_of(const site_row& row) { return sums_.begin().add(row.kind).add(row.key).add(row.value).finish(); }

  void put(const site_row& row) {
    const auto sum = sum_of(row);
    put_.bindNoCopy(1, row.kind);
    put_.bindNoCopy(2, row.key);
    bind_blob(put_, 3, row.value);
    bind_blob(put_, 4, as_bytes(sum));
    run(put_);
  }

  void remove(const site_key& key) {
    delete_.bindNoCopy(1, key.kind);
    delete_.bindNoCopy(2, key.key);
    run(delete_);
  }

  std::shared_ptr<sqlite_file> file_;
  SQLite::Statement put_, delete_;
  checksum_builder sums_;
  applied_position applied_;
};

} // namespace

result<std::unique_ptr<site_database>> open_site_database(const std::string& path, const host_owner& owner) {
  auto opened = sqlite_file::open(path, options_for(owner));
  if (!opened)
    return opened.error();
  const std::shared_ptr<sqlite_file> file = std::move(*opened);
  return file->guarded(
      "read", [&]() -> std::unique_ptr<site_database> { return std::make_unique<sqlite_site_database>(file); });
}

} // namespace prunella::storage
