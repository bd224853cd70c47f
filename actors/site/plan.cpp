#include "actors/site/plan.hpp"

#include <algorithm>

#include "actors/names.hpp"
#include "actors/site/placement.hpp"

namespace prunella::actors {

namespace {

constexpr time_ms longest_avoidance_ms = 3'600'000;

/// An instance that is wanted, with what is assigned now.
struct candidate {
  wanted_instance wanted;
  const assignment* current = nullptr; ///< null: never placed
  std::string reason;                  ///< why it needs a (new) host; empty: it stays
  std::string cause;
  std::vector<avoided_host> avoided;
};

std::map<std::string, candidate> wanted_instances(const site_state& state) {
  std::map<std::string, candidate> result;
  for (const auto& [key, record] : state.applications)
    for (const auto& service : record.spec.services)
      for (std::uint32_t replica = 1; replica <= service.replicas; ++replica) {
        auto name = instance_name(record.spec.tenant, record.spec.name, service.name, replica);
        auto current = state.assignments.find(name);
        candidate x;
        x.wanted = {&record.spec, &service, replica, nullptr};
        if (current != state.assignments.end()) {
          x.current = &current->second;
          x.avoided = current->second.avoided;
        }
        result.emplace(std::move(name), std::move(x));
      }
  return result;
}

std::string application_object(const candidate& x) {
  return "application/" + application_key(x.wanted.application->tenant, x.wanted.application->name);
}

assignment_change removal(const site_state& state, const std::string& name, const assignment& current) {
  assignment_change change;
  change.instance = name;
  change.from_host = current.host;
  change.from_generation = current.generation;
  change.remove = true;
  const auto key = application_key(current.tenant, current.application);
  change.cause = "application/" + key;
  change.next.reason = state.applications.count(key) != 0 ? "no longer wanted by its application" : "application deleted";
  return change;
}

void note_failure(candidate& x, const gave_up_report& report, time_ms now) {
  auto it = std::find_if(x.avoided.begin(), x.avoided.end(), [&](const auto& a) { return a.host == report.host; });
  if (it == x.avoided.end()) {
    x.avoided.push_back({report.host, 0, 0, 0, {}});
    it = std::prev(x.avoided.end());
  }
  it->generation = report.generation;
  // An hour of peace there, and the next failure is a first one again.
  it->times = it->times > 0 && now - it->until < longest_avoidance_ms ? it->times + 1 : 1;
  it->until = now + avoidance_ms(it->times);
  it->reason = report.reason;
}

/// Whether `x` has to leave its host, and why. Also notes on the candidate that it gave up there.
void judge(candidate& x, const std::string& name, const site_state& state, const gave_up_reports& gave_up,
           placement_board& board, time_ms now) {
  if (x.current == nullptr || x.current->host.empty()) {
    x.reason = "placed";
    x.cause = application_object(x);
    return;
  }
  const auto& host = x.current->host;
  const auto report = gave_up.find(name);
  const auto record = state.hosts.find(host);
  if (record == state.hosts.end() || !record->second.up) {
    x.reason = host + " is down" + (record == state.hosts.end() ? std::string{} : ": " + record->second.reason);
    x.cause = "host/" + host;
  } else if (report != gave_up.end() && report->second.host == host
             && report->second.generation == x.current->generation) {
    note_failure(x, report->second, now);
    x.reason = "gave up on " + host + ": " + report->second.reason;
    x.cause = "instance/" + name;
  } else if (const auto why = board.check(x.wanted, host, now)) {
    x.reason = host + " no longer fits (" + to_text(*why, *x.wanted.service) + ")";
    x.cause = application_object(x);
  } else {
    board.occupy(x.wanted, host);
  }
}

/// The latest failure, for the reason of an instance that found no host.
std::string last_failure(const candidate& x) {
  const avoided_host* latest = nullptr;
  for (const auto& avoided : x.avoided)
    if (latest == nullptr || avoided.generation > latest->generation)
      latest = &avoided;
  return latest == nullptr ? std::string{} : "gave up on " + latest->host + ": " + latest->reason + "; ";
}

} // namespace

time_ms avoidance_ms(std::uint32_t times_in_a_row) {
  constexpr time_ms first = 30'000;
  const auto doublings = std::min<std::uint32_t>(times_in_a_row == 0 ? 0 : times_in_a_row - 1, 7);
  return std::min(first << doublings, longest_avoidance_ms);
}

site_plan plan(const site_state& state, const gave_up_reports& gave_up, time_ms now) {
  site_plan result;
  auto wanted = wanted_instances(state);
  for (const auto& [name, current] : state.assignments)
    if (wanted.find(name) == wanted.end())
      result.changes.changes.push_back(removal(state, name, current));

  placement_board board{state};
  for (auto& [name, x] : wanted)
    judge(x, name, state, gave_up, board, now);

  for (auto& [name, x] : wanted) {
    if (x.reason.empty())
      continue;
    x.wanted.avoided = &x.avoided;
    const auto choice = board.choose(x.wanted, now);
    assignment_change change;
    change.instance = name;
    change.cause = x.cause;
    if (x.current != nullptr) {
      change.from_host = x.current->host;
      change.from_generation = x.current->generation;
    }
    change.next.tenant = x.wanted.application->tenant;
    change.next.application = x.wanted.application->name;
    change.next.service = x.wanted.service->name;
    change.next.replica = x.wanted.replica;
    change.next.avoided = x.avoided;
    change.next.host = choice.host;
    change.next.reason = choice.host.empty() ? last_failure(x) + explain(choice.rejected, *x.wanted.service) : x.reason;
    if (choice.host.empty()) {
      for (const auto& avoided : x.avoided)
        if (now < avoided.until && (result.look_again_at == 0 || avoided.until < result.look_again_at))
          result.look_again_at = avoided.until;
      // Nothing new to say: an unplaced instance is written once, not at every look.
      if (x.current != nullptr && x.current->host.empty() && x.current->reason == change.next.reason)
        continue;
    } else {
      board.occupy(x.wanted, choice.host);
    }
    result.changes.changes.push_back(std::move(change));
  }
  auto& changes = result.changes.changes;
  if (changes.size() > max_plan_changes)
    changes.resize(max_plan_changes);
  return result;
}

} // namespace prunella::actors
