#include "storage/container_records.hpp"

#include "config/enumerators.hpp"
#include "storage/cereal_bytes.hpp"
#include "storage/sqlite_file.hpp"

namespace prunella::storage {

namespace {

sqlite_file_options options_for(const host_owner& owner) {
  auto options = options_of_small_table(owner);
  options.purpose = "table of containers";
  options.format = 3;
  options.schema =
      "CREATE TABLE container(name TEXT PRIMARY KEY, record BLOB NOT NULL, sum BLOB NOT NULL) WITHOUT ROWID";
  options.when_damaged =
      "stop this host's containers by hand, then move it away (with its -wal): the agent starts them anew";
  options.sync = durability::at_checkpoints;
  return options;
}

class sqlite_container_records final : public container_records {
public:
  explicit sqlite_container_records(std::shared_ptr<sqlite_file> file)
      : file_(std::move(file)), put_(file_->db(), "INSERT OR REPLACE INTO container VALUES(?,?,?)"),
        erase_(file_->db(), "DELETE FROM container WHERE name=?") {}

  result<void> put(const container_record& record) override {
    if (record.name.empty())
      return storage_error{storage_errc::invalid_argument, "a container's record needs its name"};
    return file_->transact("write to", [&] {
      const auto bytes = to_bytes(record);
      const auto sum = sums_.begin().add(record.name).add(bytes).finish();
      put_.bindNoCopy(1, record.name);
      bind_blob(put_, 2, bytes);
      bind_blob(put_, 3, as_bytes(sum));
      run(put_);
    });
  }

  result<void> erase(const std::string& name) override {
    return file_->transact("erase from", [&] {
      erase_.bindNoCopy(1, name);
      run(erase_);
    });
  }

  result<std::vector<container_record>> list() override {
    return file_->guarded("read", [&] {
      std::vector<container_record> records;
      SQLite::Statement rows(file_->db(), "SELECT name, record, sum FROM container ORDER BY name");
      while (rows.executeStep()) {
        const std::string name(column_bytes(rows, 0));
        const auto bytes = column_bytes(rows, 1);
        container_record record;
        if (as_bytes(sums_.begin().add(name).add(bytes).finish()) != column_bytes(rows, 2) ||
            !from_bytes(bytes, record) || !config::has_known_enumerators(record))
          throw storage_failure{file_->damage("the checksum of the record of '" + name + "' is wrong")};
        records.push_back(std::move(record));
      }
      return records;
    });
  }

private:
  std::shared_ptr<sqlite_file> file_;
  SQLite::Statement put_, erase_;
  checksum_builder sums_;
};

} // namespace

result<std::unique_ptr<container_records>> open_container_records(const std::string& path, const host_owner& owner) {
  auto opened = sqlite_file::open(path, options_for(owner));
  if (!opened)
    return opened.error();
  const std::shared_ptr<sqlite_file> file = std::move(*opened);
  return file->guarded(
      "read", [&]() -> std::unique_ptr<container_records> { return std::make_unique<sqlite_container_records>(file); });
}

} // namespace prunella::storage
