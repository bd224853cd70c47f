#pragma once

// Variables that an agent replaces in a spec's texts: `${SITE}` in env, command and files. Pure.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/spec.hpp"

namespace prunella::config {

/// What a container of a service may refer to, sorted: SITE, HOST, ADDRESS (of the host, as the site's document has it), TENANT, APPLICATION, SERVICE, INSTANCE (its full name),
/// REPLICA, GENERATION, CONTAINER (its full name) and PORT_<name> for each port of the service's containers, as the
/// ports are written. The environment's own names (`environment_name`) mean the same, but are not in this list.
std::vector<std::string> known_variables(const service_spec& service);

/// How the environment of a container calls `variable`: PRUNELLA_ in front, upper case, `-` as `_`.
std::string environment_name(std::string_view variable);

struct expanded_text {
  std::string text;
  std::vector<std::string> unknown; ///< names in `${…}` that are no variables, in order; left as they are in `text`
};

/// `text` with each `${NAME}` replaced by that variable, once: what a variable holds is not looked at again. A name has
/// letters, digits, `_` and `-`; anything else in braces, such as a shell's `${X:-1}`, is left alone. `$${` becomes `${`.
expanded_text expand(std::string_view text, const std::map<std::string, std::string>& variables);

/// The names that `text` refers to, each as often as it does.
std::vector<std::string> used_variables(std::string_view text);

} // namespace prunella::config
