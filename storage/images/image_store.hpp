#pragma once

// The images on this host: which there are, under which names, who uses them. The bytes are in `blob_store` and
// `layer_store`; here is the small database beside them. One thread at a time.

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/fields.hpp"
#include "storage/errors.hpp"
#include "storage/images/blob_store.hpp"
#include "storage/images/collect.hpp"
#include "storage/images/documents.hpp"
#include "storage/images/layer_store.hpp"
#include "storage/images/reference.hpp"
#include "storage/site_database.hpp"

namespace prunella::storage {

/// Bounds of the store; more is `refused`.
inline constexpr std::size_t max_images = 1000;
inline constexpr std::size_t max_names = 10'000;
inline constexpr std::size_t max_holders = 10'000;

/// An image as it is stored. All its blobs were there and verified when it was added.
struct image_record {
  digest manifest;
  std::vector<descriptor> blobs; ///< manifest, configuration, layers
  std::vector<digest> diff_ids;
  storage::platform platform;
  std::string source; ///< where it came from, for people: `registry r.example`, `folder /media/usb`
  std::int64_t added_at_ms = 0;
  std::int64_t last_used_at_ms = 0;

  PRUNELLA_FIELDS(image_record, manifest, blobs, diff_ids, platform, source, added_at_ms, last_used_at_ms)
};

/// An image for people and for the API.
struct image_view {
  digest manifest;
  std::vector<std::string> names;
  std::vector<std::string> holders;
  storage::platform platform;
  std::string source;
  std::uint64_t bytes = 0;       ///< of its blobs, shared ones included
  std::uint64_t layer_bytes = 0; ///< of its unpacked layers, shared ones included
  bool complete = false;         ///< every blob is on the disk with its size
  bool unpacked = false;
  std::int64_t added_at_ms = 0;
  std::int64_t last_used_at_ms = 0;

  PRUNELLA_FIELDS(image_view, manifest, names, holders, platform, source, bytes, layer_bytes, complete, unpacked,
                  added_at_ms, last_used_at_ms)
};

/// What is needed to run an image.
struct image_documents {
  image_manifest manifest;
  image_config config;

  PRUNELLA_FIELDS(image_documents, manifest, config)
};

class image_store {
public:
  virtual ~image_store() = default;

  virtual blob_store& blobs() = 0;
  virtual layer_store& layers() = 0;
  /// A folder for what is on its way in, on the same file system; emptied at each open, after whole blobs in it were
  /// kept.
  virtual std::string staging() const = 0;

  /// Adds or refreshes the image, and gives it `names` (each moves here from the image that had it). The record's blobs
  /// must be in the blob store: `not_found` names the first that is not. Errors: `refused` (bounds), `disk_full`.
  virtual result<void> add(const image_record& record, const std::vector<image_reference>& names) = 0;

  /// The image that a reference means here: by its digest if it has one, else by its tag. A digest may also be that of
  /// the index the image was chosen from. Error: `not_found`.
  virtual result<image_record> find(const image_reference& reference) = 0;
  virtual result<image_record> find(const digest& manifest) = 0;

  /// The image's documents, verified. Errors: `not_found`, `damaged` (pull again).
  virtual result<image_documents> documents(const digest& manifest) = 0;

  /// Its blobs that are not (or not whole) on the disk: nothing, unless someone or a damaged disk took them.
  virtual result<std::vector<descriptor>> missing(const digest& manifest) = 0;

  /// Ordered by manifest digest.
  virtual result<std::vector<image_view>> list() = 0;

  /// `holder` (an instance's name) uses the image from now on: it is not collected. Idempotent. Error: `not_found`.
  virtual result<void> hold(const std::string& holder, const digest& manifest, std::int64_t now_ms) = 0;
  /// It does not any more, neither this nor any other image; unknown holders are no error.
  virtual result<void> release(const std::string& holder, std::int64_t now_ms) = 0;

  virtual result<disk_room> room() const = 0;

  /// `disk_full`, with the figures, unless `bytes` fit and leave the reserve free: asked before a pull starts.
  virtual result<void> admit(std::uint64_t bytes) const = 0;
  /// What may still be written: bytes that are free, without the reserve.
  virtual result<std::uint64_t> left() const = 0;

  /// Takes the image away, with its names, as if it had never been added. Its blobs and layers go when the disk gets tight.
  /// `refused` while somebody holds it; no error if it is not there.
  virtual result<void> forget(const digest& manifest) = 0;

  virtual result<store_contents> contents() = 0;

  /// Frees `bytes` if that can be done without touching what is held or in `wanted`, and says what it removed. 0:
  /// nothing is removed. A crash in the middle leaves images whole or gone.
  virtual result<collection> collect(std::uint64_t bytes, const std::set<digest>& wanted, std::int64_t now_ms) = 0;
};

struct image_store_options {
  host_owner owner;
  /// Never filled below so much free space: the agent itself, logs and the database live there too.
  std::uint64_t reserve_bytes = 256u << 20;
  collect_options collecting;
};

/// Opens or makes the store in `folder` (its parent must exist), and cleans up what an interrupted run left: whole
/// blobs in the staging folder are kept, everything else there and half removed layers are deleted. Errors as
/// `open_raft_log`. A damaged `images.db` may be moved away: the blobs stay, and importing an image again finds them.
result<std::unique_ptr<image_store>> open_image_store(const std::string& folder, const image_store_options& options);

} // namespace prunella::storage
