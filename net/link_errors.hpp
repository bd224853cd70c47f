#pragma once

// How a message to another host fails. The caller of a remote proxy gets one of these as the error of its request, with
// a sentence as its context (`describe`).

#include <cstdint>
#include <string>

#include <caf/atom.hpp>
#include <caf/error.hpp>
#include <caf/make_message.hpp>
#include <caf/message.hpp>

namespace prunella::net {

enum class link_errc : std::uint8_t {
  /// There is no link to that host and none could be made; the message never left this process.
  host_unreachable = 1,
  /// The link dropped after the request was sent: it may or may not have been carried out.
  link_lost = 2,
  /// The host answered, but as a new life of its process; the request went to the old one.
  peer_restarted = 3,
  /// The send queue of that host is full, here or there; nothing was sent.
  queue_full = 4,
  /// The host has no actor of that name.
  unknown_name = 5,
  /// The named actor takes no message of that type from other hosts, or the type is not announced there.
  type_not_allowed = 6,
  /// The message is longer than a frame may be.
  too_large = 7,
  /// No answer within the time links keep a request.
  timeout = 8,
  /// The bytes are not a message of the types they claim to be.
  malformed = 9,
  /// The actor of that name exists but is not running now.
  not_running = 10,
  /// The message speaks in the name of another host than the one that sent it.
  wrong_sender = 11,
};

/// The only oracle for "send the same request again later". `link_lost`, `peer_restarted` and `timeout` are retryable for
/// requests that may be carried out twice.
constexpr bool is_retryable(link_errc code) {
  switch (code) {
  case link_errc::host_unreachable:
  case link_errc::link_lost:
  case link_errc::peer_restarted:
  case link_errc::queue_full:
  case link_errc::timeout:
  case link_errc::not_running:
    return true;
  case link_errc::unknown_name:
  case link_errc::type_not_allowed:
  case link_errc::too_large:
  case link_errc::malformed:
  case link_errc::wrong_sender:
    return false;
  }
  return false;
}

/// The error's own sentence, or the code's general one if it carries none.
std::string describe(const caf::error& reason);

/// Whether `reason` is of category `link` and retryable.
bool is_retryable(const caf::error& reason);

/// For `actor_system_config::add_error_category(link_category, render_link_error)`.
inline constexpr caf::atom_value link_category = caf::atom("link");
std::string render_link_error(std::uint8_t code, caf::atom_value category, const caf::message& context);

} // namespace prunella::net

CAF_ERROR_CODE_ENUM(prunella::net::link_errc, "link")
