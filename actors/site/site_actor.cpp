#include "actors/site/site_actor.hpp"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/messages.hpp"
#include "actors/names.hpp"
#include "actors/site/image_board.hpp"
#include "actors/site/image_tags.hpp"
#include "actors/site/image_views.hpp"
#include "actors/site/host_liveness.hpp"
#include "actors/site/leadership_actor.hpp"
#include "actors/site/observations.hpp"
#include "actors/site/plan.hpp"
#include "actors/site/ready_watch.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/site_command_bytes.hpp"
#include "actors/site/site_views.hpp"
#include "actors/site/update_verdict.hpp"
#include "config/enumerators.hpp"
#include "config/json.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

/// How often an update looks whether the instances before the next are steady.
constexpr std::chrono::milliseconds update_look{500};

struct look_again {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(look_again, epoch)
};

struct look_at_images {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(look_at_images, unused)
};

/// Hosts that have not reported their images by now are not waited for.
struct enough_reports {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(enough_reports, unused)
};

struct site_actor_state;
using site_self = caf::stateful_actor<site_actor_state, runtime::supervised_actor>;

struct site_actor_state {
  static inline const char* name = "site";

  explicit site_actor_state(site_self* self) : self_(self) {}

  /// CAF says nothing to who waits for an actor that ended; without a word they would not ask the next leader in time.
  ~site_actor_state() {
    options_.status->clear(status_);
    for (auto& [id, promise] : waiting_)
      promise.deliver(make_site_error(site_errc::unconfirmed, options_.host + " no longer leads"));
  }

  caf::behavior start(site_actor_options options) {
    options_ = std::move(options);
    liveness_ = std::make_unique<host_liveness>(options_.figures, options_.host);
    options_.contacts->take(); // of before; what of it still counts is in `last_heard`
    ready_watch_ = std::make_unique<ready_watch>(self_, options_.term);
    learn_what_is_committed();
    return {
      [this](const host_heartbeat& x) { return on_heartbeat(x); },
      [this](const site_request& x) { return on_request(x); },
      [this](const view_request& x) { return on_view(x); },
      [this](const status_request&) { return on_status(); },
      [this](const watch_ready& x) { return ready_watch_->on_watch(x); },
      [this](const refresh_ready&) { ready_watch_->on_refresh(*state(), seen_); },
      [this](const end_ready_watch& x) { ready_watch_->on_end(x); },
      [this](const state_applied&) {
        confirm_status();
        ready_watch_->on_change();
        decide();
        order_images(false);
      },
      [](const leader_changed&) {}, // who no longer leads is stopped by the leadership actor
      [this](const look_again& x) { on_look_again(x); },
      [this](image_report& x) { on_image_report(std::move(x)); },
      [this](const look_at_images&) { on_look_at_images(); },
      [this](const enough_reports&) { on_enough_reports(); },
    };
  }

private:
  using answer_promise = caf::typed_response_promise<site_answer>;

  /// What the last plan was made from, when it was empty.
  struct settled_site {
    std::uint64_t applied_index = 0;
    std::uint64_t ends_revision = 0;
    std::optional<std::uint64_t> reports_revision; ///< if it waits for instances to run
    time_ms look_again_at = 0;                     ///< 0: never
  };

  // -- becoming leader -----------------------------------------------------------------------------------------------

  /// Decides nothing before everything that an earlier leader committed is applied here.
  void learn_what_is_committed() {
    self_->request(options_.consensus(), options_.commit_timeout, runtime::read_barrier{})
      .then([this](const runtime::barrier_passed&) { on_caught_up(); }, [this](const caf::error& reason) {
              if (!is_passing(reason))
                return self_->quit(reason);
              self_->delayed_send(self_, options_.figures.heartbeat, look_again{++timer_epoch_});
            });
  }

  void on_caught_up() {
    ready_ = true;
    ready_watch_->start(); // not before: what was committed might not be applied yet
    liveness_->watch(state()->hosts, options_.last_heard, self_->clock().now());
    decide();
    on_look_at_images();
    self_->delayed_send(self_, options_.figures.down_after, enough_reports{});
  }

  // -- what hosts say ------------------------------------------------------------------------------------------------

  /// Must come before every look at who is alive.
  void hear_contacts() const {
    for (const auto& [host, at] : options_.contacts->take())
      liveness_->contact(host, at);
  }

