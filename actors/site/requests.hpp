#pragma once

// What users may ask of a site, checked against what it has; and the answers. Pure.

#include <string>
#include <vector>

#include "actors/messages.hpp"
#include "actors/site/site_state.hpp"

namespace prunella::actors {

/// Bounds of a site. Reaching one refuses the request; what runs is not touched.
inline constexpr std::size_t max_applications = 1'000;
inline constexpr std::size_t max_instances = 10'000;
inline constexpr std::size_t max_published = 256; ///< ports: each is a listener on every host

/// Why the site does not take `command` from a user; `status` 0: it does.
problem_view refuse(const site_command& command, const site_state& state);

/// The answer to a command that was applied.
site_answer answer_of(const command_outcome& outcome);

/// A problem document; title as HTTP names the status.
problem_view make_problem(std::uint32_t status, std::string detail, std::string cause, std::string fix);

/// 400, for a body with these `errors`, of which there is one at least; `example` is a body that would do.
problem_view wrong_body(std::vector<std::string> errors, const char* example);

/// Reads `tenant.name` or `name` (then tenant `default`) as the key of an application; empty if it is neither.
std::string application_key_of(const std::string& name);

} // namespace prunella::actors
