#pragma once

// The driver contract: how the agent runs containers without knowing what a container is. A driver is an actor that
// understands the messages below: `container_driver.hpp` for plain processes and for images; tests and simulation use a
// scripted one. Every request is answered, with the stated value or a `driver_errc` whose context is a
// sentence for a person; a caller still gives each request a finite timeout. Nothing here blocks the caller.
//
// Life of a container at a driver: [prepare] → start → (signal | stats | exec)* → ended. What it leaves on the disk stays until `tidy_folders`. A container outlives the
// driver actor and the agent: a fresh driver finds what already runs before it answers its first message.

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "config/fields.hpp"
#include "config/spec.hpp"

namespace prunella::actors {

enum class driver_errc : std::uint8_t {
  /// The request contradicts itself or the operating system's limits, for example an empty command or a NUL in it.
  invalid_request = 1,
  /// `command[0]` names no file: the sentence says where it was looked for.
  command_not_found = 2,
  /// The command is there and cannot be executed: no permission, not a program, wrong architecture.
  command_not_executable = 3,
  /// The working directory does not exist, is no directory or may not be entered.
  working_directory_missing = 4,
  /// The container's own folder or its log files cannot be created in the data directory.
  data_directory_unusable = 5,
  /// The operating system refused another process: memory, process or file descriptor limits.
  fork_failed = 6,
  /// The record of a started container could not be made durable, so it was ended again.
  record_failed = 7,
  /// A newer generation of this container already runs here; the asker is outdated.
  stale_generation = 8,
  /// There is no such running container; who wanted it gone has it.
  not_running = 9,
  /// The driver was told to leave its containers alone (`release_containers`): the agent is going away, they stay.
  released = 10,
  /// A newer request for the same container took this one's place while it waited.
  superseded = 11,
  /// The stated bound of containers or of waiting requests is reached.
  too_many = 12,
  /// This host offers no driver for such a container: the sentence says what is missing.
  no_driver = 13,
  /// The image cannot be had: the sentence is the image keeper's.
  image_unavailable = 14,
  /// A volume or file of the container cannot be given to it: a host path that is not allowed or not there.
  volume_refused = 15,
  /// The OCI runtime or conmon failed, or refused the container in words that mean none of the above.
  runtime_failed = 16,
  /// The instance's network cannot be made: a missing plugin, a range that is in use, a device that is not ours.
  network_failed = 17,
  /// The container engine of this host does not answer at the moment. Nothing failed yet: ask again in a second. Of an engine
  /// that stays away `runtime_failed` is the answer.
  engine_away = 18,
  /// The image is on its way, or its source does not answer. Nothing failed yet: ask again in a second.
  image_awaited = 19,
  /// The disk of the data directory has no room for a start. Nothing failed yet: ask again in a second. Of one that stays full
  /// `data_directory_unusable` is the answer.
  disk_full = 20,
};

/// True when the same request may succeed later without anybody changing a spec; the only oracle for that.
constexpr bool is_retryable(driver_errc code) {
  return code == driver_errc::fork_failed || code == driver_errc::record_failed || code == driver_errc::too_many
         || code == driver_errc::data_directory_unusable || code == driver_errc::image_unavailable
         || code == driver_errc::runtime_failed || code == driver_errc::network_failed || code == driver_errc::engine_away
         || code == driver_errc::image_awaited || code == driver_errc::disk_full;
}

/// The name of `code` as logs and problem documents carry it.
std::string_view to_text(driver_errc code);

/// Everything a driver needs to run one container.
struct container_order {
  std::string name;             ///< tenant.application.service-N.container; unique on the host
  std::string instance;         ///< tenant.application.service-N
  std::uint64_t generation = 0; ///< of the instance
  std::string spec_hash;        ///< equal for orders that the same process can serve (`application_plan.hpp`)
  config::container_spec spec;
  std::map<std::string, std::string> env; ///< complete; drivers add only PATH if there is none, and their own marks
  config::instance_network network = config::instance_network::host;
  bool init = false; ///< runs once to its end before the instance's other containers are started
  bool has_input = false; ///< who ordered it writes its standard input (`container_input.hpp`); else there is nothing to read

  PRUNELLA_FIELDS(container_order, name, instance, generation, spec_hash, spec, env, network, init, has_input)
};

/// Fetches and checks what a later start needs (image, folders, command). → `container_prepared`. Idempotent.
struct prepare_container {
  container_order order;

  PRUNELLA_FIELDS(prepare_container, order)
};

struct container_prepared {
  std::string name;

