#pragma once

// caf::error on one side, what supervision and people need on the other: the kind of an end, and its text.

#include <exception>
#include <string>

#include <caf/error.hpp>
#include <caf/fwd.hpp>
#include <caf/make_message.hpp>

#include "runtime/supervision.hpp"
#include "runtime/supervision_error.hpp"

CAF_ERROR_CODE_ENUM(prunella::runtime::supervision_errc, "supervisor")

namespace prunella::runtime {

/// The error of `code` with details; an actor quits with it and its supervisor reports sentence and details.
caf::error to_error(supervision_errc code, std::string details);

/// Any error of a category of your own, with its text: the way for an actor to say why it ends.
/// The first string of an error's context is its text, everywhere in Prunella.
std::string reason_text(const caf::error& reason);

/// No error: normal · exit_reason::user_shutdown: shutdown · exit_reason::kill: killed · all else: abnormal.
exit_kind exit_kind_of(const caf::error& reason);

inline child_exit child_exit_of(const caf::error& reason) {
  return {exit_kind_of(reason), reason_text(reason)};
}

/// The text of an exception as an error, for caf::scheduled_actor::set_exception_handler. CAF's own handler loses the
/// text (it goes to stderr). `supervised_actor` has it set.
caf::error error_of(const std::exception_ptr& thrown);

/// Makes actor_system::render and to_string(error) know this category. Call on the configuration before the system.
void add_supervision_errors(caf::actor_system_config& config);

} // namespace prunella::runtime
