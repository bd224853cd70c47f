#include "actors/host/instance_table.hpp"

#include <algorithm>
#include <utility>

namespace prunella::actors {

namespace {

std::string container_state(container_phase phase, bool is_known) {
  return is_known ? std::string{to_text(phase)} : std::string{"pending"};
}

bool has_ended(container_phase phase) { return phase == container_phase::exited || phase == container_phase::failed; }

} // namespace

void instance_table::expect(const instance_plan& plan) {
  auto& x = instances_[plan.name];
  if (x.generation != plan.generation) {
    give_ups_ += x.gave_up ? 1 : 0;
    x = {};
  }
  x.generation = plan.generation;
  x.restart = plan.restart.type;
  std::vector<container> containers;
  for (const auto& order : plan.containers) {
    const auto known = std::find_if(x.containers.begin(), x.containers.end(),
                                    [&](const auto& c) { return c.name == order.name; });
    containers.push_back(known == x.containers.end() ? container{} : *known);
    containers.back().name = order.name;
    containers.back().is_init = order.init;
  }
  x.containers = std::move(containers);
}

void instance_table::forget(const std::string& name) {
  const auto known = instances_.extract(name);
  give_ups_ += known && known.mapped().gave_up ? 1 : 0;
}

void instance_table::take(const container_report& report) {
  const auto it = instances_.find(report.instance);
  if (it == instances_.end() || it->second.generation != report.generation)
    return;
  auto& containers = it->second.containers;
  const auto found = std::find_if(containers.begin(), containers.end(),
                                  [&](const auto& c) { return c.name == report.container; });
  if (found == containers.end())
    return;
  auto& x = *found;
  x.waits_for = report.phase == container_phase::starting ? report.reason.substr(0, max_reason_bytes) : std::string{};
  if (report.phase == container_phase::starting && x.waits_for.empty()) // else it is the same start, that waits for an engine
    count_start(x);
  x.is_known = true;
  x.was_told = report.phase == container_phase::stopping || (x.was_told && has_ended(report.phase));
  x.phase = report.phase;
  x.pid = has_ended(report.phase) ? 0 : report.pid;
  x.started_at = report.started_at_ms;
  x.is_ready = report.is_ready;
  x.unready_reason = report.unready_reason.substr(0, max_reason_bytes);
  x.address = report.phase == container_phase::running ? report.address : std::string{};
  if (report.phase == container_phase::running) {
    x.has_ran = true;
    x.is_adopted = report.adopted;
    if (report.adopted && std::exchange(x.counts_restart, false))
      --x.restarts; // it had been running all along
  }
  if (has_ended(report.phase) && x.was_told) {
    x.ended_number = 0;
  } else if (has_ended(report.phase)) {
    x.reason = report.reason.substr(0, max_reason_bytes);
    x.has_passed = x.is_init && report.phase == container_phase::exited;
    x.ended_number = ++ends_;
  }
}

/// A container that was told to stop before it ran, as one that waits for an init container that fails, was never restarted; nor
/// is an init container that did its work before.
void instance_table::count_start(container& x) {
  const bool is_first = !x.is_known;
  const bool was_wanted = has_ended(x.phase) && (x.was_told ? !x.has_ran || x.is_init : x.has_passed);
  x.counts_restart = !is_first && !was_wanted;
  x.restarts += x.counts_restart ? 1 : 0;
  x.has_ran = false;
}

/// Of those that do not run.
const instance_table::container* instance_table::culprit_of(const instance& x) {
  const container* culprit = nullptr;
  for (const auto& c : x.containers)
    if (c.phase != container_phase::running && c.ended_number > 0 && !c.has_passed && (culprit == nullptr || c.ended_number > culprit->ended_number))
      culprit = &c;
  return culprit;
}

std::string instance_table::cause_of(const std::string& name) const {
  const auto it = instances_.find(name);
  const auto* culprit = it == instances_.end() ? nullptr : culprit_of(it->second);
  return culprit == nullptr ? std::string{} : culprit->name + ' ' + culprit->reason;
}

bool instance_table::is_adopted(const std::string& name) const {
  const auto it = instances_.find(name);
  return it != instances_.end() && std::all_of(it->second.containers.begin(), it->second.containers.end(), [](const auto& c) {
    return c.is_adopted || (c.is_init && c.phase == container_phase::exited);
  });
}

void instance_table::give_up(const std::string& name, const std::string& reason) {
  const auto it = instances_.find(name);
  if (it == instances_.end())
    return;
  it->second.gave_up = true;
  it->second.give_up_reason = reason.substr(0, max_reason_bytes);
  ++give_ups_;
}

bool instance_table::has_given_up(const std::string& name, std::uint64_t generation) const {
  const auto it = instances_.find(name);
  return it != instances_.end() && it->second.gave_up && it->second.generation == generation;
}

instance_phase instance_table::phase_of(const instance& x, std::string& reason) {
  if (x.gave_up) {
    reason = x.give_up_reason;
    return instance_phase::failed;
  }
  std::size_t running = 0;
  std::size_t done = 0;
  std::size_t known = 0;
  bool is_stopping = false;
  bool has_failed = false;
  bool waits_for_init = false; // those behind
  const auto* culprit = culprit_of(x);
  for (const auto& c : x.containers) {
    known += c.is_known ? 1 : 0;
    running += c.is_known && c.phase == container_phase::running ? 1 : 0;
    is_stopping = is_stopping || (c.is_known && c.was_told);
    const bool is_final = c.phase == container_phase::exited ? c.is_init || x.restart != config::restart_type::permanent
                                                             : c.phase == container_phase::failed
                                                                 && x.restart == config::restart_type::temporary;
    done += c.is_known && is_final ? 1 : 0;
    has_failed = has_failed || (c.is_known && is_final && c.phase == container_phase::failed);
    // What holds up an init container says more than that others wait for it.
    if (!c.waits_for.empty() && (reason.empty() || !waits_for_init))
      reason = c.name + " waits: " + c.waits_for;
    else if (&c == culprit) // also while it starts again: who looks hardly sees the moment between
      reason = c.name + ' ' + c.reason + (is_final ? "; it is not started again" : "");
    waits_for_init = waits_for_init || (c.is_init && !c.has_passed);
  }
  if (is_stopping)
    return instance_phase::stopping;
  if (done > 0 && done == x.containers.size())
    return has_failed ? instance_phase::failed : instance_phase::finished;
  if (running > 0 && running + done == x.containers.size())
    return instance_phase::running;
  return known == 0 ? instance_phase::pending : instance_phase::starting;
}

std::optional<instance_report> instance_table::report(const std::string& name) const {
  const auto it = instances_.find(name);
  if (it == instances_.end())
    return std::nullopt;
  const auto& x = it->second;
  instance_report report;
  report.instance = name;
  report.generation = x.generation;
  report.gave_up = x.gave_up;
  report.phase = phase_of(x, report.reason);
  for (const auto& c : x.containers) {
    report.restarts += c.restarts;
    report.containers.push_back({c.name, container_state(c.phase, c.is_known), c.pid, c.restarts, c.waits_for.empty() ? c.reason : c.waits_for});
    if (c.phase == container_phase::running) {
      report.pid = report.pid == 0 ? c.pid : report.pid;
      report.started_at = std::max(report.started_at, c.started_at);
      if (!c.is_ready && report.ready) {
        report.ready = false;
        report.reason = "not ready: " + c.name + ": " + c.unready_reason;
      }
      report.address = c.address;
    }
  }
  return report;
}

std::vector<std::string> instance_table::instances() const {
  std::vector<std::string> result;
  for (const auto& [name, x] : instances_)
    result.push_back(name);
  return result;
}

} // namespace prunella::actors