  heartbeat_answer on_heartbeat(const host_heartbeat& beat) {
    hear_contacts();
    liveness_->heartbeat(beat.host, self_->clock().now());
    if (!ready_)
      options_.last_heard[beat.host] = self_->clock().now(); // nobody is watched yet
    heartbeat_answer answer;
    answer.leader = options_.host;
    answer.term = options_.term;
    answer.sent_at_ns = beat.sent_at_ns;
    const auto revision = seen_.revision();
    const bool was_heard = seen_.has_heard(beat.host);
    answer.confirmed_revision = seen_.take(beat, self_->clock().now());
    if (seen_.revision() != revision || seen_.has_heard(beat.host) != was_heard)
      ready_watch_->on_change();
    confirm_status();
    take_offer(beat);
    if ((settled_ && !is_settled(*state())) || next_drivers(*state()))
      decide();
    return answer;
  }

  // -- what users ask ------------------------------------------------------------------------------------------------

  caf::result<site_answer> on_request(const site_request& x) {
    if (!ready_)
      return make_site_error(site_errc::starting, options_.host + " was just elected and is catching up; ask again");
    if (waiting_.size() >= options_.max_requests)
      return make_site_error(site_errc::busy, "the leader has too many unfinished requests; ask again");
    site_command command;
    if (!decode(x.command, command))
      return make_site_error(site_errc::malformed, "the command is not one of this version");
    command.at = options_.clock();
    if (auto* put = std::get_if<put_application>(&command.body))
      put->replaced_runs = runs_now(application_key(put->spec.tenant, put->spec.name));
    if (auto problem = refuse(command, *state()); problem.status != 0)
      return site_answer{{}, problem};
    const auto id = ++last_request_;
    const auto promise = self_->make_response_promise<site_answer>();
    waiting_.emplace(id, promise);
    propose(command, [this, id](const command_outcome* outcome, std::uint64_t, const caf::error& reason) {
      if (outcome == nullptr)
        answer(id, reason);
      else
        answer(id, answer_of(*outcome));
    });
    return promise;
  }

  template <class T>
  void answer(std::uint64_t id, T what) {
    if (auto node = waiting_.extract(id))
      node.mapped().deliver(std::move(what));
  }

  view_answer on_view(const view_request& x) {
    const auto now = state();
    if (x.view == "images")
      return image_page(x, *now, board().reports());
    return view_page(x, {*now, seen_, options_.host, {}, x.view == "hosts" ? lateness() : std::map<std::string, std::uint64_t>{}});
  }

