#pragma once

// The site document that the agent's commands start from.

#include <iosfwd>
#include <optional>
#include <string>

#include "config/spec.hpp"

namespace prunella::tools {

/// Reads the one `kind: site` document of `path`; other documents in the file are left alone. Prints every problem to
/// `err` and returns nothing if the file cannot be read, is not valid, or holds no or several sites.
std::optional<config::site_spec> read_site_file(const std::string& path, std::ostream& err);

} // namespace prunella::tools
