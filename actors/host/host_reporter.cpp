#include "actors/host/host_reporter.hpp"

#include <utility>

#include <caf/event_based_actor.hpp>

namespace prunella::actors {

host_reporter::host_reporter(caf::event_based_actor* self, host_reporter_options options)
  : self_(self),
    options_(std::move(options)),
    // Earlier lives of this actor in this process ended at earlier times, so their revisions are lower.
    log_(static_cast<std::uint64_t>(self->clock().now().time_since_epoch().count())) {}

void host_reporter::on_leader_changed() {
  confirmed_ = 0;
  known_software_ = {};
  ++epoch_;
  unanswered_ = 0;
  reports_are_under_way_ = false;
  send();
}

bool host_reporter::put(const instance_report& report) {
  if (!log_.put(report))
    return false;
  send_news();
  return true;
}

void host_reporter::remove(const std::string& instance) {
  if (log_.remove(instance))
    send_news();
}

void host_reporter::send_news() {
  if (!reports_are_under_way_)
    send();
}

caf::actor host_reporter::site() const {
  const auto leader = options_.leader->get().leader;
  return leader.empty() ? caf::actor{} : options_.actor_on(leader, "site");
}

void host_reporter::send() {
  const auto leader = site();
  // As many as fit into the silence that is allowed: after an outage the next one goes out at once.
  const auto most = static_cast<std::size_t>(options_.figures.down_after / options_.figures.heartbeat);
  if (!leader || unanswered_ >= most)
    return;
  host_heartbeat beat;
  beat.host = options_.host;
  beat.incarnation = options_.incarnation;
  beat.sent_at_ns = self_->clock().now().time_since_epoch().count();
  beat.has_reports = !reports_are_under_way_;
  if (beat.has_reports)
    log_.fill(beat, confirmed_);
  if (beat.has_reports && beat.revision == log_.revision())
    beat.carried_out = options_.carried_out();
  give_offer(beat);
  const bool had_reports = beat.has_reports;
  const bool had_everything = had_reports && beat.since_revision == 0;
  const auto told = beat.offer.software;
  reports_are_under_way_ = true;
  ++unanswered_;
  self_->request(leader, options_.figures.down_after, std::move(beat))
    .then(
      [this, had_reports, epoch = epoch_, told](const heartbeat_answer& x) {
        if (epoch != epoch_)
          return;
        if (!told.drivers.empty())
          known_software_ = told;
        on_answer(x, had_reports);
      },
      [this, had_everything, had_reports, epoch = epoch_](const caf::error&) {
        if (epoch == epoch_)
          on_error(had_everything, had_reports);
      });
}

/// Its texts go along until this leader has them, or when it has forgotten all.
void host_reporter::give_offer(host_heartbeat& beat) {
  beat.offer = options_.offer();
  if (beat.offer.software == known_software_)
    beat.offer.software = {};
}

void host_reporter::on_answer(const heartbeat_answer& x, bool had_reports) {
  --unanswered_;
  if (!had_reports)
    return;
  reports_are_under_way_ = false;
  // Only what moved asks again at once: a leader that keeps nothing would be asked in a circle.
  const auto before = std::exchange(confirmed_, x.confirmed_revision);
  if (confirmed_ < before)
    known_software_ = {};
  if (confirmed_ > before && confirmed_ != log_.revision())
    send();
}

/// What was lost on the way is sent again; what was not, the leader will say.
void host_reporter::on_error(bool had_everything, bool had_reports) {
  --unanswered_;
  if (!had_reports)
    return;
  reports_are_under_way_ = false;
  if (had_everything)
    confirmed_ = 0;
}

} // namespace prunella::actors
