#pragma once

// What /proc says about processes: their identity, their use, and the marks the process driver leaves in environments.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace prunella::actors {

/// The fields of /proc/PID/stat that the driver uses; numbers in brackets as in proc(5).
struct proc_stat {
  pid_t pid = 0;                 ///< (1)
  std::string command;           ///< (2) without the parentheses
  char state = '?';              ///< (3) Z: ended and not yet collected by its parent
  pid_t parent = 0;              ///< (4)
  pid_t group = 0;               ///< (5)
  pid_t session = 0;             ///< (6)
  std::uint64_t user_ticks = 0;  ///< (14)
  std::uint64_t system_ticks = 0; ///< (15)
  std::uint64_t start_ticks = 0; ///< (22) since boot; with the pid the identity of a process until the next boot
  std::int64_t rss_pages = 0;    ///< (24)
  std::int32_t wait_status = 0;  ///< (52) as wait(2) reports it; only of a zombie, and only to who may trace it
};

/// Reads one line of /proc/PID/stat; nothing if it is not one. The command may hold spaces and parentheses.
std::optional<proc_stat> parse_proc_stat(std::string_view line);

/// Nothing if there is no such process (any more).
std::optional<proc_stat> read_proc_stat(pid_t pid);

/// Identifies this boot of the machine; start_ticks of another boot mean nothing. Empty if /proc does not say.
std::string read_boot_id();

/// `ticks` of the kernel's USER_HZ clock as a duration.
std::chrono::microseconds ticks_to_time(std::uint64_t ticks);

/// Unix time in milliseconds at which a process with these `start_ticks` began; exact to one tick (10 ms) and as right as
/// the wall clock is now.
std::int64_t start_time_ms(std::uint64_t start_ticks);

/// All process ids of this machine that /proc shows, in no order.
std::vector<pid_t> list_processes();

/// What the process driver writes in front of a container's environment.
struct process_mark {
  std::string agent;     ///< whose: the data directory
  std::string container; ///< its name
  std::uint64_t generation = 0;
};

/// The names of the variables of a mark.
inline constexpr std::string_view mark_agent_variable = "PRUNELLA_AGENT";
inline constexpr std::string_view mark_container_variable = "PRUNELLA_CONTAINER";
inline constexpr std::string_view mark_generation_variable = "PRUNELLA_GENERATION";

/// The mark in `environment` (NUL-separated `NAME=value`); nothing unless all three variables are there.
std::optional<process_mark> parse_mark(std::string_view environment);

struct marked_process {
  proc_stat stat;
  process_mark mark;
};

/// Every living process with a mark of `agent`, oldest first. A process that overwrote its environment is not found.
std::vector<marked_process> find_marked_processes(std::string_view agent);

} // namespace prunella::actors
