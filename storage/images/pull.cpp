#include "storage/images/pull.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <optional>
#include <unistd.h>

#include "storage/images/image_name.hpp"
#include "storage/images/skopeo.hpp"
#include "storage/images/tar_stream.hpp"
#include "storage/os_files.hpp"

namespace prunella::storage {

namespace {

constexpr int max_archive_entries = 100'000;

std::string at_registry(const image_reference& reference, const digest& exactly) {
  if (!exactly.hex.empty())
    return "docker://" + reference.name() + "@" + exactly.text();
  return "docker://" + reference.name() + ":" + reference.tag;
}

/// The image's manifest that a reference leads to, and the digest of what the reference named itself.
struct resolved {
  std::string manifest;
  digest named;
};

result<std::string> fetch_manifest(const skopeo_folder& folder, const image_reference& reference, const digest& exactly,
                                   const registry_access& access, const std::string& what) {
  auto bytes = inspect(folder, at_registry(reference, exactly), false, access, what);
  if (bytes && !exactly.hex.empty() && digest_of(*bytes) != exactly)
    return storage_error{storage_errc::unverified, what + ": the registry gave " + digest_of(*bytes).text() +
                                                       " instead of " + exactly.text() +
                                                       "; look at the registry, or at what lies between"};
  return bytes;
}

result<resolved> resolve(const skopeo_folder& folder, const image_reference& reference, const registry_access& access,
                         const platform& wanted, const std::string& what) {
  auto bytes = fetch_manifest(folder, reference, reference.pinned, access, what);
  if (!bytes)
    return bytes.error();
  resolved found{std::move(*bytes), {}};
  found.named = digest_of(found.manifest);
  auto read = read_manifest(found.manifest);
  if (!read)
    return read.error();
  if (const auto* index = std::get_if<image_index>(&*read)) {
    auto chosen = choose(*index, wanted);
    if (!chosen)
      return chosen.error();
    auto manifest = fetch_manifest(folder, reference, chosen->manifest.digest, access, what);
    if (!manifest)
      return manifest.error();
    found.manifest = std::move(*manifest);
  }
  return found;
}

std::vector<image_reference> names_of(const image_reference& reference, const digest& named) {
  auto with_digest = reference;
  with_digest.pinned = named;
  return {with_digest};
}

constexpr std::uint64_t document_allowance = std::uint64_t{16} << 20; ///< what skopeo brings beside layers, and rounds

/// Looks at what arrives while it does: a disk has an end, and a source may send more than it announced.
class arrival_watch {
public:
  /// `announced`: bytes that are to come, if somebody said.
  arrival_watch(const image_store& store, std::optional<std::uint64_t> announced, std::string what)
      : store_(store), announced_(announced), what_(std::move(what)) {}

  /// False: it has to end, and why is in `verdict`.
  bool operator()(std::uint64_t arrived) {
    if (announced_ && arrived > *announced_ + document_allowance)
      verdict_ = storage_error{storage_errc::unverified, what_ + ": " + std::to_string(arrived) + " bytes came where " +
                                                             std::to_string(*announced_) +
                                                             " were announced; look at the registry, or at what lies between"};
    else if (auto room = store_.admit(0); !room)
      verdict_ = storage_error{room.error().code, what_ + ": " + room.error().message};
    return verdict_.ok();
  }

  const result<void>& verdict() const { return verdict_; }

private:
  const image_store& store_;
  std::optional<std::uint64_t> announced_;
  std::string what_;
  result<void> verdict_;
};

/// Brings an image's blobs with one run of skopeo, at the first that is missing.
class registry_fetcher {
public:
  registry_fetcher(image_store& store, const image_reference& reference, const image_manifest& manifest,
                   const digest& name, const registry_access& access, const import_options& options, std::string what)
      : store_(store), reference_(reference), manifest_(manifest), name_(name), access_(access), options_(options),
        what_(std::move(what)) {}

  result<void> operator()(blob_store& blobs, const descriptor& blob) {
    const auto source = at_registry(reference_, name_);
    if (blob.digest == manifest_.config.digest)
      return fetch_config(blobs, blob, source);
    auto folder = skopeo_folder::make(store_, "pull-" + name_.hex, manifest_.layers);
    if (!folder)
      return folder.error();
    const auto total = manifest_.total_bytes();
    std::uint64_t there = manifest_.config.size;
    for (const auto& layer : manifest_.layers)
      there += blobs.contains(layer.digest) ? layer.size : 0;
    arrival_watch watch(store_, total - std::min(total, there), what_);
    const auto progress = [&](std::uint64_t bytes) {
      return watch(bytes) && (!options_.progress || options_.progress({std::min(total, there + bytes), total}));
    };
    auto done = copy_with_skopeo(*folder, source, access_, options_.wanted, what_, progress);
    if (!watch.verdict())
      return watch.verdict();
    for (const auto& layer : manifest_.layers)
      if (done && !blobs.contains(layer.digest))
        done = blobs.take(layer, folder->blob(layer.digest));
    if (done)
      folder->discard();
    return done;
  }

private:
  // Skopeo turns a Docker configuration into OCI's form when it copies, and the digest is lost: so it is fetched as it
  // is.
  result<void> fetch_config(blob_store& blobs, const descriptor& blob, const std::string& source) {
    auto folder = skopeo_folder::make(store_, "config-" + name_.hex, {});
    if (!folder)
      return folder.error();
    auto bytes = inspect(*folder, source, true, access_, what_);
    if (!bytes)
      return bytes.error();
    return blobs.put(blob, *bytes);
  }

