#include "tests/sim/site_record.hpp"

#include <functional>
#include <set>

#include "actors/names.hpp"
#include "actors/site/site_command_bytes.hpp"

namespace prunella::tests {

namespace {

std::string at(const actors::site_state& state) { return " (log index " + std::to_string(state.applied_index) + ')'; }

const config::service_spec* service_of(const actors::site_state& state, const actors::assignment& x) {
  const auto record = state.applications.find(actors::application_key(x.tenant, x.application));
  if (record == state.applications.end())
    return nullptr;
  for (const auto& service : record->second.spec.services)
    if (service.name == x.service)
      return &service;
  return nullptr;
}

} // namespace

void site_record::applied(const std::string& host, const memory_database_file::content& content) {
  std::string bytes;
  for (const auto& [key, value] : content.rows)
    bytes += key.first + '\0' + key.second + '\0' + std::to_string(value.size()) + '\0' + value;
  const auto digest = std::hash<std::string>{}(bytes);
  const auto [seen, is_new] = digests_.try_emplace(content.index, digest, host);
  if (!is_new) {
    if (seen->second.first != digest)
      throw broken_promise(host + " and " + seen->second.second + " hold different states at log index "
                           + std::to_string(content.index));
    return;
  }
  actors::site_state state;
  for (const auto& [key, value] : content.rows)
    if (!actors::load_row(state, {key.first, key.second}, value))
      throw broken_promise(host + " stored a row that cannot be read: " + key.first + ' ' + key.second);
  state.applied_index = content.index;
  for (const auto& [name, x] : state.assignments) {
    if (x.host.empty())
      continue;
    const auto [owner, is_first] = owners_.try_emplace({name, x.generation}, x.host);
    if (!is_first && owner->second != x.host)
      throw broken_promise(name + " generation " + std::to_string(x.generation) + " belongs to " + owner->second + " and to "
                           + x.host + at(state));
  }
  if (content.index <= latest_.applied_index)
    return;
  for (const auto& [name, x] : state.assignments) {
    auto& highest = generations_[name];
    if (!x.host.empty() && x.generation < highest)
      throw broken_promise(name + " went from generation " + std::to_string(highest) + " back to "
                           + std::to_string(x.generation) + at(state));
    highest = std::max(highest, x.generation);
    const auto before = latest_.assignments.find(name);
    const bool is_moved = before != latest_.assignments.end() && !before->second.host.empty()
                          && before->second.generation != x.generation;
    if (is_moved && x.reason == "placed")
      throw broken_promise(name + " was on " + before->second.host + " and was placed once more, on " + x.host + at(state));
  }
  note_moves(state);
  check_placement(state);
  latest_ = std::move(state);
}

/// A new generation elsewhere although the host before is not said to be down: that one has to have ended.
void site_record::note_moves(const actors::site_state& state) {
  for (const auto& [name, x] : state.assignments) {
    const auto before = latest_.assignments.find(name);
    if (x.host.empty() || before == latest_.assignments.end() || before->second.host.empty() || before->second.host == x.host
        || before->second.generation == x.generation || x.reason.find(" is down") != std::string::npos)
      continue;
    moved_away_[name] = {before->second.host, before->second.generation};
  }
}

void site_record::check_placement(const actors::site_state& state) const {
  std::map<std::string, config::resources> used;
  std::set<std::pair<std::string, std::uint16_t>> ports;
  std::map<std::pair<std::string, std::string>, std::set<std::string>> services; // (host, application) → services there
  for (const auto& [name, x] : state.assignments) {
    const bool takes_room = !x.host.empty() && x.ended == actors::instance_end::none;
    const auto* service = takes_room ? service_of(state, x) : nullptr;
    if (service == nullptr)
      continue;
    for (const auto& container : service->containers) {
      used[x.host].cpu_millis += container.resources.cpu_millis;
      used[x.host].memory_bytes += container.resources.memory_bytes;
      for (const auto& port : container.ports)
        if (!ports.emplace(x.host, port.port).second)
          throw broken_promise("port " + std::to_string(port.port) + " of " + x.host + " is given to two instances" + at(state));
    }
    auto& there = services[{x.host, actors::application_key(x.tenant, x.application)}];
    for (const auto& foe : service->placement.anti_affinity)
      if (foe == x.service ? there.count(foe) != 0 : false)
        throw broken_promise("two instances of " + x.application + '/' + foe + " share " + x.host + at(state));
    there.insert(x.service);
  }
  for (const auto& [host, sum] : used) {
    const auto record = state.hosts.find(host);
    if (record == state.hosts.end())
      throw broken_promise(host + " is given instances and is no host of the site" + at(state));
    const auto& has = record->second.spec.capacity;
    if (sum.cpu_millis > has.cpu_millis || sum.memory_bytes > has.memory_bytes)
      throw broken_promise(host + " has " + std::to_string(has.cpu_millis) + "m and is given " + std::to_string(sum.cpu_millis)
                           + "m" + at(state));
  }
}

void site_record::runs(const std::string& host, const std::string& instance, std::uint64_t generation) const {
  const auto owner = owners_.find({instance, generation});
  if (owner == owners_.end())
    throw broken_promise(host + " runs " + instance + " generation " + std::to_string(generation)
                         + ", which the site never assigned");
  if (owner->second != host)
    throw broken_promise(host + " runs " + instance + " generation " + std::to_string(generation) + ", which belongs to "
                         + owner->second);
  const auto moved = moved_away_.find(instance);
  if (moved != moved_away_.end() && moved->second == std::pair{host, generation})
    throw broken_promise(host + " still runs " + instance + " generation " + std::to_string(generation)
                         + " although it was moved from there: two run at the same time");
}

} // namespace prunella::tests
