#include "actors/site/update_verdict.hpp"

#include <utility>

#include "actors/names.hpp"
#include "config/time.hpp"

namespace prunella::actors {

namespace {

using assignment_row = std::pair<const std::string, assignment>;

seen_as see(const site_state& state, const assignment_row& row, const config::service_spec& service, const sight& seen) {
  const auto host = state.hosts.find(row.second.host);
  const bool is_up = host != state.hosts.end() && host->second.up;
  const bool may_run = is_up && row.second.leaves_since == 0 && row.second.ended == instance_end::none;
  return may_run && seen ? seen(row.first, row.second, service.update) : seen_as::away;
}

/// Assigned replicas of a service, those that are wanted.
template <class Visit>
void visit_replicas(const site_state& state, const config::application_spec& spec, const config::service_spec& service, Visit visit) {
  for (std::uint32_t replica = 1; replica <= service.replicas; ++replica)
    if (const auto row = state.assignments.find(instance_name(spec.tenant, spec.name, service.name, replica));
        row != state.assignments.end())
      visit(*row);
}

bool may_end(const config::service_spec& service) { return service.restart.type != config::restart_type::permanent; }

class judge {
public:
  judge(const site_state& state, const gave_up_reports& gave_up, time_ms now, const sight& seen, const sight_reason& reason_of,
        const image_sight& images)
    : state_(state), gave_up_(gave_up), now_(now), seen_(seen), reason_of_(reason_of), images_(images) {}

  update_verdicts run() {
    for (const auto& [key, record] : state_.applications)
      if (record.update == update_phase::running)
        judge_application(key, record);
    return std::move(result_);
  }

private:
  void judge_application(const std::string& key, const application_record& record) {
    bool is_through = true;
    for (const auto& service : record.spec.services) {
      const auto number = record.changed_at.at(service.name);
      if (number <= record.former.revision)
        continue; // it runs as before
      std::string failure;
      std::uint32_t decided = 0;
      visit_replicas(state_, record.spec, service, [&](const assignment_row& row) {
        ++decided;
        if (row.second.revision != number) {
          is_through = is_through && row.second.host.empty();
          if (failure.empty())
            failure = failure_to_begin(row, record, service);
        } else if (failure.empty())
          failure = failure_of(row, service);
        if (!row.second.host.empty() && !may_end(service))
          is_through = is_through && see(state_, row, service, seen_) == seen_as::steady;
      });
      is_through = is_through && decided == service.replicas; // of a new service nothing is placed at first
      if (!failure.empty())
        return fail(key, record, service, failure);
    }
    if (is_through)
      result_.decisions.emplace_back(end_update{key, record.revision, {}});
    else
      result_.waits_for_reports = true;
  }

  void fail(const std::string& key, const application_record& record, const config::service_spec& service, const std::string& why) {
    if (service.update.on_failure == config::update_failure::rollback)
      result_.decisions.emplace_back(roll_back{key, record.revision, why});
    else
      result_.decisions.emplace_back(end_update{key, record.revision, why});
  }

  /// Of an instance that waits for its update; empty: it goes on waiting.
  std::string failure_to_begin(const assignment_row& row, const application_record& record, const config::service_spec& service) const {
    const auto& [name, x] = row;
    const auto host = state_.hosts.find(x.host);
    if (!images_ || x.leaves_since != 0 || host == state_.hosts.end() || !host->second.up)
      return {};
    const auto awaited = images_(record, service, x.host);
    const bool is_late = now_ >= record.updated_at + service.update.deadline.count();
    if (awaited.reference.empty() || (awaited.hopeless.empty() && !is_late))
      return {};
    return "the image " + awaited.reference + " is not on " + x.host + ", where " + name + " is to run it"
           + (awaited.hopeless.empty() ? ", after " + config::duration_text(service.update.deadline) : ": " + awaited.hopeless);
  }

  /// Of an instance that runs what the update brought; empty: it has not failed (yet).
  std::string failure_of(const assignment_row& row, const config::service_spec& service) const {
    const auto& [name, x] = row;
    if (const auto report = gave_up_.find(name);
        report != gave_up_.end() && report->second.host == x.host && report->second.generation == x.generation)
      return name + " gave up on " + x.host + ": " + report->second.reason;
    if (!x.avoided.empty())
      return name + " gave up on " + x.avoided.back().host + ": " + x.avoided.back().reason;
    if (x.host.empty())
      return x.generation == 0 ? std::string{} : name + " has no host any more: " + x.reason;
    if (may_end(service) || see(state_, row, service, seen_) != seen_as::away)
      return {};
    if (now_ < x.assigned_at + service.update.deadline.count())
      return {};
    const auto why = reason_of_ ? reason_of_(name, x) : std::string{};
    return name + " was not ready within " + config::duration_text(service.update.deadline) + (why.empty() ? "" : ": " + why);
  }

  const site_state& state_;
  const gave_up_reports& gave_up_;
  time_ms now_;
  const sight& seen_;
  const sight_reason& reason_of_;
  const image_sight& images_;
  update_verdicts result_;
};

} // namespace

update_verdicts judge_updates(const site_state& state, const gave_up_reports& gave_up, time_ms now, const sight& seen,
                              const sight_reason& reason_of, const image_sight& images) {
  return judge{state, gave_up, now, seen, reason_of, images}.run();
}

bool runs_well(const application_record& record, const site_state& state, const sight& seen) {
  bool runs = false;
  for (const auto& service : record.spec.services) {
    if (service.replicas == 0 || may_end(service))
      continue;
    const auto number = record.changed_at.at(service.name);
    bool is_ready = false;
    visit_replicas(state, record.spec, service, [&](const assignment_row& row) {
      is_ready = is_ready || (row.second.revision == number && see(state, row, service, seen) != seen_as::away);
    });
    if (!is_ready)
      return false;
    runs = true;
  }
  return runs;
}

} // namespace prunella::actors