  PRUNELLA_FIELDS(container_prepared, name)
};

/// Runs the container and makes the sender its owner. → `container_started` once the program was executed (for a process:
/// after a successful `execve`) and its record is durable. Idempotent: the same name, generation and spec hash that
/// already runs is adopted as it is; of one that ended well, and of which only a killed agent may have heard, that end is told
/// next, once, and nothing is started. An older generation or another spec under this name is stopped first, with its own
/// grace. Errors: all but not_running; afterwards nothing of this order runs.
struct start_container {
  container_order order;

  PRUNELLA_FIELDS(start_container, order)
};

/// As `start_container`, but never starts anything: makes the sender the owner of what runs. → `container_started`, or
/// not_running.
struct adopt_container {
  container_order order;

  PRUNELLA_FIELDS(adopt_container, order)
};

struct container_started {
  std::string name;
  std::uint64_t generation = 0;
  std::int64_t pid = 0;
  std::uint64_t start_ticks = 0;  ///< with `pid` the identity of the process until the next boot (proc(5), stat field 22)
  std::int64_t started_at_ms = 0; ///< Unix time, also for an adopted one
  bool adopted = false;           ///< it ran before this request
  std::string address{};          ///< numeric, of its instance in a network of its own; empty: the host's

  PRUNELLA_FIELDS(container_started, name, generation, pid, start_ticks, started_at_ms, adopted, address)
};

/// Ends the container: polite signal, `grace`, then kill; with all processes that it left in its group. → its
/// `container_exited` once it is gone; waits longer than `grace` only for a process that even SIGKILL does not end at once.
/// Repeating it with a shorter grace shortens the wait. Errors: not_running, stale_generation (a newer one runs), released.
struct stop_container {
  std::string name;
  std::uint64_t generation = 0;
  std::chrono::milliseconds grace{10'000};

  PRUNELLA_FIELDS(stop_container, name, generation, grace)
};

/// Sends signal `number` to the container's main process. → unit, or not_running.
struct signal_container {
  std::string name;
  std::uint64_t generation = 0;
  std::int32_t number = 0;

  PRUNELLA_FIELDS(signal_container, name, generation, number)
};

/// → its `container_exited` when it ends, whoever ended it. Errors: not_running, too_many.
struct wait_container {
  std::string name;
  std::uint64_t generation = 0;

  PRUNELLA_FIELDS(wait_container, name, generation)
};

/// How a container ended. Sent once to its owner, also when a stop was asked for.
struct container_exited {
  std::string name;
  std::string instance;
  std::uint64_t generation = 0;
  std::int64_t pid = 0;
  bool known = false;         ///< false: nobody was left who could learn how it ended; code and signal are 0 then
  std::int32_t exit_code = 0; ///< 0 … 255, when it exited by itself
  std::int32_t signal = 0;    ///< > 0: killed by it
  bool stopped = false;       ///< a `stop_container` or a replacing start had asked for it
  std::chrono::microseconds user_time{0};
  std::chrono::microseconds system_time{0};
  std::int64_t max_rss_bytes = 0; ///< 0: not known (adopted)
  std::int64_t exited_at_ms = 0;  ///< Unix time at which the driver noticed
  std::string last_words;         ///< the last line of its standard error if it failed by itself, or why, if the driver knows; else empty
  bool out_of_memory = false;     ///< it failed, and the kernel had killed a process of it for lack of memory
  std::int64_t memory_limit_bytes = 0; ///< that it ran out of; 0: its own limit was not the reason, or is not known

  PRUNELLA_FIELDS(container_exited, name, instance, generation, pid, known, exit_code, signal, stopped, user_time,
                  system_time, max_rss_bytes, exited_at_ms, last_words, out_of_memory, memory_limit_bytes)
};

/// → `recovered_containers`: all that run at this moment, or ended and nobody here has heard of it. Who
/// started the agent afresh compares those without an owner with what is assigned: wanted ones are adopted by their
/// `start_container`, the others are to be stopped.
struct recover_containers {
  /// Leaves out those that a living actor started or adopted, and adds those on their way up whose starter is gone.
  bool only_without_owner = false;

  PRUNELLA_FIELDS(recover_containers, only_without_owner)
};

struct recovered_container {
  std::string name;
  std::string instance;
  std::uint64_t generation = 0;
  std::string spec_hash;
  std::int64_t pid = 0;
  std::int64_t started_at_ms = 0;

  PRUNELLA_FIELDS(recovered_container, name, instance, generation, spec_hash, pid, started_at_ms)
};

struct recovered_containers {
  std::vector<recovered_container> containers;
  bool is_complete = true; ///< false: what earlier agents left without a record is still being ended, and not among them

  PRUNELLA_FIELDS(recovered_containers, containers, is_complete)
};

/// → `container_stats_list`: use of each running container, or of one. Errors: not_running for an unknown name.
struct get_container_stats {
  std::string name; ///< empty: all

