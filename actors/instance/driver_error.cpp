#include "actors/instance/driver_error.hpp"

#include <caf/exit_reason.hpp>
#include <caf/sec.hpp>

namespace prunella::actors {

caf::error to_error(const driver_failure& failure) {
  return caf::make_error(failure.code, failure.message);
}

bool is_driver_error(const caf::error& error, driver_errc code) {
  return error.category() == caf::atom("driver") && error.code() == static_cast<std::uint8_t>(code);
}

std::string error_sentence(const caf::error& error) {
  if (!error)
    return "it ended normally";
  if (error.context().size() > 0 && error.context().match_element<std::string>(0))
    return error.context().get_as<std::string>(0);
  if (error.category() == caf::atom("driver"))
    return "the driver refused: " + std::string{to_text(static_cast<driver_errc>(error.code()))};
  if (error == caf::sec::request_timeout)
    return "no answer within the time given";
  if (error == caf::sec::request_receiver_down)
    return "the actor that was asked has ended";
  if (error == caf::exit_reason::kill)
    return "the actor was killed";
  if (error == caf::exit_reason::user_shutdown)
    return "it was told to shut down";
  return "error " + std::to_string(error.code()) + " of " + caf::to_string(error.category());
}

} // namespace prunella::actors
