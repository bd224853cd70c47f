#pragma once

// The agent's log: the few lines that an operator expects (who leads, what was restarted and why). What happens to
// applications is in the journal.

#include <cstdint>
#include <functional>
#include <string>

namespace prunella::actors {

enum class log_level : std::uint8_t { info, warning, error };

/// Takes one line. Called from any thread, thread-safe; must not block for long.
using log_sink = std::function<void(log_level level, const std::string& line)>;

} // namespace prunella::actors
