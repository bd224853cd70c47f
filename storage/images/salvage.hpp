#pragma once

// What an interrupted import left in a staging folder. Internal to this folder.

#include <string>

#include "storage/images/blob_store.hpp"

namespace prunella::storage {

/// Moves every whole blob below `folder` (a file whose name is its own digest) into the store, so that the next pull
/// need not fetch it again, then empties the folder, making it if it is missing. A file that is not whole is just
/// removed.
result<void> salvage_staging(const std::string& folder, blob_store& blobs);

/// As `salvage_staging` for one import's own folder, which is removed.
result<void> salvage_import(const std::string& folder, blob_store& blobs);

} // namespace prunella::storage
