#include "storage/images/import.hpp"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "config/json.hpp"

namespace prunella::storage {

namespace {

constexpr std::size_t max_marker_bytes = 4096;
constexpr std::string_view ref_name_index = "application/vnd.oci.image.index.v1+json";
constexpr std::string_view docker_list = "application/vnd.docker.distribution.manifest.list.v2+json";

/// Counts what is in the store, tells it, and learns whether to go on.
class progress_teller {
public:
  progress_teller(const import_options& options, std::uint64_t total) : options_(options) { now_.bytes_total = total; }

  result<void> add(std::uint64_t bytes) {
    now_.bytes_done += bytes;
    if (!options_.progress || options_.progress(now_))
      return {};
    return storage_error{storage_errc::unreachable,
                         "the import was ended on request; what had arrived whole is kept for the next one"};
  }

private:
  const import_options& options_;
  import_progress now_;
};

std::uint64_t missing_bytes(const blob_store& blobs, const image_manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const auto& layer : manifest.layers)
    bytes += blobs.contains(layer.digest) ? 0 : layer.size;
  return bytes;
}

result<void> fetch_missing(blob_store& blobs, const descriptor& blob, const blob_fetcher& fetch) {
  if (blobs.contains(blob.digest))
    return {};
  if (auto fetched = fetch(blobs, blob); !fetched)
    return fetched;
  if (blobs.contains(blob.digest))
    return {};
  return storage_error{storage_errc::not_found, "the source of the image did not give its blob " + blob.digest.text() +
                                                    "; push or export the image again"};
}

image_record record_of(const std::string& manifest_bytes, const image_manifest& manifest, const image_config& config,
                       const import_options& options) {
  image_record record;
  record.manifest = digest_of(manifest_bytes);
  record.blobs = {{manifest.media_type, record.manifest, manifest_bytes.size()}, manifest.config};
  record.blobs.insert(record.blobs.end(), manifest.layers.begin(), manifest.layers.end());
  record.diff_ids = config.diff_ids;
  record.platform = config.platform;
  record.source = options.source;
  record.added_at_ms = record.last_used_at_ms = options.now_ms;
  return record;
}

/// A document of a layout folder, verified by its digest.
result<std::string> read_staged(const std::string& folder, const descriptor& named) {
  const auto path = folder + "/blobs/sha256/" + named.digest.hex;
  if (!file_exists(path))
    return storage_error{storage_errc::not_found, "the image in " + folder + " is incomplete: there is no " + path +
                                                      "; export or copy it again"};
  if (auto verified = verify_file(path, named); !verified)
    return verified.error();
  return read_small_file(path, max_document_bytes);
}

result<void> check_layout(const std::string& folder) {
  const auto marker = folder + "/oci-layout";
  if (!file_exists(marker))
    return storage_error{storage_errc::not_found, folder + " is no OCI layout: it has no file `oci-layout`; give the "
                                                           "folder that `skopeo copy … oci:FOLDER` made"};
  auto text = read_small_file(marker, max_marker_bytes);
  if (!text)
    return text.error();
  const auto parsed = config::parse_json(*text);
  const auto* object = parsed.value.if_object();
  const auto* version = object == nullptr ? nullptr : object->if_contains("imageLayoutVersion");
  if (version == nullptr || !version->is_string())
    return storage_error{storage_errc::malformed,
                         marker + " does not say `imageLayoutVersion`; export the image again"};
  if (version->get_string() != "1.0.0")
    return storage_error{storage_errc::unsupported,
                         marker + " says version " + config::json_text(*version) + "; only version 1.0.0 can be read"};
  return {};
}

bool is_index(const descriptor& named) {
  return named.media_type == ref_name_index || named.media_type == docker_list;
}

/// From the entry of a layout's index, through at most one more index, to the bytes of an image's manifest.
result<std::string> manifest_of(const std::string& folder, const descriptor& named, const platform& wanted) {
  auto bytes = read_staged(folder, named);
  if (!bytes || !is_index(named))
    return bytes;
  auto read = read_manifest(*bytes, named.media_type);
  if (!read)
    return read.error();
  auto chosen = choose(std::get<image_index>(*read), wanted);
  if (!chosen)
    return chosen.error();
  return read_staged(folder, chosen->manifest);
}

} // namespace

