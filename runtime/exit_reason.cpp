#include "runtime/exit_reason.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>
#include <caf/sec.hpp>

namespace prunella::runtime {

namespace {

constexpr auto exit_category = caf::atom("exit");
constexpr auto supervisor_category = caf::atom("supervisor");
constexpr auto system_category = caf::atom("system");

std::string first_string(const caf::message& context) {
  return !context.empty() && context.match_element<std::string>(0) ? context.get_as<std::string>(0) : std::string{};
}

std::string text_of_exit(caf::exit_reason code) {
  switch (code) {
  case caf::exit_reason::user_shutdown:
    return "it was told to shut down";
  case caf::exit_reason::kill:
    return "it was killed";
  case caf::exit_reason::unreachable:
    return "nobody referred to it any more";
  case caf::exit_reason::remote_link_unreachable:
    return "the connection to it was lost";
  default:
    return caf::to_string(code);
  }
}

std::string with_details(std::string sentence, const std::string& details) {
  return details.empty() ? sentence : std::move(sentence) + ": " + details;
}

std::string text_of_code(std::uint8_t code, caf::atom_value category) {
  if (category == exit_category)
    return text_of_exit(static_cast<caf::exit_reason>(code));
  if (category == supervisor_category)
    return std::string{sentence(static_cast<supervision_errc>(code))};
  if (category == system_category && static_cast<caf::sec>(code) == caf::sec::runtime_error)
    return "it threw an exception (its text is on stderr; base the actor on supervised_actor to have it here)";
  if (category == system_category)
    return caf::to_string(static_cast<caf::sec>(code));
  return {};
}

} // namespace

caf::error to_error(supervision_errc code, std::string details) {
  return caf::error{static_cast<std::uint8_t>(code), supervisor_category, caf::make_message(std::move(details))};
}

std::string reason_text(const caf::error& reason) {
  if (!reason)
    return "it ended normally";
  const auto details = first_string(reason.context());
  auto text = text_of_code(reason.code(), reason.category());
  if (!text.empty())
    return with_details(std::move(text), details);
  // A category of somebody else: its own text, or how the system renders it.
  return details.empty() ? caf::to_string(reason) : details;
}

exit_kind exit_kind_of(const caf::error& reason) {
  if (!reason)
    return exit_kind::normal;
  if (reason == caf::exit_reason::user_shutdown)
    return exit_kind::shutdown;
  return reason == caf::exit_reason::kill ? exit_kind::killed : exit_kind::abnormal;
}

caf::error error_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& e) {
    return to_error(supervision_errc::exception, e.what());
  } catch (...) {
    return to_error(supervision_errc::exception, "of a type that is not a std::exception");
  }
}

void add_supervision_errors(caf::actor_system_config& config) {
  config.add_error_category(supervisor_category, [](std::uint8_t code, caf::atom_value, const caf::message& context) {
    return with_details(std::string{sentence(static_cast<supervision_errc>(code))}, first_string(context));
  });
}

} // namespace prunella::runtime
