#include "net/link_errors.hpp"

namespace prunella::net {

namespace {

const char* sentence(link_errc code) {
  switch (code) {
  case link_errc::host_unreachable:
    return "the host cannot be reached";
  case link_errc::link_lost:
    return "the link dropped while the request was under way; it may or may not have been carried out";
  case link_errc::peer_restarted:
    return "the host's process was restarted while the request was under way";
  case link_errc::queue_full:
    return "too much is waiting for that host already";
  case link_errc::unknown_name:
    return "the host has no actor of that name";
  case link_errc::type_not_allowed:
    return "that actor takes no message of this type from other hosts";
  case link_errc::too_large:
    return "the message is longer than a link may carry";
  case link_errc::timeout:
    return "the host did not answer in time";
  case link_errc::malformed:
    return "the bytes are not a message of the types they claim to be";
  case link_errc::not_running:
    return "the actor of that name is not running now";
  case link_errc::wrong_sender:
    return "the message speaks in the name of another host than the one that sent it";
  }
  return "unknown link error";
}

} // namespace

std::string render_link_error(std::uint8_t code, caf::atom_value, const caf::message& context) {
  if (context.match_elements<std::string>())
    return context.get_as<std::string>(0);
  return sentence(static_cast<link_errc>(code));
}

std::string describe(const caf::error& reason) {
  if (!reason)
    return "no error";
  if (reason.category() == link_category)
    return render_link_error(reason.code(), reason.category(), reason.context());
  if (reason.context().match_elements<std::string>())
    return reason.context().get_as<std::string>(0);
  return caf::to_string(reason);
}

bool is_retryable(const caf::error& reason) {
  return reason && reason.category() == link_category && is_retryable(static_cast<link_errc>(reason.code()));
}

} // namespace prunella::net
