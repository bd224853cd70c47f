#pragma once

// What tests that run real containers share: whether this machine can, and an image to run.

#include <memory>
#include <string>
#include <vector>

#include "storage/images/image_store.hpp"
#include "tests/storage/images/image_builder.hpp"

namespace prunella::tests {

/// Path of the runtime that containers of tests are run by: runc, or what PRUNELLA_TEST_RUNTIME names; "" if it is not installed.
std::string container_runtime();

/// Why no container can be run here; "" if one can.
std::string container_obstacle();

/// The libraries that `program` of this machine needs, with the loader; none when it is static.
std::vector<std::string> libraries_of(const std::string& program);

/// This machine's busybox with a shell, root, the user `www` (33, group 34, also in `media`, 44) and an own command.
test_image busybox_image();

/// Layers, topmost first, of `image`, added to `store` and unpacked.
std::vector<std::string> unpacked_layers(storage::image_store& store, const test_image& image);

} // namespace prunella::tests
