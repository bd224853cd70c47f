#pragma once

// `driver_errc` as a CAF error. Beside driver.hpp because only actors need it.

#include <string>

#include <caf/error.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

#include "actors/instance/driver.hpp"

CAF_ERROR_CODE_ENUM(prunella::actors::driver_errc, "driver")

namespace prunella::actors {

/// `failure` as what a request is answered with; its context is the sentence.
caf::error to_error(const driver_failure& failure);

/// The sentence in `error`: the text it carries, else what CAF's own code means in plain words.
std::string error_sentence(const caf::error& error);

/// True if `error` is this `driver_errc`.
bool is_driver_error(const caf::error& error, driver_errc code);

} // namespace prunella::actors
