#include "actors/instance/container_probes.hpp"

#include <algorithm>
#include <utility>

namespace prunella::actors {

namespace {

constexpr std::array<probe_kind, 3> all_kinds{probe_kind::startup, probe_kind::liveness, probe_kind::readiness};

/// What is wrong with `outcome`; empty: nothing.
std::string problem_of(const config::probe_spec& spec, const probe_outcome& outcome) {
  if (!outcome.is_good)
    return outcome.problem;
  if (spec.max_latency.count() > 0 && outcome.took > spec.max_latency)
    return "it answered later than its max-latency of " + std::to_string(spec.max_latency.count()) + " ms";
  return {};
}

} // namespace

const char* to_text(probe_kind kind) {
  switch (kind) {
  case probe_kind::startup: return "startup";
  case probe_kind::liveness: return "liveness";
  case probe_kind::readiness: return "readiness";
  }
  return "unknown";
}

container_probes::container_probes(config::probes_spec spec, runtime::instant started, bool is_presumed_ready)
  : is_presumed_ready_(is_presumed_ready) {
  const std::array<config::probe_spec*, 3> specs{&spec.startup, &spec.liveness, &spec.readiness};
  for (std::size_t i = 0; i < probes_.size(); ++i) {
    auto& x = probes_[i];
    x.is_wanted = specs[i]->is_set();
    x.spec = std::move(*specs[i]);
    x.due = started + x.spec.start_delay;
  }
  has_started_ = !at(probe_kind::startup).is_wanted;
}

bool container_probes::runs(probe_kind kind) const {
  return at(kind).is_wanted && (kind == probe_kind::startup) != has_started_;
}

std::vector<probe_kind> container_probes::start_due(runtime::instant now) {
  std::vector<probe_kind> result;
  for (const auto kind : all_kinds) {
    auto& x = at(kind);
    if (!runs(kind) || x.is_under_way || x.due > now)
      continue;
    x.is_under_way = true;
    x.due = std::max(now, x.due) + x.spec.period; // also where the answer takes long: not two at once
    result.push_back(kind);
  }
  return result;
}

runtime::instant container_probes::next_due() const {
  auto first = runtime::instant::max();
  for (const auto kind : all_kinds)
    if (runs(kind) && !at(kind).is_under_way)
      first = std::min(first, at(kind).due);
  return first;
}

container_probes::verdict container_probes::take(probe_kind kind, const probe_outcome& outcome, runtime::instant now) {
  auto& x = at(kind);
  if (!x.is_under_way)
    return {};
  x.is_under_way = false;
  if (!runs(kind))
    return {};
  const bool was_ready = is_ready();
  const auto old_reason = unready_reason();
  auto problem = problem_of(x.spec, outcome);
  const bool is_good = problem.empty();
  x.good = is_good ? x.good + 1 : 0;
  x.bad = is_good ? 0 : x.bad + 1;
  const auto all = outcome.detail.empty() || outcome.is_good ? problem : problem + ": " + outcome.detail;
  if (!is_good && (x.problem != problem || x.told.empty())) {
    x.problem = problem;
    x.told = all;
  }
  verdict result;
  if (kind == probe_kind::startup && is_good && x.good >= x.spec.successes) {
    has_started_ = true;
    for (const auto later : {probe_kind::liveness, probe_kind::readiness})
      at(later).due = std::max(at(later).due, now);
  } else if (kind == probe_kind::readiness) {
    passes_ = is_good ? passes_ || is_presumed_ready_ || x.good >= x.spec.successes : passes_ && x.bad < x.spec.failures;
  }
  // Liveness says nothing about it; a good startup leaves it to readiness.
  if (kind == probe_kind::readiness || (kind == probe_kind::startup && !is_good))
    is_presumed_ready_ = false;
  if (kind != probe_kind::readiness && x.bad >= x.spec.failures)
    result.give_up = std::string{to_text(kind)} + " probe failed: " + all;
  result.has_changed = was_ready != is_ready() || old_reason != unready_reason();
  return result;
}

bool container_probes::is_ready() const {
  return is_presumed_ready_ || (has_started_ && (!at(probe_kind::readiness).is_wanted || passes_));
}

std::string container_probes::unready_reason() const {
  if (is_ready())
    return {};
  const auto kind = has_started_ ? probe_kind::readiness : probe_kind::startup;
  const auto& x = at(kind);
  return x.told.empty() ? std::string{"its "} + to_text(kind) + " probe has not passed yet"
                        : std::string{to_text(kind)} + " probe failed: " + x.told;
}

} // namespace prunella::actors
