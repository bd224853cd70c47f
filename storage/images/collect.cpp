#include "storage/images/collect.hpp"

#include <algorithm>
#include <map>
#include <tuple>

namespace prunella::storage {

namespace {

using counts = std::map<digest, std::size_t>;

/// An image that names a blob twice uses it once.
std::set<digest> unique(const std::vector<digest>& names) {
  return {names.begin(), names.end()};
}

std::map<digest, std::uint64_t> sizes(const std::vector<stored_part>& parts) {
  std::map<digest, std::uint64_t> found;
  for (const auto& part : parts)
    found[part.name] += part.bytes;
  return found;
}

/// The plan while it is made: what is still referenced how often, and what was chosen so far.
class chooser {
public:
  chooser(const store_contents& contents, std::uint64_t asked)
      : blob_bytes_(sizes(contents.blobs)), layer_bytes_(sizes(contents.layers)) {
    chosen_.asked_bytes = asked;
    for (const auto& part : contents.partial)
      blob_bytes_[part.name] += part.bytes;
    for (const auto& image : contents.images) {
      for (const auto& name : unique(image.blobs))
        ++blob_users_[name];
      for (const auto& name : unique(image.chain))
        ++layer_users_[name];
    }
  }

  bool enough() const { return chosen_.freed_bytes >= chosen_.asked_bytes; }

  /// What no image uses, old enough, oldest first.
  void take_unreferenced(const store_contents& contents, std::int64_t before_ms) {
    struct stray {
      std::int64_t changed_at_ms;
      bool is_layer;
      digest name;
    };
    std::vector<stray> strays;
    for (const auto* parts : {&contents.blobs, &contents.partial})
      for (const auto& part : *parts)
        if (part.changed_at_ms <= before_ms && blob_users_.count(part.name) == 0)
          strays.push_back({part.changed_at_ms, false, part.name});
    for (const auto& part : contents.layers)
      if (part.changed_at_ms <= before_ms && layer_users_.count(part.name) == 0)
        strays.push_back({part.changed_at_ms, true, part.name});
    std::sort(strays.begin(), strays.end(), [](const stray& a, const stray& b) {
      return std::tie(a.changed_at_ms, a.is_layer, a.name) < std::tie(b.changed_at_ms, b.is_layer, b.name);
    });
    for (const auto& found : strays)
      if (!enough())
        take(found.is_layer ? layer_bytes_ : blob_bytes_, found.name, found.is_layer ? chosen_.layers : chosen_.blobs);
  }

  void take_image(const collectable_image& image) {
    chosen_.images.push_back(image.manifest);
    release(unique(image.chain), layer_users_, layer_bytes_, chosen_.layers);
    release(unique(image.blobs), blob_users_, blob_bytes_, chosen_.blobs);
  }

  collection finish(std::size_t kept_images) {
    if (!enough())
      chosen_.shortage =
          "only " + std::to_string(chosen_.freed_bytes) + " of " + std::to_string(chosen_.asked_bytes) +
          " bytes can be freed: the other " + std::to_string(kept_images) +
          " images are needed by running or rollback versions; free space elsewhere on that file system, "
          "or keep fewer versions";
    return std::move(chosen_);
  }

private:
  void take(std::map<digest, std::uint64_t>& bytes, const digest& name, std::vector<digest>& into) {
    const auto found = bytes.find(name);
    if (found == bytes.end())
      return; // not on the disk, or chosen already (a blob with an old partial transfer)
    chosen_.freed_bytes += found->second;
    bytes.erase(found);
    into.push_back(name);
  }

  void release(const std::set<digest>& names, counts& users, std::map<digest, std::uint64_t>& bytes,
               std::vector<digest>& into) {
    for (const auto& name : names)
      if (--users[name] == 0)
        take(bytes, name, into);
  }

  std::map<digest, std::uint64_t> blob_bytes_, layer_bytes_;
  counts blob_users_, layer_users_;
  collection chosen_;
};

} // namespace

std::uint64_t bytes_to_free(const disk_room& room, const collect_options& options) {
  const auto share = [&](std::uint32_t percent) { return room.total_bytes / 100 * percent; };
  if (room.free_bytes >= share(options.start_below_percent))
    return 0;
  const auto aim = share(std::max(options.start_below_percent, options.stop_at_percent));
  return aim - room.free_bytes;
}

collection plan_collection(const store_contents& contents, const std::set<digest>& wanted, std::uint64_t bytes_to_free,
                           std::int64_t now_ms, const collect_options& options) {
  if (bytes_to_free == 0)
    return {};
  chooser chooser(contents, bytes_to_free);
  chooser.take_unreferenced(contents, now_ms - options.leave_unreferenced_ms);
  std::vector<const collectable_image*> unused;
  for (const auto& image : contents.images)
    if (!image.held && wanted.count(image.manifest) == 0)
      unused.push_back(&image);
  std::sort(unused.begin(), unused.end(), [](const auto* a, const auto* b) {
    return std::tie(a->last_used_at_ms, a->manifest) < std::tie(b->last_used_at_ms, b->manifest);
  });
  for (const auto* image : unused)
    if (!chooser.enough())
      chooser.take_image(*image);
  return chooser.finish(contents.images.size() - unused.size());
}

} // namespace prunella::storage
