#include "runtime/supervision.hpp"

#include <limits>
#include <utility>

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
  for (const auto& [where, c] : children_)
    first.to_start.insert(where);
  sweep_ = std::move(first);
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::child_ready(std::uint64_t incarnation, moment at) {
  step s{at, {}};
  auto i = by_ref(incarnation);
  if (i == children_.end() || i->second.state != child_state::starting || i->second.killed)
    return {};
  auto& c = i->second;
  disarm(c);
  c.state = child_state::running;
  c.is_new = false;
  report(report_kind::started, c, {}, s);
  reply_to_start(c, supervision_errc::none, {}, s);
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::child_ignored(std::uint64_t incarnation, moment at) {
  step s{at, {}};
  auto i = by_ref(incarnation);
  if (i == children_.end())
    return {};
  auto& c = i->second;
  disarm(c);
  by_ref_.erase(incarnation);
  const bool was_stopping = c.state == child_state::stopping;
  c.state = child_state::stopped;
  c.is_new = false;
  c.last_reason = "there was nothing to run";
  reply_to_start(c, supervision_errc::none, c.last_reason, s);
  if (was_stopping)
    on_stopped(i, s);
  else if (c.spec.restart == config::restart_type::temporary)
    remove(i->first, s);
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::child_start_failed(std::uint64_t incarnation, std::string reason, moment at) {
  if (auto i = by_ref(incarnation); i != children_.end() && i->second.start_problem.empty())
    i->second.start_problem = reason;
  return child_exited(incarnation, {exit_kind::abnormal, std::move(reason)}, at);
}

supervision_actions supervision::child_exited(std::uint64_t incarnation, child_exit how, moment at) {
  step s{at, {}};
  auto i = by_ref(incarnation);
  if (i == children_.end())
    return {};
  auto& c = i->second;
  disarm(c);
  by_ref_.erase(incarnation);
  const auto was = c.state;
  c.state = child_state::stopped;
  c.last_reason = how.reason;
  if (was == child_state::starting) {
    on_start_failed(i, c.start_problem.empty() ? "it ended before it was ready: " + how.reason : c.start_problem, s);
  } else {
    report(was == child_state::stopping ? report_kind::stopped : report_kind::exited, c, how.reason, s);
    std::get<report_action>(s.out.back()).report.end = how.kind;
    if (was == child_state::stopping)
      on_stopped(i, s);
    else
      on_ended_by_itself(i, how, s);
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
  auto i = by_ref(token);
  if (i == children_.end() || i->second.timer != token)
    return {};
  auto& c = i->second;
  disarm(c);
  if (c.state == child_state::restarting) {
    start(i, s);
  } else if (c.killed) {
    abandon(i, s);
  } else {
    if (c.state == child_state::starting)
      c.start_problem = "it did not say that it is ready within " + in_ms(c.spec.start_timeout) + " and was killed";
    kill(i, s);
  }
  continue_sweep(s);
  return std::move(s.out);
}

supervision_actions supervision::stop(moment at) {
  step s{at, {}};
  if (phase_ == phase::stopping || phase_ == phase::finished)
    return {};
  begin_stop(supervision_errc::none, "it was asked to shut down", s);
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

supervision::position supervision::add(child_spec spec) {
  const auto where = next_position_++;
  child c;
  if (spec.backoff)
    c.backoff.emplace(*spec.backoff);
  by_id_.emplace(spec.id, where);
  c.spec = std::move(spec);
  children_.emplace(where, std::move(c));
  return where;
}

void supervision::remove(position where, step& s) {
  auto i = children_.find(where);
  reply_to_start(i->second, supervision_errc::terminated, "its group is being restarted", s);
  disarm(i->second);
  by_ref_.erase(i->second.incarnation);
  by_id_.erase(i->second.spec.id);
  if (sweep_)
    sweep_->to_start.erase(where);
  s.out.push_back(forget_action{i->second.spec.id});
  children_.erase(i);
}

supervision::child_map::iterator supervision::by_id(const std::string& id) {
  auto found = by_id_.find(id);
  return found == by_id_.end() ? children_.end() : children_.find(found->second);
}

supervision::child_map::iterator supervision::by_ref(std::uint64_t ref) {
  auto found = by_ref_.find(ref);
  return found == by_ref_.end() ? children_.end() : children_.find(found->second);
}

std::uint64_t supervision::arm(child_map::iterator i, milliseconds delay, step& s) {
  disarm(i->second);
  i->second.timer = next_ref_++;
  by_ref_.emplace(i->second.timer, i->first);
  s.out.push_back(timer_action{i->second.timer, delay});
  return i->second.timer;
}

void supervision::disarm(child& c) {
  by_ref_.erase(c.timer);
  c.timer = 0;
}

// -- one child --------------------------------------------------------------------------------------------------------

void supervision::start(child_map::iterator i, step& s) {
  auto& c = i->second;
  c.incarnation = next_ref_++;
  by_ref_.emplace(c.incarnation, i->first);
  c.state = child_state::starting;
  c.killed = false;
  c.start_problem.clear();
  c.started_at = s.at.now;
  arm(i, c.spec.start_timeout, s);
  s.out.push_back(start_action{c.spec.id, c.incarnation});
}

void supervision::tell_to_stop(child_map::iterator i, step& s) {
  auto& c = i->second;
  c.state = child_state::stopping;
  if (c.killed) // it did not become ready in time; its kill is on the way, and its limit is armed
    return;
  const auto policy = c.spec.effective_shutdown();
  if (policy.kind == shutdown_kind::brutal) {
    kill(i, s);
    return;
  }
  disarm(c);
  if (policy.kind == shutdown_kind::timeout)
    arm(i, policy.grace, s);
  s.out.push_back(stop_action{c.spec.id, c.incarnation});
}

void supervision::kill(child_map::iterator i, step& s) {
  i->second.killed = true;
  arm(i, spec_.kill_timeout, s);
  s.out.push_back(kill_action{i->second.spec.id, i->second.incarnation});
}

void supervision::abandon(child_map::iterator i, step& s) {
  auto& c = i->second;
  by_ref_.erase(c.incarnation);
  c.state = child_state::stopped;
  c.last_reason = "it did not end within " + in_ms(spec_.kill_timeout) + " after it was killed";
  report(report_kind::abandoned, c, c.last_reason, s);
  reply_to_start(c, supervision_errc::unkillable, c.last_reason, s);
  reply_to_stops(c, supervision_errc::unkillable, s);
  // Starting a second one beside it could do harm, so the level above decides; in the end, a fresh process.
  fail_with(supervision_errc::unkillable, "child '" + c.spec.id + "': " + c.last_reason, s);
}

void supervision::on_stopped(child_map::iterator i, step& s) {
  auto& c = i->second;
  reply_to_stops(c, supervision_errc::none, s);
  if (c.spec.restart == config::restart_type::temporary)
    remove(i->first, s);
  else if (is_to_start(i->first))
    c.state = child_state::restarting;
}

void supervision::on_start_failed(child_map::iterator i, const std::string& reason, step& s) {
  auto& c = i->second;
  c.last_reason = reason;
  report(report_kind::start_failed, c, reason, s);
  const bool on_request = c.start_request != 0;
  reply_to_start(c, supervision_errc::start_failed, reason, s);
  if (phase_ == phase::stopping)
    return;
  if (on_request) {
    if (c.is_new)
      remove(i->first, s);
  } else if (phase_ == phase::starting && sweep_ && sweep_->current == i->first) {
    begin_stop(supervision_errc::start_failed, "child '" + c.spec.id + "': " + reason, s);
  } else {
    schedule_restart(i, s);
  }
}

void supervision::on_ended_by_itself(child_map::iterator i, const child_exit& how, step& s) {
  if (phase_ == phase::stopping)
    return;
  const bool is_being_stopped = sweep_ && sweep_->at == sweep::stage::stopping && i->first >= sweep_->from;
  if (is_being_stopped)
    on_stopped(i, s); // it only came first
  else if (needs_restart(i->second.spec.restart, how.kind))
    schedule_restart(i, s);
  else
    settle_without_restart(i, s);
}

void supervision::settle_without_restart(child_map::iterator i, step& s) {
  const auto spec = i->second.spec;
  if (spec.restart == config::restart_type::temporary)
    remove(i->first, s);
  auto_shutdown_after(spec, s);
}

void supervision::schedule_restart(child_map::iterator i, step& s) {
  auto& c = i->second;
  if (!intensity_.add_restart(s.at.now)) {
    const auto reason = "more than " + std::to_string(spec_.limit.intensity) + " restarts within " +
                        in_ms(spec_.limit.period) + "; the last was of child '" + c.spec.id + "': " + c.last_reason;
    report(report_kind::gave_up, c, reason, s);
    begin_stop(supervision_errc::gave_up, reason, s);
    return;
  }
  ++c.restarts;
  c.state = child_state::restarting;
  const auto delay = c.backoff ? c.backoff->next(c.started_at, s.at.now, s.at.uniform) : milliseconds{0};
  report(report_kind::restart_scheduled, c, c.last_reason, s);
  std::get<report_action>(s.out.back()).report.delay = delay;
  if (spec_.strategy != config::restart_strategy::one_for_one)
    restart_group(i, delay, s);
  else if (delay > milliseconds{0})
    arm(i, delay, s);
  else
    start(i, s);
}

} // namespace prunella::runtime
