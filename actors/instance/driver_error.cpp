#include "actors/instance/driver_error.hpp"

namespace prunella::actors {

caf::error to_error(const driver_failure& failure) {
  return caf::make_error(failure.code, failure.message);
}

bool is_driver_error(const caf::error& error, driver_errc code) {
  // An empty caf::error has no category to ask for: category() would read through a null pointer.
  return error && error.category() == caf::atom("driver") && error.code() == static_cast<std::uint8_t>(code);
}

} // namespace prunella::actors
