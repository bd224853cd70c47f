#include "storage/images/layer_store.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/os_files.hpp"

namespace prunella::storage {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t max_size_file = 64;

result<void> remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error)
    return os_error(error.value(), "remove " + path);
  return {};
}

/// Everything written so far on the file system of `folder` is on the disk: cheaper than to sync thousands of files.
result<void> sync_file_system(const std::string& folder) {
  unique_fd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd || ::syncfs(fd.get()) != 0)
    return os_error(errno, "sync the file system of " + folder);
  return {};
}

/// A folder `at` with an empty `diff` in it, as overlayfs wants its root. Not synced.
result<void> make_layer_folder(const std::string& at) {
  if (auto cleared = remove_tree(at); !cleared)
    return cleared;
  const auto diff = at + "/diff";
  if (::mkdir(at.c_str(), 0700) != 0 || ::mkdir(diff.c_str(), 0755) != 0 || ::chmod(diff.c_str(), 0755) != 0)
    return os_error(errno, "make the folder " + diff);
  return {};
}

/// How large it is, beside the layer: counted once. Not synced.
result<void> write_size(const std::string& at, std::uint64_t bytes) {
  const auto path = at + "/bytes";
  std::ofstream out(path);
  out << bytes << std::flush;
  return out.good() ? result<void>{} : os_error(errno, "write " + path);
}

} // namespace

result<layer_store> layer_store::open(const std::string& folder) {
  layer_store store(folder + "/layers", folder + "/trash");
  for (const auto& part : {store.layers_, store.trash_})
    if (auto made = make_folder(part); !made)
      return made.error();
  auto emptied = remove_tree(store.trash_);
  if (emptied)
    emptied = make_folder(store.trash_);
  if (!emptied)
    return emptied.error();
  return store;
}

bool layer_store::contains(const digest& chain_id) const {
  return file_exists(path(chain_id));
}

result<std::vector<std::string>> layer_store::stack(const std::vector<digest>& diff_ids) const {
  std::vector<std::string> folders;
  for (const auto& chain_id : chain_ids(diff_ids)) {
    if (!contains(chain_id))
      return storage_error{storage_errc::not_found, "layer " + std::to_string(folders.size() + 1) +
                                                        " of the image is not unpacked on this host (" +
                                                        chain_id.text() + "); prepare the image first"};
    folders.insert(folders.begin(), path(chain_id));
  }
  return folders;
}

result<void> layer_store::unpack(const image_manifest& manifest, const image_config& config, blob_store& blobs,
                                 const std::string& staging, unpack_limits limits) {
  const auto chain = chain_ids(config.diff_ids);
  if (chain.size() != manifest.layers.size())
    return storage_error{storage_errc::invalid_argument, "manifest and configuration are not of one image"};
  std::vector<std::string> lower;
  std::vector<staged_layer> staged;
  result<void> done;
  for (std::size_t n = 0; done && n < chain.size(); ++n) {
    if (contains(chain[n])) {
      lower.insert(lower.begin(), path(chain[n]));
      continue;
    }
    const auto& blob = manifest.layers[n];
    const staged_layer layer{chain[n], staging + "/layer-" + chain[n].hex};
    const auto unpacked = unpack_one(blob, config.diff_ids[n], lower, layer.folder, blobs, limits);
    if (unpacked) {
      limits.room -= *unpacked;
      lower.insert(lower.begin(), layer.folder + "/diff");
      staged.push_back(layer);
    } else {
      done = unpacked.error();
      static_cast<void>(remove_tree(layer.folder)); // the first error matters; the next open cleans up as well
    }
  }
  auto published = publish(staged, staging);
  return done ? published : done;
}

result<std::uint64_t> layer_store::unpack_one(const descriptor& blob, const digest& diff_id,
                                     const std::vector<std::string>& lower, const std::string& folder,
                                     blob_store& blobs, const unpack_limits& limits) const {
  if (auto there = blobs.size(blob.digest); !there)
    return there.error();
  if (auto made = make_layer_folder(folder); !made)
    return made.error();
  auto unpacked = unpack_layer(blobs.path(blob.digest), blob, diff_id, lower, folder + "/diff", limits);
  if (!unpacked)
    return explain(unpacked.error(), blob, blobs);
  if (auto written = write_size(folder, unpacked->bytes); !written)
    return written.error();
  return unpacked->bytes;
}

/// One sync for all of them: it writes whatever the machine has not written yet, which takes its time on a slow card.
result<void> layer_store::publish(const std::vector<staged_layer>& staged, const std::string& staging) const {
  if (staged.empty())
    return {};
  if (auto synced = sync_file_system(staging); !synced)
    return synced;
  for (const auto& layer : staged)
    if (::rename(layer.folder.c_str(), (layers_ + "/" + layer.chain_id.hex).c_str()) != 0)
      return os_error(errno, "move " + layer.folder + " into " + layers_);
  return sync_folder(layers_);
}

storage_error layer_store::explain(const storage_error& failed, const descriptor& blob, blob_store& blobs) const {
  if (failed.code != storage_errc::unverified && failed.code != storage_errc::malformed)
    return failed;
  // Was the image built like that, or has the disk changed it since?
  auto verified = verify_file(blobs.path(blob.digest), blob);
  if (verified || verified.error().code != storage_errc::unverified)
    return failed;
  if (auto removed = blobs.remove(blob.digest); !removed)
    return removed.error();
  return {storage_errc::damaged,
          "the blob " + blob.digest.text() +
              " has changed on the disk, so it was removed; pull the image again, and look at the "
              "disk's health (`dmesg`)"};
}

result<void> layer_store::remove(const digest& chain_id) {
  const auto from = layers_ + "/" + chain_id.hex;
  const auto to = trash_ + "/" + chain_id.hex;
  if (auto cleared = remove_tree(to); !cleared)
    return cleared;
  if (::rename(from.c_str(), to.c_str()) != 0)
    return errno == ENOENT ? result<void>{} : os_error(errno, "move " + from + " into " + trash_);
  return remove_tree(to);
}

result<std::vector<stored_part>> layer_store::list() const {
  std::vector<stored_part> parts;
  std::error_code error;
  for (fs::directory_iterator entry(layers_, error), end; !error && entry != end; entry.increment(error)) {
    auto name = parse_digest_hex(entry->path().filename().string());
    struct stat status {};
    if (!name || ::lstat(entry->path().c_str(), &status) != 0)
      continue;
    auto text = read_small_file(entry->path().string() + "/bytes", max_size_file);
    const auto bytes = text ? std::strtoull(text->c_str(), nullptr, 10) : 0;
    parts.push_back({std::move(*name), bytes, static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1000});
  }
  if (error)
    return os_error(error.value(), "list the folder " + layers_);
  std::sort(parts.begin(), parts.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  return parts;
}

} // namespace prunella::storage
