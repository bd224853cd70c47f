#include "actors/instance/image_error.hpp"

#include <caf/sec.hpp>

namespace prunella::actors {

caf::error to_error(const image_failure& failure) {
  return caf::make_error(failure.code, failure.message);
}

bool is_image_error(const caf::error& error, image_errc code) {
  // An empty caf::error has no category to ask for: category() would read through a null pointer.
  return error && error.category() == caf::atom("image") && error.code() == static_cast<std::uint8_t>(code);
}

bool is_to_be_awaited(const caf::error& error) {
  if (error && error.category() == caf::atom("image"))
    return is_to_be_awaited(static_cast<image_errc>(error.code()));
  return error == caf::sec::request_timeout || error == caf::sec::request_receiver_down;
}

} // namespace prunella::actors
