#pragma once

#include <iosfwd>

#include "tools/cli/options.hpp"

namespace prunella::tools {

/// `prunella site init -f FILE --dir DIR`: makes the site's CA and an identity for each of its hosts.
int run_site_init(const site_init_options& options, std::ostream& out, std::ostream& err);

} // namespace prunella::tools
