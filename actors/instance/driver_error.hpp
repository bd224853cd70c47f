#pragma once

// `driver_errc` as a CAF error. Beside driver.hpp because only actors need it.

#include <caf/error.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

#include "actors/instance/driver.hpp"

CAF_ERROR_CODE_ENUM(prunella::actors::driver_errc, "driver")

namespace prunella::actors {

/// `failure` as what a request is answered with; its text (`runtime::reason_text`) is the sentence.
caf::error to_error(const driver_failure& failure);

/// True if `error` is this `driver_errc`; false for an empty one.
bool is_driver_error(const caf::error& error, driver_errc code);

} // namespace prunella::actors
