#pragma once

// What a fresh process driver finds: which recorded containers still run, and which processes of ours nobody recorded.

#include <string>
#include <string_view>
#include <vector>

#include "actors/instance/proc_filesystem.hpp"
#include "actors/instance/process.hpp"
#include "storage/container_records.hpp"

namespace prunella::actors {

struct recovered_process {
  storage::container_record record;
  process_handle process; ///< alive, or our own child that ended and can be collected
};

struct process_recovery {
  std::vector<recovered_process> running; ///< ordered by name
  std::vector<std::string> gone;          ///< names whose process ended, or whose number now means another process
};

/// Opens the recorded processes of boot `boot_id`. Never takes over a process that was not recorded with its start time.
process_recovery recover_processes(const std::vector<storage::container_record>& records, const std::string& boot_id);

/// Kills what `records` say runs since boot `boot_id`, and its monitors: where nobody offers its driver any more, nobody could
/// ever look after it, and its instance is about to be started elsewhere or otherwise. Returns how many containers that were.
std::size_t kill_recorded(const std::vector<storage::container_record>& records, const std::string& boot_id);

/// Which of `marked` belong to none of the `running` containers: started in the moment before a crash of the agent, so
/// never reported to anybody, or left behind by a container that is gone. Members of a running container with the right
/// generation stay, also when they left its process group.
std::vector<marked_process> find_orphans(std::vector<marked_process> marked,
                                         const std::vector<storage::container_record>& running);

/// Kills the processes with a mark of `agent` that belong to none of the `running` containers, and what they start
/// meanwhile; returns how many. They get no grace: no one ever learnt that they ran.
std::size_t kill_orphans(std::string_view agent, const std::vector<storage::container_record>& running);

/// Kills what generation `generation` of `container` left outside its process group (daemons that made an own session).
std::size_t kill_leftovers(std::string_view agent, std::string_view container, std::uint64_t generation);

} // namespace prunella::actors
