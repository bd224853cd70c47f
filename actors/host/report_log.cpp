#include "actors/host/report_log.hpp"

#include <algorithm>
#include <iterator>

namespace prunella::actors {

namespace {

/// What `x` takes in a message, about.
std::size_t bytes_of(const instance_report& x) {
  constexpr std::size_t fixed = 80;
  std::size_t sum = fixed + x.instance.size() + x.reason.size();
  for (const auto& container : x.containers)
    sum += fixed + container.name.size() + container.state.size() + container.reason.size();
  return sum;
}

} // namespace

bool report_log::put(const instance_report& report) {
  auto [it, is_new] = entries_.try_emplace(report.instance);
  auto& x = it->second;
  if (!is_new && x.report == report)
    return false;
  changes_.erase(x.changed_at);
  if (is_new) {
    const auto removal = std::find_if(removals_.begin(), removals_.end(),
                                      [&](const auto& r) { return r.second == report.instance; });
    if (removal != removals_.end())
      removals_.erase(removal);
  }
  x.report = report;
  x.changed_at = ++revision_;
  changes_.emplace(revision_, report.instance);
  return true;
}

bool report_log::remove(const std::string& instance) {
  const auto known = entries_.extract(instance);
  if (!known)
    return false;
  changes_.erase(known.mapped().changed_at);
  removals_.emplace(++revision_, instance);
  if (removals_.size() > max_removals)
    start_over();
  return true;
}

/// Who is told everything need not be told what is gone.
void report_log::start_over() {
  removals_.clear();
  starts_over_ = true;
}

void report_log::fill(host_heartbeat& beat, std::uint64_t confirmed) {
  if (confirmed <= first_ || confirmed > revision_)
    start_over();
  const auto since = starts_over_ ? 0 : confirmed;
  starts_over_ = false;
  removals_.erase(removals_.begin(), removals_.upper_bound(since));
  beat.since_revision = since;
  beat.revision = revision_;
  beat.reports.clear();
  beat.gone.clear();
  std::size_t bytes = 0;
  for (auto it = changes_.upper_bound(since); it != changes_.end(); ++it) {
    if (bytes >= max_beat_bytes) {
      beat.revision = std::prev(it)->first;
      break;
    }
    beat.reports.push_back(entries_.at(it->second).report);
    bytes += bytes_of(beat.reports.back());
  }
  for (const auto& [at, instance] : removals_)
    if (at <= beat.revision)
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
