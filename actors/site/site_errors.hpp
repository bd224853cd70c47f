#pragma once

// Why the site did not carry out a request. What the user did wrong is not here: that is an answer (`site_answer`).

#include <cstdint>
#include <string>

#include <caf/error.hpp>
#include <caf/fwd.hpp>
#include <caf/make_message.hpp>

namespace prunella::actors {

enum class site_errc : std::uint8_t {
  /// The receiver does not lead the site (any more); ask the leader.
  not_leader = 1,
  /// The leader was just elected and still learns what is committed; ask again in a moment.
  starting = 2,
  /// The leader has as many unfinished requests as it takes.
  busy = 4,
  /// The bytes are no command of this version.
  malformed = 5,
  /// The leader ended while the request was under way; it may have been carried out.
  unconfirmed = 6,
};

/// The only oracle for sending the same request again.
constexpr bool is_retryable(site_errc code) { return code != site_errc::malformed; }

/// `code` with a sentence of its own.
caf::error make_site_error(site_errc code, const std::string& sentence);

/// Whether asking again later may succeed: the answer of whichever part refused or did not answer (site, consensus, link,
/// a part that is being restarted). For requests that may be carried out twice.
bool is_passing(const caf::error& reason);

/// Whether a request that ended with `reason` may have been carried out all the same, or be carried out later; false only
/// where that is certain.
bool may_be_done(const caf::error& reason);

/// Makes `system.render` know this category.
void add_site_errors(caf::actor_system_config& config);

} // namespace prunella::actors

CAF_ERROR_CODE_ENUM(prunella::actors::site_errc, "site")
