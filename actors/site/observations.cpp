#include "actors/site/observations.hpp"

namespace prunella::actors {

namespace {

/// What a report weighs in memory, about.
std::size_t weight_of(const instance_report& report) {
  auto bytes = sizeof(report) + 2 * report.instance.size() + report.reason.size();
  for (const auto& x : report.containers)
    bytes += sizeof(x) + x.name.size() + x.state.size() + x.reason.size();
  return bytes;
}

instance_end end_of(const instance_report& report) {
  if (report.gave_up)
    return instance_end::none; // another host may have more luck
  return report.phase == instance_phase::finished ? instance_end::finished
         : report.phase == instance_phase::failed ? instance_end::failed
                                                  : instance_end::none;
}

} // namespace

std::uint64_t observations::take(const host_heartbeat& beat, runtime::instant now) {
  auto& x = hosts_[beat.host];
  const auto known = beat.incarnation == x.incarnation ? x.revision : 0;
  if (!beat.has_reports)
    return known;
  if (beat.since_revision == 0)
    clear(beat.host, x);
  else if (beat.since_revision != known)
    return known; // differences to something that is not held here; a repeated or reordered heartbeat ends here as well
  x.incarnation = beat.incarnation;
  x.revision = beat.revision;
  for (const auto& report : beat.reports)
    put(beat.host, x, report, now);
  for (const auto& instance : beat.gone)
    remove(beat.host, x, instance);
  if (x.bytes > max_held_bytes) { // no sound host has as much to say
    clear(beat.host, x);
    x.revision = 0;
  } else if (beat.carried_out != x.carried_out) {
    x.carried_out = beat.carried_out; // also back: a host that begins to doubt what runs there takes its word back
    ++revision_;
  }
  return x.revision;
}

void observations::replace(const std::string& host, const std::vector<instance_report>& all, runtime::instant now) {
  auto& x = hosts_[host];
  clear(host, x);
  for (const auto& report : all)
    put(host, x, report, now);
}

void observations::clear(const std::string& host, from_host& x) {
  for (const auto& [instance, report] : x.reports)
    where_.erase({instance, host});
  revision_ += x.reports.empty() ? 0 : 1;
  ends_revision_ += x.gave_up.empty() && x.ended.empty() ? 0 : 1;
  x.reports.clear();
  x.ready_since.clear();
  x.gave_up.clear();
  x.ended.clear();
  x.bytes = 0;
  x.carried_out = 0;
}

void observations::put(const std::string& host, from_host& x, const instance_report& report, runtime::instant now) {
  ++revision_;
  note_end(x.gave_up, report.instance, report.gave_up);
  note_end(x.ended, report.instance, end_of(report) != instance_end::none);
  auto& held = x.reports[report.instance];
  if (!is_ready(report))
    x.ready_since.erase(report.instance);
  else if (!is_ready(held) || held.generation != report.generation || held.restarts != report.restarts)
    x.ready_since[report.instance] = now;
  if (held.instance.empty())
    where_.emplace(report.instance, host);
  x.bytes += weight_of(report) - (held.instance.empty() ? 0 : weight_of(held));
  held = report;
}

void observations::remove(const std::string& host, from_host& x, const std::string& instance) {
  if (const auto known = x.reports.extract(instance)) {
    where_.erase({instance, host});
    ++revision_;
    x.bytes -= weight_of(known.mapped());
    x.ready_since.erase(instance);
  }
  note_end(x.gave_up, instance, false);
  note_end(x.ended, instance, false);
}

/// Also of one that was known: it may be another generation, with another reason.
void observations::note_end(std::set<std::string>& instances, const std::string& instance, bool is_one) {
  ends_revision_ += instances.erase(instance) != 0 || is_one ? 1 : 0;
  if (is_one)
    instances.insert(instance);
}

const instance_report* observations::find(const std::string& host, const std::string& instance) const {
  const auto& all = of_host(host);
  const auto it = all.find(instance);
  return it == all.end() ? nullptr : &it->second;
}

bool observations::has_heard(const std::string& host) const {
  const auto at = hosts_.find(host);
  return at != hosts_.end() && at->second.revision != 0;
}

bool observations::has_ended(const std::string& host, const std::string& instance, std::uint64_t since) const {
  const auto at = hosts_.find(host);
  return at != hosts_.end() && at->second.carried_out >= since && at->second.reports.count(instance) == 0;
}

std::vector<std::string> observations::hosts_of(const std::string& instance) const {
  std::vector<std::string> hosts;
  for (auto it = where_.lower_bound({instance, {}}); it != where_.end() && it->first == instance; ++it)
    hosts.push_back(it->second);
  return hosts;
}

std::optional<runtime::instant> observations::ready_since(const std::string& host, const std::string& instance,
                                                            std::uint64_t generation) const {
  const auto* report = find(host, instance);
  if (report == nullptr || report->generation != generation)
    return std::nullopt;
  const auto& since = hosts_.at(host).ready_since;
  const auto it = since.find(instance);
  return it == since.end() ? std::nullopt : std::optional{it->second};
}

const observations::reports& observations::of_host(const std::string& host) const {
  static const reports none;
  const auto at = hosts_.find(host);
  return at == hosts_.end() ? none : at->second.reports;
}

gave_up_reports observations::gave_up() const {
  gave_up_reports result;
  for (const auto& [host, x] : hosts_)
    for (const auto& instance : x.gave_up) {
      const auto& report = x.reports.at(instance);
      auto& entry = result[instance];
      if (report.generation >= entry.generation)
        entry = {host, report.generation, report.reason};
    }
  return result;
}

ended_reports observations::ended() const {
  ended_reports result;
  for (const auto& [host, x] : hosts_)
    for (const auto& instance : x.ended) {
      const auto& report = x.reports.at(instance);
      auto& entry = result[instance];
      if (report.generation >= entry.generation)
        entry = {host, report.generation, end_of(report), report.reason};
    }
  return result;
}

} // namespace prunella::actors