  PRUNELLA_FIELDS(get_container_stats, name)
};

struct container_stats {
  std::string name;
  std::uint64_t generation = 0;
  std::uint32_t processes = 0; ///< of its group
  std::chrono::microseconds user_time{0};
  std::chrono::microseconds system_time{0};
  std::int64_t rss_bytes = 0;

  PRUNELLA_FIELDS(container_stats, name, generation, processes, user_time, system_time, rss_bytes)
};

struct container_stats_list {
  std::vector<container_stats> containers;

  PRUNELLA_FIELDS(container_stats_list, containers)
};

/// Deletes what ended containers left on the host, folders with their logs, of all that neither run here nor are named in
/// `keep`, and lets go of the images of all that neither run here nor are `assigned`. → unit, when the folders are out of the way:
/// that they take no room any more may be later; also when there is nothing. Errors: data_directory_unusable for the first that
/// cannot be moved away, after trying the others.
struct tidy_folders {
  std::vector<std::string> keep;     ///< names of containers
  std::vector<std::string> assigned; ///< those that this host is to run: a restart of them takes the image that they hold

  PRUNELLA_FIELDS(tidy_folders, keep, assigned)
};

/// From now on every container stays: starts, stops and signals are refused with `released`. → unit. For an agent that ends
/// or is updated and whose containers shall go on. There is no way back but a new driver.
struct release_containers {
  std::string reason; ///< for the error texts, as in "the agent is being updated"

  PRUNELLA_FIELDS(release_containers, reason)
};

/// Stops all containers at once, each with its own grace but at most `grace_limit`. → unit when the last is gone.
struct stop_all_containers {
  std::chrono::milliseconds grace_limit{10'000};

  PRUNELLA_FIELDS(stop_all_containers, grace_limit)
};

/// Runs a further command in a running container: with its environment, working directory, user and limits, nothing on its
/// standard input. → `exec_result` when it ended or `timeout` was over; then its process group is killed. It counts against
/// the container's processor limit, and so does what runc needs to enter the container (about 30 ms of one core).
/// Errors: not_running (also when the container ends meanwhile), invalid_request, command_not_found,
/// command_not_executable, working_directory_missing, fork_failed, runtime_failed, released, and too_many when the host
/// runs as many such commands as its driver takes (16).
struct exec_container {
  std::string name;
  std::uint64_t generation = 0; ///< 0: whichever runs
  std::vector<std::string> command;
  std::chrono::milliseconds timeout{10'000}; ///< 1 ms … 1 h

  PRUNELLA_FIELDS(exec_container, name, generation, command, timeout)
};

/// How a command in a container ended.
struct exec_result {
  bool timed_out = false;     ///< killed, as it took longer than it may
  std::int32_t exit_code = 0; ///< 0 … 255; as in a shell 128 + N where signal N ended it
  std::string output;         ///< the first 4 KiB that it printed, both streams; runc may swap what came at the same moment
  bool has_more_output = false;
  std::chrono::milliseconds took{0};

  bool succeeded() const { return !timed_out && exit_code == 0; }

  PRUNELLA_FIELDS(exec_result, timed_out, exit_code, output, has_more_output, took)
};

/// → `command_plan`: how this host's agent runs `command` in a running container, for who does that itself. Errors: as
/// `exec_container`, before anything was run.
struct plan_command {
  std::string name;
  std::uint64_t generation = 0; ///< 0: whichever runs
  std::vector<std::string> command;
  std::string terminal; ///< what kind of terminal its standard streams are, for its TERM; empty: they are none

  PRUNELLA_FIELDS(plan_command, name, generation, command, terminal)
};

/// A process of the host that is, or starts and stands for, a command in a container (`command_runner.hpp`).
struct command_plan {
  std::string container;
  std::uint64_t generation = 0;
  std::vector<std::string> command;     ///< argv; the first is an absolute path
  std::vector<std::string> environment; ///< `NAME=value`, all of it
  std::string working_directory;        ///< absolute
  std::string pid_file; ///< where the runtime writes the pid of the command; empty: the process is the command
  std::string cgroup;   ///< in which that pid is to be found: else it is another process's by now

  PRUNELLA_FIELDS(command_plan, container, generation, command, environment, working_directory, pid_file, cgroup)
};

/// Why a driver function failed, before it becomes a `caf::error` (`driver_error.hpp`).
struct driver_failure {
  driver_errc code = driver_errc::invalid_request;
  std::string message; ///< a sentence: what, where, what would be right
};

/// How `exited` reads: "exited with code 3", "was killed by signal 9 (SIGKILL)", "ran out of memory (its limit is 64 MiB)
/// and was killed", "ended, and nobody saw how".
std::string describe_exit(const container_exited& exited);

/// Whether it ended by itself, as one that did its work: nobody told it to stop, and the driver knows of nothing that made it.
bool has_ended_well(const container_exited& exited);

} // namespace prunella::actors
