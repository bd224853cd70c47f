#pragma once

// Which images, layers and blobs go when the disk gets tight. Pure: `plan_collection` decides on data, the image store
// applies.

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "storage/images/blob_store.hpp"
#include "storage/images/digest.hpp"

namespace prunella::storage {

/// An image of the store, as far as collecting is concerned.
struct collectable_image {
  digest manifest;
  std::vector<digest> blobs; ///< manifest, configuration, layers
  std::vector<digest> chain; ///< its unpacked layers
  std::int64_t last_used_at_ms = 0;
  bool held = false; ///< an instance on this host uses it

  PRUNELLA_FIELDS(collectable_image, manifest, blobs, chain, last_used_at_ms, held)
};

struct store_contents {
  std::vector<collectable_image> images;
  std::vector<stored_part> blobs;
  std::vector<stored_part> partial;
  std::vector<stored_part> layers;

  PRUNELLA_FIELDS(store_contents, images, blobs, partial, layers)
};

/// Space on the file system of the store.
struct disk_room {
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;

  PRUNELLA_FIELDS(disk_room, free_bytes, total_bytes)
};

struct collect_options {
  /// Below this share of free space the disk is under pressure; it is then freed up to the second. Percent.
  std::uint32_t start_below_percent = 15;
  std::uint32_t stop_at_percent = 20;
  /// What belongs to no image may belong to a pull under way, so it is left alone for so long.
  std::int64_t leave_unreferenced_ms = 60 * 60 * 1000;
};

struct collection {
  std::vector<digest> images;
  std::vector<digest> layers;
  std::vector<digest> blobs; ///< whole and partial ones
  std::uint64_t freed_bytes = 0;
  std::uint64_t asked_bytes = 0;
  /// For people, when not enough can be freed: what holds the rest.
  std::string shortage;

  bool empty() const { return images.empty() && layers.empty() && blobs.empty(); }

  PRUNELLA_FIELDS(collection, images, layers, blobs, freed_bytes, asked_bytes, shortage)
};

/// How many bytes to free: 0 unless the free share is below `start_below_percent`.
std::uint64_t bytes_to_free(const disk_room& room, const collect_options& options);

/// Decides what to remove to free `bytes_to_free`; nothing at all for 0. First what belongs to no image and was not
/// touched for `leave_unreferenced_ms`, oldest first. Then whole images: never one that is held or in `wanted` (running
/// and rollback versions), oldest use first; of such an image only what no other image shares. Ends as soon as enough
/// is found. Equal ages are ordered by digest, so every run decides the same.
collection plan_collection(const store_contents& contents, const std::set<digest>& wanted, std::uint64_t bytes_to_free,
                           std::int64_t now_ms, const collect_options& options);

} // namespace prunella::storage
