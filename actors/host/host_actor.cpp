#include "actors/host/host_actor.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/application/application_supervisor.hpp"
#include "actors/application/reconcile.hpp"
#include "actors/host/assigned.hpp"
#include "actors/host/host_reporter.hpp"
#include "actors/host/journal_actor.hpp"
#include "actors/host/leftovers.hpp"
#include "actors/site/leadership_actor.hpp"
#include "runtime/consensus/consensus_actor.hpp"
#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds request_margin{5'000};
constexpr milliseconds longest_stop{600'000}; ///< of what is not known
constexpr milliseconds sweep_every{5'000};
constexpr milliseconds incomplete_again{250}; ///< where the driver is still at what earlier agents left

struct heartbeat_tick {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(heartbeat_tick, epoch)
};

struct sweep_leftovers {
  std::uint64_t epoch = 0;

  PRUNELLA_FIELDS(sweep_leftovers, epoch)
};

struct reconcile_again {
  std::string application; ///< empty: all

  PRUNELLA_FIELDS(reconcile_again, application)
};

struct host_actor_state;
using host_self = caf::stateful_actor<host_actor_state, runtime::supervised_actor>;

struct host_actor_state {
  static inline const char* name = "host";

  explicit host_actor_state(host_self* self) : self_(self) {}

  caf::behavior start(host_actor_options options) {
    options_ = std::move(options);
    assigned_ = std::make_unique<assigned_applications>(plan_place{options_.site, options_.host, options_.address});
    reporter_ = std::make_unique<host_reporter>(
      self_, host_reporter_options{options_.host, options_.incarnation, options_.leader,
                                   options_.actor_on, options_.figures, options_.offer, [this] { return carried_out(); }});
    for (const auto& instance : memory().instances.instances())
      refresh(instance);
    sync_by_ = self_->clock().now() + options_.sync_patience;
    synchronise();
    on_tick();
    return {
      [this](const container_report& x) { on_container(x); },
      [this](const host_event& x) { on_event(x); },
      [this](const state_applied&) { on_applied(); },
      [this](const leader_changed&) { reporter_->on_leader_changed(); },
      [this](const heartbeat_tick&) { on_tick(); },
      [this](const reconcile_again& x) { on_reconcile_again(x.application); },
      [this](const sweep_leftovers& x) {
        if (x.epoch == sweep_epoch_)
          stop_leftovers();
      },
      [this](const get_reports&) { return own_reports{reporter_->all()}; },
    };
  }

private:
  host_memory& memory() { return *options_.memory; }

  // -- start -----------------------------------------------------------------------------------------------------------

  /// A host that was away must not start what has moved elsewhere meanwhile: it hears the log first, if there is a quorum
  /// to hear it from.
  void synchronise() {
    if (synchronising_)
      return;
    const auto left = std::chrono::ceil<milliseconds>(sync_by_ - self_->clock().now());
    const auto consensus = options_.actor_on(options_.host, "consensus");
    if (left <= milliseconds{0})
      return on_synchronised();
    synchronising_ = true;
    const auto again = [this](const caf::error&) {
      synchronising_ = false;
      retry({}, options_.figures.heartbeat);
    };
    if (!consensus)
      return again({});
    self_->request(consensus, left, runtime::read_barrier{left})
      .then(
        [this](const runtime::barrier_passed&) {
          heard_the_log_ = true;
          on_synchronised();
        },
        again);
  }

  void on_synchronised() {
    synchronised_ = true;
    reconcile_all();
    stop_leftovers();
  }

  /// What runs without anybody here who looks after it, and is assigned to nobody or to others: left by an earlier life of
  /// the agent, or by a container actor that was killed and has no successor. Now, and again from time to time.
  void stop_leftovers() {
    look_again(sweep_every);
    const auto driver = options_.containers.driver();
    if (!driver || sweeping_)
      return;
    sweeping_ = true;
    self_->request(driver, request_margin, recover_containers{true})
      .then(
        [this, driver, doubts = doubts_](const recovered_containers& found) {
          sweeping_ = false;
          if (!synchronised_)
            return;
          for (const auto& x : leftovers_.take(unwanted_containers(found.containers, plans_in_force()), self_->clock().now())) {
            note("container/" + x.name, "running", "stopping", "no longer assigned to " + options_.host, "instance/" + x.instance);
            stop_leftover(driver, x);
          }
          report_leftovers();
          if (doubts != doubts_)
            return stop_leftovers(); // more ended meanwhile
          if (!found.is_complete)
            look_again(incomplete_again);
          else if (!std::exchange(knows_leftovers_, true))
            reporter_->send();
          tidy(driver);
        },
        [this](const caf::error&) { sweeping_ = false; }); // a driver that is being restarted: the next sweep finds them
  }

  void look_again(milliseconds after) {
    self_->delayed_send(self_, after, sweep_leftovers{++sweep_epoch_});
  }

  /// Never by a copy of the state that may lack what the site has decided.
  void tidy(const caf::actor& driver) {
    if (heard_the_log_)
      self_->request(driver, request_margin,
                     tidy_folders{known_containers(*options_.state->get()), assigned_containers(*options_.state->get(), options_.host)})
        .then([] {}, [](const caf::error&) {}); // the next sweep tries again
  }

  void stop_leftover(const caf::actor& driver, const recovered_container& x) {
    const auto grace = grace_of(*options_.state->get(), x.instance, x.name);
    leftovers_.told(x, grace);
    self_->request(driver, grace + request_margin, stop_container{x.name, x.generation, grace})
      .then(
        [this, x](const container_exited&) {
          leftovers_.ended(x);
          report_leftovers();
        },
        // It is gone, or a newer one runs in its place, or the driver is being restarted: the next sweep knows.
        [this, x](const caf::error&) { leftovers_.failed(x); });
  }

  /// What is reported of instances that are none of this host's any more, and still run here.
  void report_leftovers() {
    const auto left = leftovers_.instances(self_->clock().now());
    const auto before = std::exchange(reported_leftovers_, {left.begin(), left.end()});
    for (const auto& instance : left)
      report_leftover(instance);
    for (const auto& instance : before)
      if (reported_leftovers_.count(instance) == 0)
        report_leftover(instance);
  }

  void report_leftover(const std::string& instance) {
    if (memory().instances.report(instance))
      return; // it runs here again
    instance_report report;
    report.instance = instance;
    report.generation = leftovers_.generation_of(instance, self_->clock().now());
    report.phase = instance_phase::stopping;
    report.reason = "no longer assigned to " + options_.host;
    if (report.generation != 0)
      reporter_->put(report);
    else
      reporter_->remove(instance);
  }

  /// Actors ended, and what they looked after may run on, whatever they said: a stop may fail. Until the driver has been asked,
  /// this host does not say that anything ended.
  void doubt_leftovers() {
    knows_leftovers_ = false;
    ++doubts_;
    if (synchronised_)
      stop_leftovers();
  }

  /// See `host_heartbeat`. What is told to stop stays in the reports until it has.
  std::uint64_t carried_out() const { return synchronised_ && knows_leftovers_ ? reconciled_index_ : 0; }

  // -- reconcile -------------------------------------------------------------------------------------------------------

  const application_plans& desired_plans() { return assigned_->plans(*options_.state->get(), memory().instances); }

  application_plans plans_in_force() {
    application_plans result;
    for (const auto& [application, plan] : desired_plans())
      result.emplace(application, in_force(plan, memory().started));
    return result;
  }

  /// Of many entries that were applied at once, the first message finds the newest state; the others find nothing to do.
  void on_applied() {
    if (!synchronised_ || options_.state->get()->applied_index != reconciled_index_)
      reconcile_all();
  }

  void reconcile_all() {
    if (!synchronised_)
      return synchronise();
    reconciled_index_ = options_.state->get()->applied_index;
    may_forget_ = true;
    const auto& desired = desired_plans();
    std::set<std::string> applications;
    for (const auto& [key, plan] : desired)
      applications.insert(key);
    for (const auto& [key, plan] : memory().running)
      applications.insert(key);
    for (const auto& application : applications)
      step(application, desired);
    forget_unassigned();
  }

  void reconcile_one(const std::string& application) {
    if (!synchronised_)
      return;
    step(application, desired_plans());
    forget_unassigned(); // the last step may have stopped what is not assigned any more
  }

  void on_reconcile_again(const std::string& application) {
    retrying_.erase(application);
    application.empty() ? reconcile_all() : reconcile_one(application);
  }

  /// One timer per application, and no step of it before that.
  void retry(const std::string& application, milliseconds after) {
    if (retrying_.insert(application).second)
      self_->delayed_send(self_, after, reconcile_again{application});
  }

  /// Takes the first step that brings `application` closer to what is desired; its answer leads to the next. Applications
  /// do not wait for each other.
  void step(const std::string& application, const application_plans& desired) {
    if (busy_.count(application) != 0 || retrying_.count(application) != 0)
      return;
    // Its supervisor is never restarted; without one it ended, also if this actor did not live to hear of it.
    if (memory().running.count(application) != 0 && !options_.lookup(path_of(application)))
      drop_application(application);
    const auto wanted = desired.find(application);
    const auto runs = memory().running.find(application);
    if (wanted != desired.end() && runs != memory().running.end() && wanted->second == runs->second)
      return;
    std::vector<application_plan> want;
    std::vector<application_plan> have;
    if (wanted != desired.end())
      want.push_back(in_force(wanted->second, memory().started));
    if (runs != memory().running.end())
      have.push_back(runs->second);
    const auto actions = reconcile(want, have);
    if (!actions.empty())
      carry_out(actions.front(), want.empty() ? application_plan{} : want.front());
  }

  void carry_out(const reconcile_action& action, const application_plan& plan) {
    switch (action.step) {
    case reconcile_step::start_application: return start_application(plan);
    case reconcile_step::start_instance: return start_instance(action, plan);
    case reconcile_step::stop_application: return stop_application(action.application, false);
    case reconcile_step::resupervise_application: return stop_application(action.application, true);
    case reconcile_step::stop_instance:
    case reconcile_step::replace_instance: return stop_instance(action, false);
    case reconcile_step::resupervise_instance: return stop_instance(action, true);
    }
  }

  void start_application(const application_plan& plan) {
    for (const auto& instance : plan.instances)
      expect(instance);
    memory().running[plan.name] = plan;
    ask(plan.name, options_.applications_path, runtime::start_child{application_child(plan, options_.containers)},
        start_time(plan.instances), [this, application = plan.name](const caf::error& reason) {
          drop_application(application);
          if (is_there_already(reason))
            stop_application(application, false);
        });
  }

  void start_instance(const reconcile_action& action, const application_plan& plan) {
    const auto it = std::find_if(plan.instances.begin(), plan.instances.end(),
                                 [&](const auto& x) { return x.name == action.instance; });
    expect(*it);
    memory().running[plan.name].instances.push_back(*it);
    ask(plan.name, path_of(plan.name), runtime::start_child{instance_child(*it, options_.containers)}, start_time({*it}),
        [this, action](const caf::error& reason) {
          drop_instance(action.application, action.instance);
          if (is_there_already(reason))
            stop_instance(action, false);
        });
  }

  /// A child that this actor did not know of: what runs under that name is unknown, so it makes room.
  static bool is_there_already(const caf::error& reason) {
    using runtime::supervision_errc;
    return reason == supervision_errc::already_started || reason == supervision_errc::already_present
           || reason == supervision_errc::restarting;
  }

  /// `keeps_containers`: who is killed stops no container; the next actors over it adopt it.
  void stop_application(const std::string& application, bool keeps_containers) {
    ask<runtime::child_done>(application, options_.applications_path,
                             runtime::terminate_child{application_id(application), keeps_containers}, stop_time(application),
                             [](const caf::error&) {}, [this, application] { drop_application(application); });
  }

  void stop_instance(const reconcile_action& action, bool keeps_containers) {
    const auto id = instance_id(action.instance);
    ask<runtime::child_done>(
      action.application, path_of(action.application), runtime::terminate_child{id, keeps_containers},
      stop_time(action.application),
      [](const caf::error&) {},
      [this, action, id] {
        delete_child(path_of(action.application), id);
        drop_instance(action.application, action.instance);
      });
  }

  void delete_child(const std::string& path, const std::string& id) {
    // Without an answer the supervisor is on its way out, and its children's specs with it.
    if (const auto supervisor = options_.lookup(path))
      self_->request(supervisor, request_margin, runtime::delete_child{id})
        .then([](const runtime::child_done&) {}, [](const caf::error&) {});
  }

  /// Sends `request` to the supervisor at `path`. Until the answer this application takes no other step.
  template <class Answer = runtime::child_started, class Request, class OnFailed, class OnDone = void (*)()>
  void ask(const std::string& application, const std::string& path, Request request, milliseconds limit,
           OnFailed on_failed, OnDone on_done = [] {}) {
    const auto supervisor = options_.lookup(path);
    if (!supervisor) {
      on_failed(caf::error{});
      return retry(application, options_.figures.heartbeat); // it is being restarted
    }
    busy_.insert(application);
    self_->request(supervisor, limit, std::move(request))
      .then(
        [this, application, on_done](const Answer&) {
          busy_.erase(application);
          on_done();
          reconcile_one(application);
        },
        [this, application, on_failed, on_done](const caf::error& reason) {
          busy_.erase(application);
          if (std::is_same_v<Answer, runtime::child_done> && reason == runtime::supervision_errc::not_found) {
            on_done();
            return reconcile_one(application);
          }
          if (reason != runtime::supervision_errc::shutting_down) // why, is told by who shuts it down
            note("application/" + application, "", "retrying", runtime::reason_text(reason), "");
          on_failed(reason);
          if (busy_.count(application) == 0)
            retry(application, options_.retry_after);
        });
  }

  milliseconds start_time(const std::vector<instance_plan>& instances) const {
    milliseconds time = request_margin;
    for (const auto& instance : instances)
      time += instance_child(instance, options_.containers).spec.start_timeout;
    return time;
  }

  milliseconds stop_time(const std::string& application) {
    milliseconds time = request_margin;
    const auto it = memory().running.find(application);
    if (it == memory().running.end())
      return longest_stop;
    for (const auto& instance : it->second.instances)
      for (const auto& container : instance.containers)
        time += instance.drain + 2 * (container.spec.grace + options_.containers.margin) + request_margin;
    return time;
  }

  void expect(const instance_plan& plan) {
    memory().started[plan.name] = plan;
    memory().instances.expect(plan);
    refresh(plan.name);
  }

  void drop_application(const std::string& application) {
    doubt_leftovers();
    memory().running.erase(application);
    may_forget_ = true;
  }

  void drop_instance(const std::string& application, const std::string& instance) {
    doubt_leftovers();
    may_forget_ = true;
    const auto it = memory().running.find(application);
    if (it == memory().running.end())
      return;
    auto& list = it->second.instances;
    // Without instances it still has a supervisor, which `reconcile` stops or gives instances to.
    list.erase(std::remove_if(list.begin(), list.end(), [&](const auto& x) { return x.name == instance; }), list.end());
  }

  /// Instances that neither run nor are assigned are none of this host's any more.
  void forget_unassigned() {
    if (!may_forget_)
      return;
    may_forget_ = false;
    const auto state = options_.state->get();
    std::set<std::string> kept;
    for (const auto& [key, plan] : memory().running)
      for (const auto& instance : plan.instances)
        kept.insert(instance.name);
    for (const auto& instance : memory().instances.instances()) {
      const auto it = state->assignments.find(instance);
      const bool is_assigned = it != state->assignments.end() && it->second.host == options_.host && it->second.leaves_since == 0;
      if (is_assigned || kept.count(instance) != 0)
        continue;
      memory().instances.forget(instance);
      memory().started.erase(instance);
      report_leftover(instance);
      if (options_.on_gone)
        options_.on_gone(instance);
    }
  }

  // -- what happens here -----------------------------------------------------------------------------------------------

  void on_container(const container_report& x) {
    memory().instances.take(x);
    refresh(x.instance);
  }

  std::string path_of(const std::string& application) const {
    return options_.applications_path + '/' + application_id(application);
  }

  void on_event(const host_event& x) {
    if (x.path == options_.applications_path && x.report.kind == runtime::report_kind::exited) {
      memory().running.clear(); // its successor starts empty
      doubt_leftovers();
      may_forget_ = true;
      return reconcile_all();
    }
    const auto prefix = options_.applications_path + '/';
    if (x.path.compare(0, prefix.size(), prefix) != 0)
      return;
    const auto rest = x.path.substr(prefix.size());
    const auto slash = rest.find('/');
    const auto application = rest.substr(0, slash);
    if (slash == std::string::npos && x.report.kind == runtime::report_kind::exited) {
      drop_application(application);
      reconcile_one(application);
      forget_unassigned();
    } else if (slash != std::string::npos && rest.find('/', slash + 1) == std::string::npos
               && x.report.kind == runtime::report_kind::gave_up) {
      on_application_gave_up(application, rest.substr(slash + 1), x.report.reason);
    }
  }

  /// The site places elsewhere what the application gave up over. Where instances live and die on their own that is one; the
  /// others run on and are adopted by the application's next actors.
  void on_application_gave_up(const std::string& application, const std::string& child, const std::string& reason) {
    const auto it = memory().running.find(application);
    if (it == memory().running.end())
      return;
    for (const auto& instance : it->second.instances) {
      if (it->second.strategy == config::restart_strategy::one_for_one && instance_id(instance.name) != child)
        continue;
      auto why = last_container_reason(instance.name);
      memory().instances.give_up(instance.name, why.empty() ? reason : why);
      refresh(instance.name);
    }
  }

  /// What an operator wants to know is how the container ended, not that supervisors gave up over it.
  std::string last_container_reason(const std::string& instance) {
    const auto cause = memory().instances.cause_of(instance);
    return cause.empty() ? cause : cause + ", more often than its restart intensity allows";
  }

  /// Puts what is known of `instance` into the reports; a change goes to the leader at once and into the journal.
  void refresh(const std::string& instance) {
    const auto report = memory().instances.report(instance);
    if (!report)
      return;
    const auto* before = reporter_->find(instance);
    const auto old_phase = before == nullptr ? std::string{} : std::string{to_text(before->phase)};
    const bool was_ready = before != nullptr && is_ready(*before);
    const auto old_reason = before == nullptr ? std::string{} : before->reason;
    const auto old_restarts = before == nullptr ? 0 : before->restarts;
    if (!reporter_->put(*report))
      return;
    if (options_.on_report)
      options_.on_report(*report);
    // That it waits to be started is no news beside its assignment, which is an event of its own.
    if (old_phase != to_text(report->phase) && report->phase != instance_phase::pending)
      note("instance/" + instance, old_phase, to_text(report->phase),
           report->phase != instance_phase::running ? report->reason : why_it_runs(*report, old_restarts),
           "host/" + options_.host);
    else if (report->phase == instance_phase::running && (was_ready != is_ready(*report) || old_reason != report->reason))
      note("instance/" + instance, was_ready ? "ready" : "not ready", is_ready(*report) ? "ready" : "not ready", report->reason,
           "host/" + options_.host);
  }

  /// Of an instance that has just come to run.
  std::string why_it_runs(const instance_report& report, std::uint32_t old_restarts) {
    if (report.restarts > old_restarts)
      return "restarted " + std::to_string(report.restarts) + (report.restarts == 1 ? " time" : " times");
    return report.reason.empty() && memory().instances.is_adopted(report.instance) ? "adopted: it had gone on running" : report.reason;
  }

  void note(std::string object, std::string from, std::string to, std::string reason, std::string cause) {
    const auto journal = options_.actor_on(options_.host, "journal");
    if (journal)
      self_->send(journal, record_events{{{"", 0, options_.clock(), std::move(object), std::move(from), std::move(to),
                                           std::move(reason), std::move(cause)}}});
  }

  // -- heartbeats ------------------------------------------------------------------------------------------------------

  void on_tick() {
    reporter_->send();
    self_->delayed_send(self_, options_.figures.report(), heartbeat_tick{});
  }

  host_self* self_;
  host_actor_options options_;
  bool synchronised_ = false;
  bool synchronising_ = false;
  bool heard_the_log_ = false; ///< false: works from its own copy of the state since its start
  runtime::instant sync_by_;
  std::set<std::string> busy_;     ///< applications with a step under way
  std::set<std::string> retrying_; ///< applications that wait before their next step; empty name: all
  leftovers leftovers_;
  std::set<std::string> reported_leftovers_; ///< instances
  std::uint64_t doubts_ = 0;
  bool sweeping_ = false; ///< the driver was asked what runs, and has not answered
  bool knows_leftovers_ = false; ///< false: there may be some that were not found yet
  std::unique_ptr<host_reporter> reporter_;
  std::unique_ptr<assigned_applications> assigned_;
  std::uint64_t reconciled_index_ = 0; ///< of the state that was compared last
  bool may_forget_ = true;             ///< there may be instances that are none of this host's any more
  std::uint64_t sweep_epoch_ = 0;
};

} // namespace

caf::actor spawn_host(caf::local_actor* parent, host_actor_options options) {
  return parent->spawn([](host_self* self, host_actor_options x) { return self->state.start(std::move(x)); },
                       std::move(options));
}

} // namespace prunella::actors
