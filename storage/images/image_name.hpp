#pragma once

// The name that the image in a file gives itself.

#include <string>

#include "storage/errors.hpp"

namespace prunella::storage {

/// The full name of the only image in an OCI layout folder, an OCI archive or a Docker archive at `path`: what `docker save`
/// writes as `RepoTags`, or an `org.opencontainers.image.ref.name` that is more than a tag. Errors: `invalid_argument` (no name
/// in it, or several; the sentence lists them), `malformed` (no image file), `inaccessible`.
result<std::string> name_in(const std::string& path);

/// `malformed`: what to say of an archive that has none of an image's files.
storage_error no_image_in(const std::string& path);

} // namespace prunella::storage
