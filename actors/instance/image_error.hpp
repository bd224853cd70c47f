#pragma once

// `image_errc` as a CAF error. Beside images.hpp because only actors need it.

#include <caf/error.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

#include "actors/instance/images.hpp"

CAF_ERROR_CODE_ENUM(prunella::actors::image_errc, "image")

namespace prunella::actors {

/// `failure` as what a request is answered with; its text (`runtime::reason_text`) is the sentence.
caf::error to_error(const image_failure& failure);

/// True if `error` is this `image_errc`; false for an empty one.
bool is_image_error(const caf::error& error, image_errc code);

/// Whether who asked a keeper for an image and got `error` is to ask again (`is_to_be_awaited`): also when it did not answer in
/// time, or ended.
bool is_to_be_awaited(const caf::error& error);

} // namespace prunella::actors
