#pragma once

// Unpacked layers, shared between images: `layers/<chain id>/diff` holds what one layer adds to those below it, in the
// form overlayfs stacks. A folder there is whole: it was filled in `staging`, synced and renamed. Any thread may read.

#include <cstdint>
#include <string>
#include <vector>

#include "storage/errors.hpp"
#include "storage/images/blob_store.hpp"
#include "storage/images/digest.hpp"
#include "storage/images/documents.hpp"
#include "storage/images/unpack.hpp"

namespace prunella::storage {

class layer_store {
public:
  /// Makes `folder`/layers and `folder`/trash if they are missing, and deletes what is in the trash.
  static result<layer_store> open(const std::string& folder);

  bool contains(const digest& chain_id) const;
  /// The folder that overlayfs takes as a lower one.
  std::string path(const digest& chain_id) const { return layers_ + "/" + chain_id.hex + "/diff"; }

  /// The folders of a whole image, topmost first, as overlayfs wants them. Error: `not_found` (names the layer).
  result<std::vector<std::string>> stack(const std::vector<digest>& diff_ids) const;

  /// Unpacks those layers of the image that are not there yet, lowest first, each from its blob. `staging` must lie on
  /// the same file system. `limits.room` is that of all of them. What was unpacked stays when a later layer fails. Errors as `unpack_layer`, and `not_found`
  /// for a missing blob. A blob that turns out to be damaged is removed from `blobs`, for the next pull to fetch it.
  result<void> unpack(const image_manifest& manifest, const image_config& config, blob_store& blobs,
                      const std::string& staging, unpack_limits limits);

  /// Moves the layer out of sight at once, then deletes it; an absent one is no error.
  result<void> remove(const digest& chain_id);

  /// Ordered by name; `bytes` is the sum of the files' sizes.
  result<std::vector<stored_part>> list() const;

private:
  layer_store(std::string layers, std::string trash) : layers_(std::move(layers)), trash_(std::move(trash)) {}

  struct staged_layer {
    digest chain_id;
    std::string folder;
  };
  /// Bytes that it takes.
  result<std::uint64_t> unpack_one(const descriptor& blob, const digest& diff_id, const std::vector<std::string>& lower,
                          const std::string& folder, blob_store& blobs, const unpack_limits& limits) const;
  result<void> publish(const std::vector<staged_layer>& staged, const std::string& staging) const;
  storage_error explain(const storage_error& failed, const descriptor& blob, blob_store& blobs) const;

  std::string layers_;
  std::string trash_;
};

} // namespace prunella::storage