  std::map<std::string, std::uint64_t> lateness() const {
    hear_contacts();
    std::map<std::string, std::uint64_t> late_us;
    for (const auto& [id, host] : state()->hosts)
      late_us[id] = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(liveness_->lateness(id, self_->clock().now())).count());
    return late_us;
  }

  /// Asked for often, and made of everything: made anew only when that changed.
  status_view on_status() {
    auto current = state();
    const std::pair of{current->applied_index, seen_.revision()};
    if (status_of_ != of) {
      status_view status;
      status.leader = options_.host;
      status.term = options_.term;
      status.quorum = true;
      fill_status(status, {*current, seen_, options_.host, {}});
      status_ = std::make_shared<const status_view>(std::move(status));
      status_of_ = of;
    }
    options_.status->set(status_, std::move(current), self_->clock().now());
    return *status_;
  }

  /// What is kept for who asks without a message is said to be true still, or is taken away.
  void confirm_status() {
    auto current = state();
    if (status_of_ == std::pair{current->applied_index, seen_.revision()})
      options_.status->set(status_, std::move(current), self_->clock().now());
    else
      options_.status->clear(status_);
  }

  // -- deciding ------------------------------------------------------------------------------------------------------

  /// One decision at a time: the next is made from the state that the last one led to.
  void decide() {
    if (!ready_ || deciding_)
      return;
    if (state()->site.name.empty())
      return propose_decision(register_site{options_.site});
    const auto now = self_->clock().now();
    const auto current = state();
    hear_contacts();
    liveness_->watch(current->hosts, {}, now);
    const auto verdicts = liveness_->judge(current->hosts, now);
    if (!verdicts.empty())
      return propose_decision(verdicts.front());
    if (auto drivers = next_drivers(*current))
      return propose_decision(*std::move(drivers));
    if (auto tags = next_tags(*current))
      return propose_decision(*std::move(tags));
    if (may_go_on(*current))
      return propose_portion();
    portions_.clear();
    if (!is_settled(*current)) {
      const auto gave_up = seen_.gave_up();
      const auto places = places_of(*current, board().reports());
      const auto updates = judge_updates(
        *current, gave_up, options_.clock(), sight_of(), [this](const auto& instance, const auto& x) { return reason_of(instance, x); },
        [&](const auto& record, const auto& service, const auto& host) { return awaited_at(record, service, host, places); });
      if (!updates.decisions.empty())
        return std::visit([this](const auto& x) { propose_decision(x); }, updates.decisions.front());
      auto next = plan(*current, gave_up, options_.clock(), places, sight_of(), [&](const auto& instance, const auto& x) {
        return x.host.empty() ? is_nowhere(*current, instance) : seen_.has_ended(x.host, instance, x.leaves_since);
      }, seen_.ended());
      if (!next.changes.changes.empty()) {
        portions_ = in_portions(std::move(next.changes));
        ends_at_plan_ = seen_.ends_revision();
        return propose_portion();
      }
      settled_ = settled_site{current->applied_index, seen_.ends_revision(), {}, next.look_again_at};
      if (next.waits_for_reports || updates.waits_for_reports) {
        settled_->reports_revision = seen_.revision();
        settled_->look_again_at = options_.clock() + update_look.count();
      }
    }
    arm_timer(settled_->look_again_at);
  }

  /// Nothing of it is left of an earlier life, as far as hosts that are up have said.
  bool is_nowhere(const site_state& now, const std::string& instance) const {
    const auto hosts = seen_.hosts_of(instance);
    return std::none_of(hosts.begin(), hosts.end(), [&](const auto& id) {
      const auto host = now.hosts.find(id);
      return host != now.hosts.end() && host->second.up;
    });
  }

  awaited_image awaited_at(const application_record& record, const config::service_spec& service, const std::string& host,
                           const image_places& places) {
    auto missing = missing_image(record, service, host, places);
    auto hopeless = why_hopeless(missing, board().reports());
    return {std::move(missing), std::move(hopeless)};
  }

  void take_offer(const host_heartbeat& beat) {
    if (beat.offer.drivers.empty() || !config::has_known_enumerators(beat.offer)) // bytes of another host
      return;
    auto& known = offered_[beat.host];
    auto software = beat.offer.software.drivers.empty() ? std::move(known.software) : bounded(beat.offer.software);
    known = {beat.offer.drivers, beat.offer.lacks, std::move(software)};
  }

  /// A host that says it can do something else than the site knows of.
  std::optional<set_host_drivers> next_drivers(const site_state& now) const {
    for (const auto& [id, can] : offered_) {
      const auto host = now.hosts.find(id);
      if (host == now.hosts.end())
        continue;
      const auto& before = host->second;
      const auto& software = can.software.drivers.empty() ? before.software : can.software;
      if (before.drivers != can.drivers || before.lacks != can.lacks || before.software != software)
        return set_host_drivers{id, can.drivers, can.lacks, software};
    }
    return std::nullopt;
  }

  std::optional<decide_images> next_tags(const site_state& now) {
    auto tags = decide_tags(now, board().reports());
    if (tags)
      tags->replaced_runs = runs_now(tags->key);
    return tags;
  }

  /// Whether the rest of the last plan still is the plan: nothing has happened but its own portions.
  bool may_go_on(const site_state& now) const {
    return !portions_.empty() && now.applied_index == last_decision_ && ends_at_plan_ == seen_.ends_revision();
  }

  void propose_portion() {
    auto next = std::move(portions_.front());
    portions_.pop_front();
    propose_decision(std::move(next));
  }

  /// Whether the next plan would be as empty as the last: it was made from the same, and time does not change it yet.
  bool is_settled(const site_state& now) const {
    return settled_ && settled_->applied_index == now.applied_index && settled_->ends_revision == seen_.ends_revision()
           && (!settled_->reports_revision || settled_->reports_revision == seen_.revision())
           && (settled_->look_again_at == 0 || options_.clock() < settled_->look_again_at);
  }

  sight sight_of() const {
    return [this](const std::string& instance, const assignment& x, const config::update_spec& update) {
      return see(instance, x, update);
    };
  }

  /// Whether what the site has of this application is seen to run.
  bool runs_now(const std::string& key) const {
    const auto now = state();
    const auto record = now->applications.find(key);
    return record != now->applications.end() && runs_well(record->second, *now, sight_of());
  }

  std::string reason_of(const std::string& instance, const assignment& x) const {
    const auto* report = seen_.find(x.host, instance);
    return report == nullptr || report->generation != x.generation ? std::string{} : report->reason;
  }

  seen_as see(const std::string& instance, const assignment& x, const config::update_spec& update) const {
    const auto since = seen_.ready_since(x.host, instance, x.generation);
    if (!since)
      return seen_as::away;
    return self_->clock().now() - *since < update.healthy_time ? seen_as::fresh : seen_as::steady;
  }

  template <class Body>
  void propose_decision(Body body) {
    deciding_ = true;
    const auto before = state()->applied_index;
    propose({options_.clock(), std::move(body)}, [this, before](const command_outcome* outcome, std::uint64_t index,
                                                                const caf::error& reason) {
      deciding_ = false;
      last_decision_ = index == before + 1 ? index : 0;
      if (outcome == nullptr && !is_passing(reason))
        return self_->quit(reason);
      if (outcome == nullptr)
        return arm_timer(0); // too few controllers answer: try again with the next heartbeat
      decide();
    });
  }

  /// Looks again at the next liveness deadline, or when the plan says time changes it; at least at every `down_after`.
  void arm_timer(time_ms plan_at) {
    const auto now = self_->clock().now();
    auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(options_.figures.down_after);
    const auto deadline = liveness_->next_deadline(state()->hosts, now);
    if (deadline != runtime::instant::max())
      wait = std::min(wait, std::chrono::ceil<std::chrono::milliseconds>(deadline - now));
    if (plan_at != 0)
      wait = std::min(wait, std::chrono::milliseconds{plan_at - options_.clock()});
    if (std::any_of(state()->hosts.begin(), state()->hosts.end(), [](const auto& x) { return !x.second.up; }))
      wait = std::min(wait, options_.figures.heartbeat); // one of them may be back
    self_->delayed_send(self_, std::max(wait, std::chrono::milliseconds{1}), look_again{++timer_epoch_});
  }

  void on_look_again(const look_again& x) {
    if (x.epoch != timer_epoch_)
      return;
    if (ready_)
      decide();
    else
      learn_what_is_committed();
  }

  // -- images --------------------------------------------------------------------------------------------------------

  image_board& board() {
    if (!board_)
      board_.emplace(copy_options{state()->site.images.copies});
    return *board_;
  }

  void on_image_report(image_report report) {
    if (!board().take(std::move(report)))
      return;
    order_images(false);
    if (next_tags(*state()))
      decide();
  }

  void on_look_at_images() {
    if (!options_.images_on)
      return;
    order_images(true);
    self_->delayed_send(self_, options_.images_every, look_at_images{});
  }

  void on_enough_reports() {
    board().stop_waiting();
    order_images(false);
  }

  /// `all`: also those who were told the same before; it is how a lost message and a lost report are made good.
  void order_images(bool all) {
    if (!ready_ || !options_.images_on)
      return;
    for (auto& [host, orders] : board().orders(*state(), all)) {
      const auto keeper = options_.images_on(host);
      orders.leader = options_.host;
      orders.term = options_.term;
      if (!keeper) {
        board().forget_told(host);
        continue;
      }
      self_->request(keeper, options_.commit_timeout, std::move(orders))
        .then([this](image_report& x) { on_image_report(std::move(x)); },
              [this, failed = host](const caf::error&) { board().forget_told(failed); });
    }
  }

  // -- consensus -----------------------------------------------------------------------------------------------------

  /// Null and 0: it failed.
  using outcome_handler = std::function<void(const command_outcome*, std::uint64_t index, const caf::error&)>;

  void propose(const site_command& command, outcome_handler done) {
    self_->request(options_.consensus(), options_.commit_timeout, runtime::propose_command{encode(command), {}, options_.term})
      .then(
        [done](const runtime::command_applied& x) {
          command_outcome outcome;
          decode(x.result, outcome);
          done(&outcome, x.index, {});
        },
        [done](const caf::error& reason) { done(nullptr, 0, reason); });
  }

  std::shared_ptr<const site_state> state() const { return options_.state->get(); }

  site_self* self_;
  site_actor_options options_;
  std::unique_ptr<host_liveness> liveness_;
  std::unique_ptr<ready_watch> ready_watch_;
  observations seen_;
  std::map<std::string, host_offer> offered_; ///< by host: what it said last
  std::optional<image_board> board_; ///< made when the site's settings are known
  std::deque<change_assignments> portions_; ///< of the last plan, not proposed yet
  std::uint64_t ends_at_plan_ = 0;
  std::uint64_t last_decision_ = 0; ///< its log index; 0: something else was applied before it
  std::optional<settled_site> settled_; ///< nothing: the last plan changed something
  std::optional<std::pair<std::uint64_t, std::uint64_t>> status_of_; ///< applied index and revision that `status_` is of
  std::shared_ptr<const status_view> status_;
  bool ready_ = false;
  bool deciding_ = false;
  std::map<std::uint64_t, answer_promise> waiting_; ///< unfinished site_requests
  std::uint64_t last_request_ = 0;
  std::uint64_t timer_epoch_ = 0;
};

} // namespace

caf::actor spawn_site(caf::local_actor* parent, site_actor_options options) {
  return parent->spawn([](site_self* self, site_actor_options x) { return self->state.start(std::move(x)); },
                       std::move(options));
}

} // namespace prunella::actors
