#pragma once

// The program's standard streams when somebody closed them, or nobody takes what is written.

#include <ostream>

namespace prunella::tools {

/// A standard stream that is closed would get the number of the next file that is opened, a database for one, and what
/// is printed would land in there. Each gets a device that refuses what the stream is for.
void keep_standard_streams();

/// `code`, unless what was written to `out` did not arrive: a result that could not be written is no success.
int exit_code(int code, std::ostream& out, std::ostream& err);

} // namespace prunella::tools
