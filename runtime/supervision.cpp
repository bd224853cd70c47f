#include "runtime/supervision.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include "runtime/first_cause.hpp"

namespace prunella::runtime {

namespace {

using std::chrono::milliseconds;

std::string in_ms(milliseconds time) {
  return std::to_string(time.count()) + " ms";
}

bool needs_restart(config::restart_type type, exit_kind end) {
  switch (type) {
  case config::restart_type::permanent:
    return true;
  case config::restart_type::transient:
    return end == exit_kind::abnormal || end == exit_kind::killed;
  case config::restart_type::temporary:
    return false;
  }
  return false;
}

} // namespace

std::string_view to_text(child_state state) {
  constexpr std::string_view texts[] = {"stopped", "starting", "running", "restarting", "stopping"};
  return texts[static_cast<std::size_t>(state)];
}

std::string_view to_text(report_kind kind) {
  constexpr std::string_view texts[] = {"started",           "start failed", "exited",   "stopped",
                                        "restart scheduled", "gave up",      "abandoned"};
  return texts[static_cast<std::size_t>(kind)];
}

supervision::supervision(supervisor_spec spec) : spec_(std::move(spec)), intensity_(spec_.limit) {
  for (auto& initial : spec_.children)
    add(std::move(initial));
  spec_.children.clear();
}

// -- events -----------------------------------------------------------------------------------------------------------

supervision_actions supervision::begin(moment at) {
  step s{at, {}};
  if (phase_ != phase::idle)
    return {};
  phase_ = phase::starting;
  sweep first;
  first.from = std::numeric_limits<position>::max(); // nothing to stop
  for (const auto& c : children_)
    first.to_start.insert(c->where);
  sweep_ = std::move(first);
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::child_ready(std::uint64_t incarnation, moment at) {
  step s{at, {}};
  auto* found = by_incarnation(incarnation);
  if (found == nullptr || found->state != child_state::starting || found->killed)
    return {};
  auto& c = *found;
  c.timer = 0;
  c.state = child_state::running;
  c.is_new = false;
  report(report_kind::started, c, {}, s);
  reply_to_start(c, supervision_errc::none, {}, s);
  c.tidy();
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::child_ignored(std::uint64_t incarnation, moment at) {
  step s{at, {}};
  auto* found = by_incarnation(incarnation);
  if (found == nullptr)
    return {};
  auto& c = *found;
  c.timer = 0;
  const bool was_stopping = c.state == child_state::stopping;
  c.state = child_state::stopped;
  c.is_new = false;
  c.past().last_reason = "there was nothing to run";
  reply_to_start(c, supervision_errc::none, c.last_reason(), s);
  if (was_stopping)
    on_stopped(c, s);
  else if (c.spec->restart == config::restart_type::temporary)
    remove(c, s);
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::child_start_failed(std::uint64_t incarnation, std::string reason, moment at) {
  if (auto* c = by_incarnation(incarnation); c != nullptr && c->past().start_problem.empty())
    c->past().start_problem = reason;
  return child_exited(incarnation, {exit_kind::abnormal, std::move(reason)}, at);
}

supervision_actions supervision::child_exited(std::uint64_t incarnation, child_exit how, moment at) {
  step s{at, {}};
  auto* found = by_incarnation(incarnation);
  if (found == nullptr)
    return {};
  auto& c = *found;
  c.timer = 0;
  const auto was = c.state;
  c.state = child_state::stopped;
  c.past().last_reason = how.reason;
  if (was == child_state::starting) {
    const auto& problem = c.past().start_problem;
    on_start_failed(c, problem.empty() ? std::string{ended_before_ready} + how.reason : std::string{problem}, s);
  } else {
    report(was == child_state::stopping ? report_kind::stopped : report_kind::exited, c, how.reason, s);
    std::get<report_action>(s.out.back()).report.end = how.kind;
    if (was == child_state::stopping)
      on_stopped(c, s);
    else
      on_ended_by_itself(c, how, s);
  }
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::timer_elapsed(std::uint64_t token, moment at) {
  step s{at, {}};
  if (sweep_ && token != 0 && sweep_->timer == token) {
    sweep_->timer = 0;
    continue_sweep(s);
    return std::move(s.out);
  }
  auto* found = by_timer(token);
  if (found == nullptr)
    return {};
  auto& c = *found;
  c.timer = 0;
  if (c.state == child_state::restarting) {
    start(c, s);
  } else if (c.killed) {
    abandon(c, s);
  } else {
    if (c.state == child_state::starting)
      c.past().start_problem = "it did not say that it is ready within " + in_ms(c.spec->start_timeout) + " and was killed";
    kill(c, s);
  }
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::stop(moment at) {
  step s{at, {}};
  if (phase_ == phase::stopping || phase_ == phase::finished)
    return {};
  begin_stop(supervision_errc::none, {}, s);
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::fail(supervision_errc code, std::string reason, moment at) {
  step s{at, {}};
  if (phase_ == phase::finished)
    return {};
  fail_with(code, std::move(reason), s);
  continue_sweep(s);
  return std::move(s.out);
}

// -- children ---------------------------------------------------------------------------------------------------------

const std::string& supervision::child::last_reason() const {
  static const std::string none;
  return past_ ? past_->last_reason : none;
}

void supervision::child::tidy() {
  if (past_ && past_->last_reason.empty() && past_->start_problem.empty() && !past_->backoff
      && past_->start_request == 0 && past_->stop_requests.empty())
    past_.reset();
}

supervision::child& supervision::add(child_spec spec) {
  auto c = std::make_unique<child>();
  c->where = next_position_++;
  c->id = std::exchange(spec.id, {});
  if (spec.backoff)
    c->past().backoff.emplace(*spec.backoff);
  if (!last_spec_ || *last_spec_ != spec)
    last_spec_ = std::make_shared<const child_spec>(std::move(spec));
  c->spec = last_spec_;
  const auto place = std::lower_bound(by_id_.begin(), by_id_.end(), c->id, [](auto* x, auto& id) { return x->id < id; });
  by_id_.insert(place, c.get());
  children_.push_back(std::move(c));
  return *children_.back();
}

void supervision::remove(child& c, step& s) {
  reply_to_start(c, supervision_errc::terminated, "its group is being restarted", s);
  if (sweep_)
    sweep_->to_start.erase(c.where);
  s.out.push_back(forget_action{c.id, c.where});
  by_id_.erase(std::lower_bound(by_id_.begin(), by_id_.end(), c.id, [](auto* x, auto& id) { return x->id < id; }));
  children_.erase(
      std::lower_bound(children_.begin(), children_.end(), c.where, [](auto& x, position p) { return x->where < p; }));
}

supervision::child* supervision::by_position(position where) const {
  const auto found =
      std::lower_bound(children_.begin(), children_.end(), where, [](auto& x, position p) { return x->where < p; });
  return found != children_.end() && (*found)->where == where ? found->get() : nullptr;
}

supervision::child* supervision::by_id(const std::string& id) const {
  const auto found =
      std::lower_bound(by_id_.begin(), by_id_.end(), id, [](auto* x, auto& wanted) { return x->id < wanted; });
  return found != by_id_.end() && (*found)->id == id ? *found : nullptr;
}

supervision::child* supervision::by_incarnation(std::uint64_t ref) const {
  auto* c = by_position(ref >> 32);
  return c != nullptr && c->is_alive() && c->ref(c->incarnation) == ref ? c : nullptr;
}

supervision::child* supervision::by_timer(std::uint64_t token) const {
  auto* c = by_position(token >> 32);
  return c != nullptr && c->timer != 0 && c->ref(c->timer) == token ? c : nullptr;
}

bool supervision::awaits(std::uint64_t token) const {
  return by_timer(token) != nullptr || (sweep_ && token != 0 && sweep_->timer == token);
}

std::uint64_t supervision::key_of(const std::string& id) const {
  const auto* c = by_id(id);
  return c == nullptr ? 0 : c->where;
}

/// Wraps around after 2^32 of them; a reference that old is nobody's any more.
std::uint32_t supervision::next_number() {
  if (++last_number_ == 0)
    ++last_number_;
  return last_number_;
}

void supervision::arm(child& c, milliseconds delay, step& s) {
  c.timer = next_number();
  s.out.push_back(timer_action{c.ref(c.timer), delay});
}

// -- one child --------------------------------------------------------------------------------------------------------

void supervision::start(child& c, step& s) {
  c.incarnation = next_number();
  c.state = child_state::starting;
  c.killed = false;
  if (c.past_)
    c.past_->start_problem.clear();
  c.started_at = s.at.now;
  // The start comes first: a child that is ready at once needs no timer.
  s.out.push_back(start_action{c.id, c.ref(c.incarnation)});
  arm(c, c.spec->start_timeout, s);
}

void supervision::tell_to_stop(child& c, step& s) {
  c.state = child_state::stopping;
  if (c.killed) // it did not become ready in time; its kill is on the way, and its limit is armed
    return;
  const auto policy = c.spec->effective_shutdown();
  const bool spares_work = spec_.kills_on_give_up && phase_ == phase::stopping && outcome_.code == supervision_errc::gave_up;
  if (policy.kind == shutdown_kind::brutal || spares_work) {
    kill(c, s);
    return;
  }
  c.timer = 0;
  s.out.push_back(stop_action{c.id, c.ref(c.incarnation)});
  if (policy.kind == shutdown_kind::timeout)
    arm(c, policy.grace, s);
}

void supervision::kill(child& c, step& s) {
  c.killed = true;
  s.out.push_back(kill_action{c.id, c.ref(c.incarnation)});
  arm(c, spec_.kill_timeout, s);
}

void supervision::abandon(child& c, step& s) {
  c.state = child_state::stopped;
  const auto reason = "it did not end within " + in_ms(spec_.kill_timeout) + " after it was killed";
  c.past().last_reason = reason;
  report(report_kind::abandoned, c, reason, s);
  reply_to_start(c, supervision_errc::unkillable, reason, s);
  reply_to_stops(c, supervision_errc::unkillable, s);
  // Starting a second one beside it could do harm, so the level above decides; in the end, a fresh process.
  fail_with(supervision_errc::unkillable, "child '" + c.id + "': " + reason, s);
}

void supervision::on_stopped(child& c, step& s) {
  reply_to_stops(c, supervision_errc::none, s);
  if (c.spec->restart == config::restart_type::temporary)
    remove(c, s);
  else if (is_to_start(c.where))
    c.state = child_state::restarting;
}

void supervision::on_start_failed(child& c, const std::string& reason, step& s) {
  c.past().last_reason = reason;
  report(report_kind::start_failed, c, reason, s);
  const bool on_request = c.past().start_request != 0;
  reply_to_start(c, supervision_errc::start_failed, reason, s);
  if (phase_ == phase::stopping)
    return;
  if (on_request) {
    if (c.is_new)
      remove(c, s);
  } else if (phase_ == phase::starting && sweep_ && sweep_->current == c.where) {
    begin_stop(supervision_errc::start_failed, "child '" + c.id + "': " + reason, s);
  } else {
    schedule_restart(c, s);
  }
}

void supervision::on_ended_by_itself(child& c, const child_exit& how, step& s) {
  if (phase_ == phase::stopping)
    return;
  const bool is_being_stopped = sweep_ && sweep_->at == sweep::stage::stopping && c.where >= sweep_->from;
  if (is_being_stopped)
    on_stopped(c, s); // it only came first
  else if (needs_restart(c.spec->restart, how.kind))
    schedule_restart(c, s);
  else
    settle_without_restart(c, s);
}

void supervision::settle_without_restart(child& c, step& s) {
  const auto spec = c.spec;
  const auto id = c.id;
  if (spec->restart == config::restart_type::temporary)
    remove(c, s);
  auto_shutdown_after(*spec, id, s);
}

void supervision::schedule_restart(child& c, step& s) {
  const auto& last_reason = c.last_reason();
  if (!intensity_.add_restart(s.at.now)) {
    const auto reason = "more than " + std::to_string(spec_.limit.intensity) + " restarts within " +
                        in_ms(spec_.limit.period) + std::string{last_restart} + c.id + "': " + last_reason;
    report(report_kind::gave_up, c, reason, s);
    begin_stop(supervision_errc::gave_up, reason, s);
    return;
  }
  ++c.restarts;
  c.state = child_state::restarting;
  auto& backoff = c.past().backoff;
  const auto delay = backoff ? backoff->next(c.started_at, s.at.now, s.at.uniform) : milliseconds{0};
  report(report_kind::restart_scheduled, c, last_reason, s);
  std::get<report_action>(s.out.back()).report.delay = delay;
  if (spec_.strategy != config::restart_strategy::one_for_one)
    restart_group(c, delay, s);
  else if (delay > milliseconds{0})
    arm(c, delay, s);
  else
    start(c, s);
}

} // namespace prunella::runtime