  image_store& store_;
  const image_reference& reference_;
  const image_manifest& manifest_;
  digest name_;
  const registry_access& access_;
  const import_options& options_;
  std::string what_;
};

/// Which of skopeo's transports reads the archive: told by the files in it.
result<std::string> transport_of(const std::string& path) {
  if (!file_exists(path))
    return storage_error{storage_errc::not_found, "there is no archive " + path + "; check the path"};
  auto tar = tar_stream::open_archive(path);
  if (!tar)
    return tar.error();
  bool is_oci = false;
  bool is_docker = false;
  const auto seen = (*tar)->each_file(max_archive_entries, [&](const std::string& file) {
    is_oci = file == "oci-layout";
    is_docker = is_docker || file == "manifest.json";
    return !is_oci; // of an archive with both, that counts
  });
  if (!seen)
    return seen.error();
  if (is_oci)
    return std::string("oci-archive:");
  if (is_docker)
    return std::string("docker-archive:");
  return no_image_in(path);
}

} // namespace

result<image_record> pull(image_store& store, const image_reference& reference, const registry_access& access,
                          const import_options& options) {
  const auto what = "cannot pull " + reference.text();
  resolved found;
  {
    auto folder = skopeo_folder::make(store, "manifest-" + digest_of(reference.text()).hex, {});
    if (!folder)
      return folder.error();
    auto answer = resolve(*folder, reference, access, options.wanted, what);
    if (!answer)
      return answer.error();
    found = std::move(*answer);
  }
  auto read = read_manifest(found.manifest);
  if (!read)
    return read.error();
  const auto* manifest = std::get_if<image_manifest>(&*read);
  if (manifest == nullptr)
    return storage_error{storage_errc::malformed, what + ": an index lists an index where an image should be"};
  auto described = options;
  if (described.source.empty())
    described.source = "registry " + reference.registry;
  // Skopeo brings all layers at once and the store takes them one by one: told is what arrived, and it never shrinks.
  if (options.progress)
    described.progress = [&, most = std::uint64_t{0}](const import_progress& now) mutable {
      most = std::max(most, now.bytes_done);
      return options.progress({most, now.bytes_total});
    };
  registry_fetcher fetch(store, reference, *manifest, digest_of(found.manifest), access, described, what);
  return store_image(store, found.manifest, std::ref(fetch), names_of(reference, found.named), described);
}

result<digest> look_up(image_store& store, const image_reference& reference, const registry_access& access) {
  auto folder = skopeo_folder::make(store, "tag-" + digest_of(reference.text()).hex, {});
  if (!folder)
    return folder.error();
  auto manifest = fetch_manifest(*folder, reference, {}, access, "cannot look up " + reference.text());
  if (!manifest)
    return manifest.error();
  return digest_of(*manifest);
}

result<image_record> import_archive(image_store& store, const std::string& path, const std::string& tag,
                                    const image_reference& name, const registry_access& access,
                                    const import_options& options) {
  auto transport = transport_of(path);
  if (!transport)
    return transport.error();
  auto folder = skopeo_folder::make(store, "archive-" + digest_of(path).hex, {});
  if (!folder)
    return folder.error();
  // Skopeo splits at colons, so it gets a path that has none.
  const auto link = folder->path() + "/home/archive";
  std::error_code error;
  std::filesystem::create_symlink(std::filesystem::absolute(path), link, error);
  if (error)
    return os_error(error.value(), "link " + path + " into " + folder->path());
  const auto what = "cannot import " + path;
  arrival_watch watch(store, std::nullopt, what);
  const auto progress = [&](std::uint64_t bytes) { return watch(bytes) && (!options.progress || options.progress({bytes, 0})); };
  auto copied = copy_with_skopeo(*folder, *transport + link + (tag.empty() ? "" : ":" + tag), access, options.wanted,
                                 what, progress);
  if (!watch.verdict())
    return watch.verdict().error();
  if (!copied)
    return copied.error();
  // Skopeo leaves the blobs beside the layout; put back, it is a layout like any other.
  std::filesystem::remove_all(folder->layout() + "/blobs", error);
  std::filesystem::create_directory_symlink(folder->path() + "/blobs", folder->layout() + "/blobs", error);
  if (error)
    return os_error(error.value(), "complete the layout " + folder->layout());
  auto described = options;
  if (described.source.empty())
    described.source = "archive " + path;
  auto imported = import_layout(store, folder->layout(), "image", name, described);
  if (imported)
    folder->discard();
  return imported;
}

} // namespace prunella::storage
