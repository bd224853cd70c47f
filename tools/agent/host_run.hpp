#pragma once

#include <iosfwd>

#include "tools/cli/options.hpp"

namespace prunella::tools {

/// `prunella host run`: the agent of one host, until SIGINT or SIGTERM, or until its tree of actors gives up (exit 1).
int run_host(const host_run_options& options, std::ostream& out, std::ostream& err);

} // namespace prunella::tools
