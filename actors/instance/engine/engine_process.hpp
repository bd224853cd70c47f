#pragma once

// What the kernel and the disk tell of containers that an engine on this machine runs.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "actors/instance/process.hpp"

namespace prunella::actors {

/// The process `pid`, if it is in the control group of the container `id`: an engine in another pid namespace speaks of other
/// processes by the same numbers.
std::optional<process_handle> find_engine_process(std::int64_t pid, const std::string& id);

/// The conmon `pid` of the container `id`.
std::optional<process_handle> find_conmon(std::int64_t pid, const std::string& id);

/// As /proc/PID/cmdline has it.
std::string command_line_of(std::int64_t pid);

/// The folder in which the conmon `pid` keeps its control pipe `ctl`; empty: it has ended.
std::string bundle_of_conmon(std::int64_t pid);

/// What follows `-b` in a command line as /proc/PID/cmdline has it.
std::string bundle_in(std::string_view command_line);

/// The control group of `pid` as `read_cgroup_use` takes it, out of the text of /proc/PID/cgroup: that of the memory
/// controller, or the only one of version 2. Empty: there is none.
std::string cgroup_in(std::string_view text);
std::string cgroup_of_process(std::int64_t pid);

/// The bytes of `path` in the image with these layers (folders, topmost first), "" if there is no such regular file or it has
/// more than `max_bytes`. Links lead no further than through the layer in which they are.
std::string read_in_layers(const std::vector<std::string>& layers, const std::string& path, std::size_t max_bytes);

/// The folders in `starts` whose file `id_file` holds `id`; with an empty `id` all.
std::vector<std::string> folders_of(const std::string& starts, const std::string& id, std::string_view id_file);

} // namespace prunella::actors
