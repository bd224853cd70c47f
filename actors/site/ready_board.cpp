#include "actors/site/ready_board.hpp"

#include <utility>

#include "actors/names.hpp"
#include "actors/site/service_ports.hpp"

namespace prunella::actors {

bool ready_board::refresh(const site_state& state, const observations& seen) {
  ready_table next;
  next.term = table_.term;
  next.revision = table_.revision;
  const auto reached = reached_services(state);
  std::size_t bytes = 0;
  if (!reached.empty())
    for (const auto& [name, x] : state.assignments) {
      const auto host = state.hosts.find(x.host);
      if (host == state.hosts.end() || !host->second.up || x.leaves_since != 0
          || reached.count({application_key(x.tenant, x.application), x.service}) == 0)
        continue;
      const auto* report = seen.find(x.host, name);
      if (report == nullptr || report->generation != x.generation || !is_ready(*report))
        continue;
      bytes += name.size() + x.host.size() + 16;
      if (bytes > max_ready_bytes)
        break; // more than one message takes; the rest is served by its own host only
      next.ready.push_back({name, x.generation, x.host});
    }
  for (const auto& [id, host] : state.hosts) {
    if (const auto door = doors_.find(id); door != doors_.end())
      next.doors.push_back({id, door->second});
    if (host.up && !seen.has_heard(id))
      next.silent.push_back(id);
  }
  if (next == table_ && table_.revision != 0)
    return false;
  ++next.revision;
  table_ = std::move(next);
  return true;
}

} // namespace prunella::actors
