#pragma once

#include <iosfwd>

#include "tools/cli/options.hpp"

namespace prunella::tools {

/// `prunella site up -f FILE`: all hosts of a site on this machine, one agent process each, until interrupted. Makes the
/// identities at the first start; the same data directory resumes. A host that dies is reported and left dead, so that
/// the others can be watched healing; the command ends when the last one has.
int run_site_up(const site_up_options& options, std::ostream& out, std::ostream& err);

} // namespace prunella::tools
