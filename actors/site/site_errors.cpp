#include "actors/site/site_errors.hpp"

#include <caf/actor_system_config.hpp>
#include <caf/atom.hpp>
#include <caf/make_message.hpp>

#include <caf/sec.hpp>

#include "net/link_errors.hpp"
#include "runtime/consensus/consensus_error.hpp"
#include "runtime/exit_reason.hpp"

namespace prunella::actors {

caf::error make_site_error(site_errc code, const std::string& sentence) {
  return caf::error{static_cast<std::uint8_t>(code), caf::atom("site"), caf::make_message(sentence)};
}

bool is_passing(const caf::error& reason) {
  if (reason.category() == caf::atom("site"))
    return is_retryable(static_cast<site_errc>(reason.code()));
  if (reason.category() == caf::atom("consensus")) {
    const auto code = static_cast<runtime::consensus_errc>(reason.code());
    return runtime::is_retryable(code) || code == runtime::consensus_errc::outcome_unknown;
  }
  if (reason.category() == net::link_category)
    return net::is_retryable(reason);
  // The receiver ended, does not exist at this moment (CAF: invalid_argument) or did not answer: its successor may.
  return reason == caf::sec::invalid_argument || reason == caf::sec::request_timeout || reason == caf::sec::request_receiver_down
         || reason.category() == caf::atom("exit") || reason.category() == caf::atom("supervisor");
}

bool may_be_done(const caf::error& reason) {
  if (reason.category() == caf::atom("site"))
    return static_cast<site_errc>(reason.code()) == site_errc::unconfirmed;
  if (reason.category() == caf::atom("consensus"))
    return !runtime::is_retryable(static_cast<runtime::consensus_errc>(reason.code()));
  if (reason.category() == net::link_category) {
    const auto code = static_cast<net::link_errc>(reason.code());
    return code == net::link_errc::link_lost || code == net::link_errc::peer_restarted || code == net::link_errc::timeout;
  }
  return reason != caf::sec::invalid_argument; // there was nobody to ask
}

void add_site_errors(caf::actor_system_config& config) {
  config.add_error_category(caf::atom("site"), [](std::uint8_t code, caf::atom_value category, const caf::message& context) {
    return runtime::reason_text(caf::error{code, category, context});
  });
}

} // namespace prunella::actors
