#pragma once

// A further command in a container of an engine, as a process of the host that stands for it (`driver.hpp`, `command_plan`):
// its standard streams are the command's, and so is its exit code. A process of its own, so that probes, `prunella exec` and
// `prunella run` treat it as they treat the OCI runtime, which does the same.

#include <string>
#include <vector>

namespace prunella::actors {

/// The first argument of the agent's program that makes it such a process.
inline constexpr auto engine_command_word = "engine-exec";

/// `--socket PATH --container ID --pid-file PATH [--tty] -- COMMAND…` → exit code: the command's; 126 or 127 as a shell, if
/// there was none (and no pid file), with the engine's words on standard error.
int run_engine_command(const std::vector<std::string>& arguments);

} // namespace prunella::actors
