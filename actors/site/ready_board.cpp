#include "actors/site/ready_board.hpp"

#include <set>
#include <utility>

#include "actors/names.hpp"

namespace prunella::actors {

namespace {

/// Services with a published port, as (key of the application, service).
std::set<std::pair<std::string, std::string>> published_services(const site_state& state) {
  std::set<std::pair<std::string, std::string>> result;
  for (const auto& [key, record] : state.applications)
    for (const auto& service : record.spec.services)
      for (const auto& container : service.containers)
        for (const auto& port : container.ports)
          if (port.publish != 0)
            result.emplace(key, service.name);
  return result;
}

} // namespace

bool ready_board::refresh(const site_state& state, const observations& seen) {
  ready_table next;
  next.term = table_.term;
  next.revision = table_.revision;
  const auto published = published_services(state);
  std::size_t bytes = 0;
  if (!published.empty())
    for (const auto& [name, x] : state.assignments) {
      const auto host = state.hosts.find(x.host);
      if (host == state.hosts.end() || !host->second.up
          || published.count({application_key(x.tenant, x.application), x.service}) == 0)
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
