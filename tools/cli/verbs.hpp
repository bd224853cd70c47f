#pragma once

// The commands of a client. Each returns an exit code, and has said why on `io.err` unless it is 0.

#include "tools/cli/options.hpp"
#include "tools/cli/terminal.hpp"

namespace prunella::tools {

inline constexpr int exit_ok = 0;
inline constexpr int exit_failed = 1;
inline constexpr int exit_usage = 2;

/// Reads and validates every file, and sends the applications only if all are good; stops at the first refusal.
int run_apply(const apply_options& options, terminal& io);

int run_get(const get_options& options, terminal& io);

int run_scale(const scale_options& options, terminal& io);

/// Back to the version before the present one.
int run_rollback(const rollback_options& options, terminal& io);

/// Ends and begins again what runs: a service one instance after the other, or one instance at once.
int run_restart(const restart_options& options, terminal& io);

/// Says that nothing is to run on a host for now, or that it may again.
int run_drain(const drain_options& options, terminal& io);

int run_delete(const delete_options& options, terminal& io);

int run_tree(const tree_options& options, terminal& io);

int run_status(const status_options& options, terminal& io);

/// Everything known of the host, application, instance or actor of that name.
int run_inspect(const path_options& options, terminal& io);

/// Kills one actor, to watch its supervisor work.
int run_kill(const path_options& options, terminal& io);

/// Waits until the image is in the store of the host that is asked, on which the file has to be.
int run_image_import(const image_import_options& options, terminal& io);

/// Prints lines by time, of several containers each with whose it is.
int run_logs(const logs_options& options, terminal& io);

/// Runs a command in a container, or in one of its own. Its exit code, as the shell says it, or `exit_failed` and why it never ran.
int run_exec(const exec_options& options, terminal& io);

int run_validate(const validate_options& options, terminal& io);

} // namespace prunella::tools
