#include "tests/storage/images/image_builder.hpp"

#include <filesystem>
#include <random>
#include <stdexcept>

#include "tests/storage/damage.hpp"
#include "tests/storage/outcome.hpp"

namespace prunella::tests {

namespace {

la_ssize_t append(archive*, void* out, const void* bytes, std::size_t size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(bytes), size);
  return static_cast<la_ssize_t>(size);
}

void add_filter(archive* made, packing how) {
  if (how == packing::gzip) {
    archive_write_add_filter_gzip(made);
    archive_write_set_filter_option(made, "gzip", "timestamp", nullptr); // equal layers are equal bytes, whatever the second
  }
  if (how == packing::zstd)
    archive_write_add_filter_zstd(made);
}

std::string json_descriptor(const std::string& type, const std::string& bytes) {
  return R"({"mediaType":")" + type + R"(","digest":")" + storage::digest_of(bytes).text() + R"(","size":)" +
         std::to_string(bytes.size()) + "}";
}

std::string blob_path(const std::string& folder, const std::string& bytes) {
  return folder + "/blobs/sha256/" + storage::digest_of(bytes).hex;
}

} // namespace

std::string noise(std::size_t size, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  for (auto& byte : bytes)
    byte = static_cast<char>(random());
  return bytes;
}

tar_builder::tar_builder(packing how) : tar_(archive_write_new()) {
  archive_write_set_format_pax(tar_.get());
  add_filter(tar_.get(), how);
  archive_write_set_bytes_in_last_block(tar_.get(), 1);
  if (archive_write_open(tar_.get(), out_.get(), nullptr, append, nullptr) != ARCHIVE_OK)
    throw std::runtime_error(archive_error_string(tar_.get()));
}

void tar_builder::put(archive_entry* made, const std::string& text) {
  const std::unique_ptr<archive_entry, void (*)(archive_entry*)> owned(made, archive_entry_free);
  if (archive_write_header(tar_.get(), made) < ARCHIVE_WARN ||
      archive_write_data(tar_.get(), text.data(), text.size()) < 0)
    throw std::runtime_error(archive_error_string(tar_.get()));
}

tar_builder& tar_builder::file(const std::string& path, const std::string& text, int mode) {
  auto* made = archive_entry_new();
  archive_entry_set_pathname(made, path.c_str());
  archive_entry_set_filetype(made, AE_IFREG);
  archive_entry_set_perm(made, static_cast<mode_t>(mode));
  archive_entry_set_size(made, static_cast<la_int64_t>(text.size()));
  archive_entry_set_mtime(made, 1'600'000'000, 0);
  put(made, text);
  return *this;
}

tar_builder& tar_builder::entry(const std::string& path, unsigned type,
                                const std::function<void(archive_entry*)>& change) {
  auto* made = archive_entry_new();
  archive_entry_set_pathname(made, path.c_str());
  archive_entry_set_filetype(made, type);
  archive_entry_set_perm(made, 0755);
  archive_entry_set_mtime(made, 1'600'000'000, 0);
  if (change)
    change(made);
  put(made, {});
  return *this;
}

tar_builder& tar_builder::folder(const std::string& path, int mode) {
  return entry(path + "/", AE_IFDIR,
               [&](archive_entry* made) { archive_entry_set_perm(made, static_cast<mode_t>(mode)); });
}

tar_builder& tar_builder::symlink(const std::string& path, const std::string& target) {
  return entry(path, AE_IFLNK, [&](archive_entry* made) { archive_entry_set_symlink(made, target.c_str()); });
}

tar_builder& tar_builder::hardlink(const std::string& path, const std::string& target) {
  return entry(path, AE_IFREG, [&](archive_entry* made) { archive_entry_set_hardlink(made, target.c_str()); });
}

std::string tar_builder::bytes() {
  if (archive_write_close(tar_.get()) != ARCHIVE_OK)
    throw std::runtime_error(archive_error_string(tar_.get()));
  return *out_;
}

std::string packed(const std::string& bytes, packing how) {
  if (how == packing::plain)
    return bytes;
  std::string out;
  auto* made = archive_write_new();
  archive_write_set_format_raw(made);
  add_filter(made, how);
  archive_write_set_bytes_in_last_block(made, 1);
  auto* entry = archive_entry_new();
  archive_entry_set_filetype(entry, AE_IFREG);
  const bool good = archive_write_open(made, &out, nullptr, append, nullptr) == ARCHIVE_OK &&
                    archive_write_header(made, entry) == ARCHIVE_OK &&
                    archive_write_data(made, bytes.data(), bytes.size()) >= 0 &&
                    archive_write_close(made) == ARCHIVE_OK;
  archive_entry_free(entry);
  archive_write_free(made);
  if (!good)
    throw std::runtime_error("libarchive cannot compress");
  return out;
}

storage::descriptor descriptor_of(const std::string& bytes, const std::string& media_type) {
  return {media_type, storage::digest_of(bytes), bytes.size()};
}

test_image::test_image(const std::vector<std::string>& tars, packing how)
    : architecture(storage::this_platform().architecture) {
  for (const auto& tar : tars) {
    layers.push_back(packed(tar, how));
    diff_ids.push_back(storage::digest_of(tar).text());
  }
}

std::string test_image::config() const {
  std::string ids;
  for (const auto& id : diff_ids)
    ids += (ids.empty() ? "\"" : ",\"") + id + "\"";
  return R"({"architecture":")" + architecture + R"(","os":"linux","config":{)" + config_members +
         R"(},"rootfs":{"type":"layers","diff_ids":[)" + ids + "]}}";
}

std::string test_image::manifest() const {
  std::string list;
  for (const auto& layer : layers)
    list += (list.empty() ? "" : ",") + json_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", layer);
  return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":)" +
         json_descriptor("application/vnd.oci.image.config.v1+json", config()) + R"(,"layers":[)" + list + "]}";
}

void test_image::add_to(storage::image_store& store, const std::string& name, std::int64_t now_ms) const {
  storage::image_record record;
  record.manifest = digest();
  record.platform = storage::this_platform();
  record.source = "folder of a test";
  record.added_at_ms = record.last_used_at_ms = now_ms;
  std::vector<std::string> blobs{manifest(), config()};
  blobs.insert(blobs.end(), layers.begin(), layers.end());
  for (const auto& blob : blobs) {
    must(store.blobs().put(descriptor_of(blob), blob));
    record.blobs.push_back(descriptor_of(blob));
  }
  for (const auto& id : diff_ids)
    record.diff_ids.push_back(must(storage::parse_digest(id)));
  must(store.add(record, {must(storage::parse_reference(name))}));
}

void test_image::write_layout(const std::string& folder, const std::string& tag) const {
  std::filesystem::create_directories(folder + "/blobs/sha256");
  write_bytes(folder + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})");
  std::vector<std::string> blobs{manifest(), config()};
  blobs.insert(blobs.end(), layers.begin(), layers.end());
  for (const auto& blob : blobs)
    write_bytes(blob_path(folder, blob), blob);
  auto entry = json_descriptor("application/vnd.oci.image.manifest.v1+json", manifest());
  entry.insert(entry.size() - 1, R"(,"annotations":{"org.opencontainers.image.ref.name":")" + tag + "\"}");
  write_bytes(folder + "/index.json", R"({"schemaVersion":2,"manifests":[)" + entry + "]}");
}

} // namespace prunella::tests
