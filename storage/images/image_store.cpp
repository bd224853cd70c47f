#include "storage/images/image_store.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <sys/statvfs.h>

#include "config/quantity.hpp"
#include "storage/cereal_bytes.hpp"
#include "storage/images/salvage.hpp"
#include "storage/sqlite_file.hpp"

namespace prunella::storage {

namespace {

sqlite_file_options options_for(const host_owner& owner) {
  auto options = options_of_small_table(owner);
  options.purpose = "table of images";
  options.format = 1;
  options.schema =
      "CREATE TABLE image(manifest TEXT PRIMARY KEY, record BLOB NOT NULL, sum BLOB NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE name(name TEXT PRIMARY KEY, manifest TEXT NOT NULL) WITHOUT ROWID;"
      "CREATE TABLE holder(holder TEXT PRIMARY KEY, manifest TEXT NOT NULL) WITHOUT ROWID";
  options.when_damaged =
      "move it away (with its -wal): the images' blobs stay, and importing or pulling an image again "
      "finds them";
  options.sync = durability::each_commit;
  return options;
}

/// The rows under which `find` looks a reference up: the tag's, and the digest's if there is one.
std::vector<std::string> rows_of(const image_reference& reference) {
  std::vector<std::string> rows;
  if (!reference.tag.empty())
    rows.push_back(reference.name() + ":" + reference.tag);
  if (reference.is_pinned())
    rows.push_back(reference.name() + "@" + reference.pinned.text());
  return rows;
}

storage_error no_such_image(const std::string& named) {
  return {storage_errc::not_found,
          "the image " + named + " is not on this host; pull it, or import it from a folder or an archive"};
}

class sqlite_image_store final : public image_store {
public:
  sqlite_image_store(std::string folder, image_store_options options, blob_store blobs, layer_store layers,
                     std::shared_ptr<sqlite_file> file)
      : folder_(std::move(folder)), options_(std::move(options)), blobs_(std::move(blobs)), layers_(std::move(layers)),
        file_(std::move(file)) {}

  blob_store& blobs() override { return blobs_; }
  layer_store& layers() override { return layers_; }
  std::string staging() const override { return folder_ + "/staging"; }

  result<void> add(const image_record& record, const std::vector<image_reference>& names) override;
  result<image_record> find(const image_reference& reference) override;
  result<image_record> find(const digest& manifest) override;
  result<image_documents> documents(const digest& manifest) override;
  result<std::vector<descriptor>> missing(const digest& manifest) override;
  result<std::vector<image_view>> list() override;
  result<void> hold(const std::string& holder, const digest& manifest, std::int64_t now_ms) override;
  result<void> release(const std::string& holder, std::int64_t now_ms) override;
  result<disk_room> room() const override;
  result<void> admit(std::uint64_t bytes) const override;
  result<std::uint64_t> left() const override;
  result<void> forget(const digest& manifest) override;
  result<store_contents> contents() override;
  result<collection> collect(std::uint64_t bytes, const std::set<digest>& wanted, std::int64_t now_ms) override;

private:
  // Within a transaction or `guarded`; they throw.
  std::optional<image_record> get(const std::string& manifest_hex);
  void put(const image_record& record);
  void remove(const std::string& manifest_hex);
  void touch(const std::string& manifest_hex, std::int64_t now_ms);
  std::vector<image_record> all();
  std::string single(const char* sql, const std::string& key);
  void execute(const char* sql, const std::string& first, const std::string& second = {});
  void check_bound(const char* table, std::size_t most);
  std::vector<descriptor> missing_of(const image_record& record) const;

