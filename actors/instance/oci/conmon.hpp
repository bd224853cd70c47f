#pragma once

// How we talk with conmon (2.1, Debian's package), the small program that is a container's parent: it has the runtime
// create the container, keeps what it prints (`../container_log.hpp` for the format), and writes down how it ended. Pure,
// but for `launch_conmon`.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/instance/process.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

struct conmon_request {
  std::string conmon;  ///< path of the program
  std::string runtime; ///< path of runc or crun
  std::string runtime_root; ///< where the runtime keeps its state
  std::string id;           ///< the container's at the runtime
  std::string bundle;       ///< folder with config.json; conmon works in it
  std::string exit_folder;  ///< where the file `id` tells the exit code
  std::string log_path;
  bool has_input = false;         ///< from who connects to the socket `attach` of the bundle; ends when that one goes
  std::int64_t log_cap_bytes = 0; ///< beyond it conmon forgets what is in the log: for as long as no agent is there
};

/// The files conmon writes into the bundle.
std::string conmon_pid_path(const std::string& bundle);
std::string container_pid_path(const std::string& bundle);

/// What conmon may leave in the log of a container with these bounds: the keeper of logs acts at half of them, as long as
/// there is one.
std::int64_t conmon_log_cap(const config::log_spec& bounds);

/// The `log_cap_bytes` of a conmon that runs, out of its /proc/PID/cmdline; 0: it has none.
std::int64_t conmon_log_cap_of(std::string_view command_line);

/// argv of conmon.
std::vector<std::string> conmon_command(const conmon_request& request);

/// What conmon writes to its sync pipe: the pid of the created container, or why there is none.
struct conmon_report {
  pid_t pid = 0;       ///< > 0: created, waiting for the runtime's `start`
  std::string message; ///< else: the runtime's words
};

/// Nothing: not one whole line of JSON.
std::optional<conmon_report> parse_conmon_report(std::string_view text);

/// The meaning of what a runtime said when it refused a container: command_not_found, command_not_executable,
/// working_directory_missing, or runtime_failed with its own words, without their decoration. Of a command that is not found who
/// asked for it says what to correct.
driver_failure explain_runtime(std::string_view words);

/// Of an exit file: 0 … 255. As in a shell, 128 + N stands for signal N, which is taken for one.
std::optional<process_end> parse_exit_file(std::string_view text);

/// Starts conmon, which outlives this process, and waits until the container is created. Errors: as `explain_runtime`,
/// and runtime_failed when conmon is missing or silent for `patience`.
driver_result<conmon_report> launch_conmon(const conmon_request& request, std::chrono::milliseconds patience);

} // namespace prunella::actors
