#include "actors/instance/image_error.hpp"

namespace prunella::actors {

caf::error to_error(const image_failure& failure) {
  return caf::make_error(failure.code, failure.message);
}

bool is_image_error(const caf::error& error, image_errc code) {
  // An empty caf::error has no category to ask for: category() would read through a null pointer.
  return error && error.category() == caf::atom("image") && error.code() == static_cast<std::uint8_t>(code);
}

} // namespace prunella::actors