  std::string folder_;
  image_store_options options_;
  blob_store blobs_;
  layer_store layers_;
  std::shared_ptr<sqlite_file> file_;
  checksum_builder sums_;
};

/// The first column of the first row, "" if there is none.
std::string sqlite_image_store::single(const char* sql, const std::string& key) {
  SQLite::Statement row(file_->db(), sql);
  row.bind(1, key);
  return row.executeStep() ? std::string(column_bytes(row, 0)) : std::string{};
}

void sqlite_image_store::execute(const char* sql, const std::string& first, const std::string& second) {
  SQLite::Statement statement(file_->db(), sql);
  statement.bind(1, first);
  if (statement.getBindParameterCount() > 1)
    statement.bind(2, second);
  run(statement);
}

void sqlite_image_store::check_bound(const char* table, std::size_t most) {
  const auto rows = file_->db().execAndGet(std::string("SELECT count(*) FROM ") + table).getInt64();
  if (static_cast<std::uint64_t>(rows) > most)
    fail(storage_errc::refused, "this host has " + std::to_string(most) + " entries of kind '" + table +
                                    "' in its table of images, the most there can be; remove what is not needed");
}

std::optional<image_record> sqlite_image_store::get(const std::string& manifest_hex) {
  SQLite::Statement row(file_->db(), "SELECT record, sum FROM image WHERE manifest=?");
  row.bind(1, manifest_hex);
  if (!row.executeStep())
    return std::nullopt;
  const auto bytes = column_bytes(row, 0);
  image_record record;
  if (as_bytes(sums_.begin().add(manifest_hex).add(bytes).finish()) != column_bytes(row, 1) ||
      !from_bytes(bytes, record))
    throw storage_failure{file_->damage("the checksum of the record of image " + manifest_hex + " is wrong")};
  return record;
}

void sqlite_image_store::put(const image_record& record) {
  SQLite::Statement statement(file_->db(), "INSERT OR REPLACE INTO image VALUES(?,?,?)");
  const auto bytes = to_bytes(record);
  const auto sum = sums_.begin().add(record.manifest.hex).add(bytes).finish();
  statement.bind(1, record.manifest.hex);
  bind_blob(statement, 2, bytes);
  bind_blob(statement, 3, as_bytes(sum));
  run(statement);
}

void sqlite_image_store::remove(const std::string& manifest_hex) {
  execute("DELETE FROM name WHERE manifest=?", manifest_hex);
  execute("DELETE FROM image WHERE manifest=?", manifest_hex);
}

void sqlite_image_store::touch(const std::string& manifest_hex, std::int64_t now_ms) {
  if (auto record = get(manifest_hex)) {
    record->last_used_at_ms = std::max(record->last_used_at_ms, now_ms);
    put(*record);
  }
}

std::vector<image_record> sqlite_image_store::all() {
  std::vector<std::string> names;
  SQLite::Statement rows(file_->db(), "SELECT manifest FROM image ORDER BY manifest");
  while (rows.executeStep())
    names.emplace_back(column_bytes(rows, 0));
  std::vector<image_record> records;
  for (const auto& name : names)
    if (auto record = get(name))
      records.push_back(std::move(*record));
  return records;
}

std::vector<descriptor> sqlite_image_store::missing_of(const image_record& record) const {
  std::vector<descriptor> absent;
  for (const auto& blob : record.blobs) {
    const auto size = blobs_.size(blob.digest);
    if (!size || *size != blob.size)
      absent.push_back(blob);
  }
  return absent;
}

result<void> sqlite_image_store::add(const image_record& record, const std::vector<image_reference>& names) {
  if (record.manifest.hex.empty() || record.blobs.empty())
    return storage_error{storage_errc::invalid_argument, "an image's record needs its digest and its blobs"};
  if (const auto absent = missing_of(record); !absent.empty())
    return storage_error{storage_errc::not_found, "the image cannot be added: its blob " +
                                                      absent.front().digest.text() + " is not on this host"};
  return file_->transact("write to", [&] {
    auto stored = record;
    if (const auto known = get(record.manifest.hex)) {
      stored.added_at_ms = known->added_at_ms;
      stored.last_used_at_ms = std::max(known->last_used_at_ms, record.last_used_at_ms);
    }
    put(stored);
    for (const auto& name : names)
      for (const auto& row : rows_of(name))
        execute("INSERT OR REPLACE INTO name VALUES(?,?)", row, record.manifest.hex);
    check_bound("image", max_images);
    check_bound("name", max_names);
  });
}

result<image_record> sqlite_image_store::find(const image_reference& reference) {
  auto found = file_->guarded("read", [&] {
    if (reference.is_pinned()) {
      if (auto record = get(reference.pinned.hex))
        return record;
      return get(single("SELECT manifest FROM name WHERE name=?", rows_of(reference).back()));
    }
    return get(single("SELECT manifest FROM name WHERE name=?", rows_of(reference).front()));
  });
  if (!found)
    return found.error();
  if (!*found)
    return no_such_image(reference.text());
  return std::move(**found);
}

result<image_record> sqlite_image_store::find(const digest& manifest) {
  auto found = file_->guarded("read", [&] { return get(manifest.hex); });
  if (!found)
    return found.error();
  if (!*found)
    return no_such_image(manifest.text());
  return std::move(**found);
}

result<image_documents> sqlite_image_store::documents(const digest& manifest) {
  if (auto known = find(manifest); !known)
    return known.error();
  auto bytes = blobs_.read_document(manifest);
  if (!bytes)
    return bytes.error();
  auto read = read_manifest(*bytes);
  if (!read)
    return read.error();
  auto* found = std::get_if<image_manifest>(&*read);
  if (found == nullptr)
    return storage_error{storage_errc::malformed, manifest.text() + " is an index and no image; pull the image again"};
  auto text = blobs_.read_document(found->config.digest);
  if (!text)
    return text.error();
  auto config = read_config(*text);
  if (!config)
    return config.error();
  return image_documents{std::move(*found), std::move(*config)};
}

result<std::vector<descriptor>> sqlite_image_store::missing(const digest& manifest) {
  auto record = find(manifest);
  if (!record)
    return record.error();
  return missing_of(*record);
}

result<std::vector<image_view>> sqlite_image_store::list() {
  auto parts = layers_.list();
  if (!parts)
    return parts.error();
  std::map<digest, std::uint64_t> layer_bytes;
  for (const auto& part : *parts)
    layer_bytes[part.name] = part.bytes;
  return file_->guarded("read", [&] {
    std::map<std::string, std::vector<std::string>> names, holders;
    for (auto [sql, into] : {std::pair{"SELECT manifest, name FROM name ORDER BY name", &names},
                             std::pair{"SELECT manifest, holder FROM holder ORDER BY holder", &holders}}) {
      SQLite::Statement rows(file_->db(), sql);
      while (rows.executeStep())
        (*into)[std::string(column_bytes(rows, 0))].emplace_back(column_bytes(rows, 1));
    }
    std::vector<image_view> views;
    for (const auto& record : all()) {
      image_view view;
      view.manifest = record.manifest;
      view.names = names[record.manifest.hex];
      view.holders = holders[record.manifest.hex];
      view.platform = record.platform;
      view.source = record.source;
      view.complete = missing_of(record).empty();
      view.unpacked = true;
      view.added_at_ms = record.added_at_ms;
      view.last_used_at_ms = record.last_used_at_ms;
      for (const auto& blob : record.blobs)
        view.bytes += blob.size;
      for (const auto& chain_id : chain_ids(record.diff_ids)) {
        view.unpacked = view.unpacked && layer_bytes.count(chain_id) != 0;
        view.layer_bytes += layer_bytes[chain_id];
      }
      views.push_back(std::move(view));
    }
    return views;
  });
}

result<void> sqlite_image_store::hold(const std::string& holder, const digest& manifest, std::int64_t now_ms) {
  if (holder.empty())
    return storage_error{storage_errc::invalid_argument, "who holds an image needs a name"};
  return file_->transact("write to", [&] {
    if (!get(manifest.hex))
      throw storage_failure{no_such_image(manifest.text())};
    execute("INSERT OR REPLACE INTO holder VALUES(?,?)", holder, manifest.hex);
    check_bound("holder", max_holders);
    touch(manifest.hex, now_ms);
  });
}

result<void> sqlite_image_store::release(const std::string& holder, std::int64_t now_ms) {
  return file_->transact("write to", [&] {
    const auto held = single("SELECT manifest FROM holder WHERE holder=?", holder);
    execute("DELETE FROM holder WHERE holder=?", holder);
    touch(held, now_ms);
  });
}

result<disk_room> sqlite_image_store::room() const {
  struct statvfs status {};
  if (::statvfs(folder_.c_str(), &status) != 0)
    return os_error(errno, "look at the file system of " + folder_);
  return disk_room{std::uint64_t{status.f_bavail} * status.f_frsize, std::uint64_t{status.f_blocks} * status.f_frsize};
}

result<void> sqlite_image_store::admit(std::uint64_t bytes) const {
  const auto there = room();
  if (!there)
    return there.error();
  if (there->free_bytes >= options_.reserve_bytes && there->free_bytes - options_.reserve_bytes >= bytes)
    return {};
  const auto shown = [](std::uint64_t x) { return config::shown_bytes(static_cast<std::int64_t>(std::min(x, std::uint64_t{1} << 62))); };
  return storage_error{storage_errc::disk_full,
                       (bytes == 0 ? "there is no room for more of the image: of" : "the image needs " + shown(bytes) + ", and of") +
                           " the " + shown(there->free_bytes) + " that are free in " + folder_ +
                           (there->free_bytes <= options_.reserve_bytes
                              ? " all are kept free (the last " + shown(options_.reserve_bytes) + " are)"
                              : " the last " + shown(options_.reserve_bytes) + " are kept free") +
                           "; free some space on that file system (images that nobody needs go by themselves)"};
}

result<std::uint64_t> sqlite_image_store::left() const {
  const auto there = room();
  if (!there)
    return there.error();
  return there->free_bytes - std::min(there->free_bytes, options_.reserve_bytes);
}

result<void> sqlite_image_store::forget(const digest& manifest) {
  return file_->transact("write to", [&] {
    const auto holder = single("SELECT holder FROM holder WHERE manifest=? LIMIT 1", manifest.hex);
    if (!holder.empty())
      throw storage_failure{{storage_errc::refused, holder + " uses the image " + manifest.text() + "; stop it first"}};
    remove(manifest.hex);
  });
}

result<store_contents> sqlite_image_store::contents() {
  store_contents found;
  auto blobs = blobs_.list();
  auto partial = blobs_.list_partial();
  auto layers = layers_.list();
  if (!blobs || !partial || !layers)
    return !blobs ? blobs.error() : !partial ? partial.error() : layers.error();
  found.blobs = std::move(*blobs);
  found.partial = std::move(*partial);
  found.layers = std::move(*layers);
  return file_->guarded("read", [&] {
    for (const auto& record : all()) {
      collectable_image image;
      image.manifest = record.manifest;
      for (const auto& blob : record.blobs)
        image.blobs.push_back(blob.digest);
      image.chain = chain_ids(record.diff_ids);
      image.last_used_at_ms = record.last_used_at_ms;
      image.held = !single("SELECT holder FROM holder WHERE manifest=? LIMIT 1", record.manifest.hex).empty();
      found.images.push_back(std::move(image));
    }
    return found;
  });
}

result<collection> sqlite_image_store::collect(std::uint64_t bytes, const std::set<digest>& wanted,
                                               std::int64_t now_ms) {
  if (bytes == 0)
    return collection{};
  auto found = contents();
  if (!found)
    return found.error();
  auto plan = plan_collection(*found, wanted, bytes, now_ms, options_.collecting);
  // The rows go first: after a crash behind this, what is left belongs to no image and goes with the next collection.
  auto done = file_->transact("write to", [&] {
    for (const auto& image : plan.images)
      remove(image.hex);
  });
  for (const auto& layer : plan.layers)
    if (done)
      done = layers_.remove(layer);
  for (const auto& blob : plan.blobs)
    if (done)
      done = blobs_.remove(blob);
  if (!done)
    return done.error();
  return plan;
}

} // namespace

result<std::unique_ptr<image_store>> open_image_store(const std::string& folder, const image_store_options& options) {
  auto blobs = blob_store::open(folder);
  if (!blobs)
    return blobs.error();
  // The database is locked before anything is cleaned up: another agent's pull must not be taken for a leftover.
  auto opened = sqlite_file::open(folder + "/images.db", options_for(options.owner));
  if (!opened)
    return opened.error();
  auto layers = layer_store::open(folder);
  if (!layers)
    return layers.error();
  if (auto kept = salvage_staging(folder + "/staging", *blobs); !kept)
    return kept.error();
  return std::unique_ptr<image_store>(std::make_unique<sqlite_image_store>(
      folder, options, std::move(*blobs), std::move(*layers), std::shared_ptr<sqlite_file>(std::move(*opened))));
}

} // namespace prunella::storage