result<image_record> store_image(image_store& store, const std::string& manifest_bytes, const blob_fetcher& fetch,
                                 const std::vector<image_reference>& names, const import_options& options) {
  auto read = read_manifest(manifest_bytes);
  if (!read)
    return read.error();
  const auto* manifest = std::get_if<image_manifest>(&*read);
  if (manifest == nullptr)
    return storage_error{storage_errc::malformed, "an index lists an index where an image should be; push it again"};
  auto& blobs = store.blobs();
  auto done = fetch_missing(blobs, manifest->config, fetch);
  if (!done)
    return done.error();
  auto text = blobs.read_document(manifest->config.digest);
  if (!text)
    return text.error();
  auto config = read_config(*text);
  if (!config)
    return config.error();
  // Before the long part: an image for another machine costs one small blob.
  done = check_image(*manifest, *config, options.wanted);
  if (done)
    done = store.admit(missing_bytes(blobs, *manifest));
  progress_teller progress(options, manifest->total_bytes());
  if (done)
    done = progress.add(manifest->config.size);
  for (const auto& layer : manifest->layers) {
    if (done)
      done = fetch_missing(blobs, layer, fetch);
    if (done)
      done = progress.add(layer.size);
  }
  const auto record = record_of(manifest_bytes, *manifest, *config, options);
  if (done)
    done = blobs.put(record.blobs.front(), manifest_bytes);
  if (done)
    done = store.add(record, names);
  if (!done)
    return done.error();
  return record;
}

result<index_entry> choose_tagged(const image_index& index, const std::string& tag, const platform& wanted) {
  image_index candidates;
  std::string tags;
  for (const auto& entry : index.entries) {
    if (tag.empty() || entry.name == tag)
      candidates.entries.push_back(entry);
    if (!entry.name.empty() && tags.size() < 400)
      tags += (tags.empty() ? "" : ", ") + entry.name;
  }
  if (candidates.entries.empty())
    return storage_error{
        storage_errc::not_found,
        (tag.empty() ? "there is no image in the layout" : "there is no image tagged '" + tag + "' in the layout") +
            (tags.empty() ? std::string("; export the image again") : "; it has: " + tags)};
  if (candidates.entries.size() == 1 &&
      (is_index(candidates.entries[0].manifest) || candidates.entries[0].platform.os.empty()))
    return candidates.entries.front();
  const bool by_platform = !candidates.entries.front().platform.os.empty();
  if (!by_platform)
    return storage_error{storage_errc::not_found, "the layout has " + std::to_string(candidates.entries.size()) +
                                                      " images, so it takes a tag to choose one" +
                                                      (tags.empty() ? "" : ": " + tags)};
  return choose(candidates, wanted);
}

result<image_record> import_layout(image_store& store, const std::string& folder, const std::string& tag,
                                   const image_reference& name, const import_options& options) {
  if (auto checked = check_layout(folder); !checked)
    return checked.error();
  auto text = read_small_file(folder + "/index.json", max_document_bytes);
  if (!text)
    return text.error();
  auto index = read_index(*text);
  if (!index)
    return index.error();
  auto entry = choose_tagged(*index, tag, options.wanted);
  if (!entry)
    return entry.error();
  auto manifest = manifest_of(folder, entry->manifest, options.wanted);
  if (!manifest)
    return manifest.error();
  // Someone who names a digest means exactly that image, wherever the bytes come from.
  if (name.is_pinned() && name.pinned != entry->manifest.digest && name.pinned != digest_of(*manifest))
    return storage_error{storage_errc::unverified, "the layout's image is " + entry->manifest.digest.text() +
                                                       " and not " + name.text() +
                                                       "; give the right tag, or the right folder"};
  const auto copy = [&](blob_store& blobs, const descriptor& blob) {
    return blobs.copy(blob, folder + "/blobs/sha256/" + blob.digest.hex);
  };
  return store_image(store, *manifest, copy, {name}, options);
}

} // namespace prunella::storage
