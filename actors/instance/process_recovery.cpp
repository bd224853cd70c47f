#include "actors/instance/process_recovery.hpp"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <functional>

namespace prunella::actors {

namespace {

// A process that forks faster than this many scans can follow is stopped by the host's process limit, not by us.
constexpr int max_rounds = 10;

// In the middle of an execve a process shows no environment, so one empty scan proves nothing.
constexpr int proving_rounds = 2;
constexpr int proving_pause_ms = 2;

std::size_t kill_marked(std::string_view agent,
                        const std::function<std::vector<marked_process>(std::vector<marked_process>)>& choose) {
  std::size_t killed = 0;
  int empty = 0;
  for (int round = 0; round < max_rounds && empty < proving_rounds; ++round) {
    const auto victims = choose(find_marked_processes(agent));
    empty = victims.empty() ? empty + 1 : 0;
    if (empty == 1)
      ::poll(nullptr, 0, proving_pause_ms);
    for (const auto& victim : victims)
      if (const auto process = open_process(victim.stat.pid, victim.stat.start_ticks))
        killed += signal_process(*process, SIGKILL) ? 1U : 0U;
  }
  return killed;
}

} // namespace

process_recovery recover_processes(const std::vector<storage::container_record>& records, const std::string& boot_id) {
  process_recovery recovery;
  for (const auto& record : records) {
    auto process = record.boot_id == boot_id && !boot_id.empty()
                     ? open_process(static_cast<pid_t>(record.pid), record.start_time_ticks)
                     : std::nullopt;
    if (process)
      recovery.running.push_back({record, std::move(*process)});
    else
      recovery.gone.push_back(record.name);
  }
  return recovery;
}

std::size_t kill_recorded(const std::vector<storage::container_record>& records, const std::string& boot_id) {
  const auto found = recover_processes(records, boot_id).running;
  for (const auto& [record, process] : found) {
    if (const auto monitor = open_process(static_cast<pid_t>(record.monitor_pid), record.monitor_start_ticks))
      signal_process(*monitor, SIGKILL);
    signal_group(process, SIGKILL); // of a container it is the first process: what else is in there ends with it
    signal_process(process, SIGKILL);
  }
  return found.size();
}

std::vector<marked_process> find_orphans(std::vector<marked_process> marked,
                                         const std::vector<storage::container_record>& running) {
  const auto belongs = [&](const marked_process& process) {
    return std::any_of(running.begin(), running.end(), [&](const storage::container_record& record) {
      return record.name == process.mark.container && record.generation == process.mark.generation;
    });
  };
  marked.erase(std::remove_if(marked.begin(), marked.end(), belongs), marked.end());
  return marked;
}

std::size_t kill_orphans(std::string_view agent, const std::vector<storage::container_record>& running) {
  return kill_marked(agent, [&](std::vector<marked_process> marked) { return find_orphans(std::move(marked), running); });
}

std::size_t kill_leftovers(std::string_view agent, std::string_view container, std::uint64_t generation) {
  return kill_marked(agent, [&](std::vector<marked_process> marked) {
    const auto other = [&](const marked_process& process) {
      return process.mark.container != container || process.mark.generation != generation;
    };
    marked.erase(std::remove_if(marked.begin(), marked.end(), other), marked.end());
    return marked;
  });
}

} // namespace prunella::actors
