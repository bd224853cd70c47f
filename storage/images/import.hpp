#pragma once

// Ways for an image to come into the store: an OCI layout folder here; archives and registries, through skopeo, below
// in `pull.hpp`; peers through `store_image`. Each blob is verified, and the image appears only when all are there.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "storage/errors.hpp"
#include "storage/images/documents.hpp"
#include "storage/images/image_store.hpp"
#include "storage/images/reference.hpp"

namespace prunella::storage {

struct import_progress {
  std::uint64_t bytes_done = 0;  ///< blobs that were there already included
  std::uint64_t bytes_total = 0; ///< 0 while it is not known
};

struct import_options {
  platform wanted = this_platform();
  std::int64_t now_ms = 0; ///< since 1970-01-01 UTC
  std::string source;      ///< for people: goes into the record
  /// Called now and then from within the import, on the caller's thread; false ends the import with `unreachable`.
  std::function<bool(const import_progress&)> progress;
};

/// Brings one blob into `store`, from wherever; it need not verify it first.
using blob_fetcher = std::function<result<void>(blob_store& store, const descriptor& blob)>;

/// Reads a manifest document, asks `fetch` for the configuration and then for those layers that are not there, checks
/// that the image is for `wanted`, and adds it under `names`. `manifest` must be that of an image, not of an index.
/// Errors: those of `read_manifest`, `check_image`, `admit`, `fetch` and `add`.
result<image_record> store_image(image_store& store, const std::string& manifest, const blob_fetcher& fetch,
                                 const std::vector<image_reference>& names, const import_options& options);

/// Imports from an OCI layout folder (`oci-layout`, `index.json`, `blobs/sha256/`): the image tagged `tag` there, or
/// the only one when `tag` is empty, or of several that of the wanted platform. Errors, beside those of `store_image`:
/// `not_found` (lists the tags there are), `malformed`, `inaccessible`.
result<image_record> import_layout(image_store& store, const std::string& folder, const std::string& tag,
                                   const image_reference& name, const import_options& options);

/// The entry of a layout's index that `tag` means; see `import_layout`. Pure.
result<index_entry> choose_tagged(const image_index& index, const std::string& tag, const platform& wanted);

} // namespace prunella::storage
