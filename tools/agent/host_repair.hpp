#pragma once

#include <iosfwd>

#include "tools/cli/options.hpp"

namespace prunella::tools {

/// `prunella host repair`: makes a damaged consensus log readable again, keeping a copy. The host must not be running. A
/// member whose log was repaired follows its site without a vote.
int run_host_repair(const host_repair_options& options, std::ostream& out, std::ostream& err);

} // namespace prunella::tools
