#include "actors/site/observations.hpp"

#include <algorithm>

namespace prunella::actors {

namespace {

constexpr std::size_t max_remembered_removals = 1'000;

/// What a report weighs in memory, about.
std::size_t weight_of(const instance_report& report) {
  auto bytes = sizeof(report) + 2 * report.instance.size() + report.reason.size();
  for (const auto& x : report.containers)
    bytes += sizeof(x) + x.name.size() + x.state.size() + x.reason.size();
  return bytes;
}

} // namespace

std::uint64_t observations::take(const host_heartbeat& beat) {
  auto& x = hosts_[beat.host];
  if (beat.since_revision == 0) {
    x.reports.clear();
    x.bytes = 0;
  } else if (beat.incarnation != x.incarnation || beat.since_revision != x.revision) {
    // Differences to something that is not held here. A repeated or reordered heartbeat ends here as well.
    return beat.incarnation == x.incarnation ? x.revision : 0;
  }
  x.incarnation = beat.incarnation;
  x.revision = beat.revision;
  for (const auto& report : beat.reports) {
    x.forget(report.instance);
    x.bytes += weight_of(report);
    x.reports.emplace(report.instance, report);
  }
  for (const auto& instance : beat.gone)
    x.forget(instance);
  if (x.bytes > max_report_bytes)
    x = {}; // no sound host has as much to say
  return x.revision;
}

void observations::from_host::forget(const std::string& instance) {
  const auto it = reports.find(instance);
  if (it == reports.end())
    return;
  bytes -= weight_of(it->second);
  reports.erase(it);
}

const instance_report* observations::find(const std::string& host, const std::string& instance) const {
  const auto at = hosts_.find(host);
  if (at == hosts_.end())
    return nullptr;
  const auto it = at->second.reports.find(instance);
  return it == at->second.reports.end() ? nullptr : &it->second;
}

std::vector<instance_report> observations::of_host(const std::string& host) const {
  std::vector<instance_report> result;
  const auto at = hosts_.find(host);
  if (at != hosts_.end())
    for (const auto& [instance, report] : at->second.reports)
      result.push_back(report);
  return result;
}

gave_up_reports observations::gave_up() const {
  gave_up_reports result;
  for (const auto& [host, x] : hosts_)
    for (const auto& [instance, report] : x.reports)
      if (report.gave_up) {
        auto& entry = result[instance];
        if (report.generation >= entry.generation)
          entry = {host, report.generation, report.reason};
      }
  return result;
}

bool report_log::put(const instance_report& report) {
  auto& x = entries_[report.instance];
  if (x.changed_at != 0 && x.report == report)
    return false;
  x.report = report;
  x.changed_at = ++revision_;
  gone_.erase(report.instance);
  return true;
}

bool report_log::remove(const std::string& instance) {
  if (entries_.erase(instance) == 0)
    return false;
  gone_[instance] = ++revision_;
  if (gone_.size() > max_remembered_removals) {
    const auto oldest = std::min_element(gone_.begin(), gone_.end(),
                                         [](const auto& a, const auto& b) { return a.second < b.second; });
    forgotten_ = oldest->second;
    gone_.erase(oldest);
  }
  return true;
}

void report_log::fill(host_heartbeat& beat, std::uint64_t confirmed) const {
  const bool all = confirmed == 0 || confirmed < forgotten_ || confirmed > revision_;
  beat.revision = revision_;
  beat.since_revision = all ? 0 : confirmed;
  beat.reports.clear();
  beat.gone.clear();
  for (const auto& [instance, x] : entries_)
    if (all || x.changed_at > confirmed)
      beat.reports.push_back(x.report);
  if (!all)
    for (const auto& [instance, revision] : gone_)
      if (revision > confirmed)
        beat.gone.push_back(instance);
}

const instance_report* report_log::find(const std::string& instance) const {
  const auto it = entries_.find(instance);
  return it == entries_.end() ? nullptr : &it->second.report;
}

std::vector<instance_report> report_log::all() const {
  std::vector<instance_report> result;
  result.reserve(entries_.size());
  for (const auto& [instance, x] : entries_)
    result.push_back(x.report);
  return result;
}

} // namespace prunella::actors
