#include "actors/site/host_liveness.hpp"

#include <algorithm>

#include "config/time.hpp"

namespace prunella::actors {

namespace {

constexpr std::chrono::seconds half_window{5};

} // namespace

void host_liveness::recent_worst::add(runtime::instant::duration late, runtime::instant now) {
  if (now - since >= half_window) {
    before = now - since < 2 * half_window ? current : runtime::instant::duration{0};
    current = {};
    since = now;
  }
  current = std::max(current, late);
}

runtime::instant::duration host_liveness::recent_worst::get(runtime::instant now) const {
  const auto age = now - since;
  if (age >= 2 * half_window)
    return {};
  return age < half_window ? std::max(current, before) : current;
}

runtime::instant::duration host_liveness::lateness(const std::string& host, runtime::instant now) const {
  const auto it = hosts_.find(host);
  if (it == hosts_.end() || !it->second.was_heard)
    return {};
  const auto& x = it->second;
  return std::max(x.late.get(now), now - x.detector.last_heartbeat() - figures_.contact());
}

host_liveness::host_liveness(runtime::liveness_figures figures, std::string self)
  : figures_(figures), self_(std::move(self)) {}

void host_liveness::watch(const std::map<std::string, host_record>& hosts,
                          const std::map<std::string, runtime::instant>& last_heard, runtime::instant now) {
  if (!pulse_)
    pulse_ = now;
  for (auto it = hosts_.begin(); it != hosts_.end();)
    it = hosts.count(it->first) == 0 ? hosts_.erase(it) : std::next(it);
  for (const auto& [id, record] : hosts) {
    const auto heard = last_heard.find(id);
    const auto since = heard == last_heard.end() ? now : std::min(heard->second, now);
    hosts_.try_emplace(id, watched{runtime::failure_detector{runtime::detector_for(figures_), since}, since, 0, false, {}});
  }
}

void host_liveness::heartbeat(const std::string& host, runtime::instant now) {
  auto it = hosts_.find(host);
  if (it == hosts_.end())
    return;
  if (host == self_)
    return feel_pulse(now);
  it->second.spoke = now;
  hear(it->second, now);
}

void host_liveness::contact(const std::string& host, runtime::instant at) {
  auto it = hosts_.find(host);
  if (it == hosts_.end())
    return;
  if (host == self_)
    return feel_pulse(at);
  if (at > it->second.detector.last_heartbeat() && at - it->second.spoke <= vouched_for())
    hear(it->second, at);
}

void host_liveness::feel_pulse(runtime::instant now) {
  if (pulse_ && now < *pulse_)
    return;
  if (stood_still(now))
    judge_from_ = now + figures_.down_after;
  pulse_ = now;
}

void host_liveness::hear(watched& x, runtime::instant now) {
  x.in_a_row = x.detector.is_suspect(now) ? 1 : x.in_a_row + 1;
  if (x.was_heard)
    x.late.add(now - x.detector.last_heartbeat() - figures_.contact(), now);
  x.was_heard = true;
  x.detector.heartbeat(now);
}

bool host_liveness::stood_still(runtime::instant now) const { return pulse_ && now - *pulse_ > figures_.down_after / 2; }

std::vector<set_host_state> host_liveness::judge(const std::map<std::string, host_record>& hosts,
                                                 runtime::instant now) const {
  std::vector<set_host_state> verdicts;
  for (const auto& [id, x] : hosts_) {
    const auto record = hosts.find(id);
    if (record == hosts.end())
      continue;
    const bool silent = id != self_ && x.detector.is_suspect(now);
    if (record->second.up && silent && !stood_still(now) && now >= judge_from_) {
      const auto silence = std::chrono::duration_cast<std::chrono::milliseconds>(now - x.detector.last_heartbeat());
      verdicts.push_back({id, false, "no heartbeat for " + config::duration_text(silence)});
    } else if (!record->second.up && !silent && (id == self_ || x.in_a_row >= steady_heartbeats)) {
      verdicts.push_back({id, true, "heartbeats arrive again"});
    }
  }
  return verdicts;
}

runtime::instant host_liveness::next_deadline(const std::map<std::string, host_record>& hosts, runtime::instant now) const {
  auto next = runtime::instant::max();
  const auto earliest = stood_still(now) ? now + figures_.heartbeat : judge_from_;
  for (const auto& [id, x] : hosts_) {
    const auto record = hosts.find(id);
    if (id != self_ && record != hosts.end() && record->second.up)
      next = std::min(next, std::max(earliest, x.detector.suspect_at()));
  }
  return next;
}

} // namespace prunella::actors
