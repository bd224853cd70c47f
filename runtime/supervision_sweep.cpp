// What concerns several children: the ordered start, the restart of a group, the ordered end.

#include "runtime/supervision.hpp"

#include <utility>

namespace prunella::runtime {

using std::chrono::milliseconds;

void supervision::restart_group(child& trigger, milliseconds delay, step& s) {
  sweep next;
  next.at = sweep::stage::stopping;
  next.from = spec_.strategy == config::restart_strategy::one_for_all ? children_.front()->where : trigger.where;
  if (sweep_) {
    next.to_start = sweep_->to_start;
    next.current = sweep_->current;
  }
  for (const auto& c : children_) {
    if (c->where < next.from)
      continue;
    // A child that was terminated while the running sweep would have started it stays down, as if asked after the
    // sweep.
    const bool is_held = sweep_ && c->where >= sweep_->from && c->state == child_state::stopped;
    if (!is_held)
      next.to_start.insert(c->where);
  }
  if (delay > milliseconds{0}) {
    next.timer = next_number(); // no child's: those have a position in their upper half
    s.out.push_back(timer_action{next.timer, delay});
  }
  sweep_ = std::move(next);
}

void supervision::auto_shutdown_after(const child_spec& ended, const std::string& id, step& s) {
  if (!ended.significant || spec_.auto_shutdown == auto_shutdown::never)
    return;
  if (spec_.auto_shutdown == auto_shutdown::all_significant)
    for (const auto& c : children_)
      if (c->spec->significant && (c->state != child_state::stopped || is_to_start(c->where)))
        return;
  begin_stop(supervision_errc::none, "its significant child '" + id + "' ended", s);
}

void supervision::fail_with(supervision_errc code, std::string reason, step& s) {
  if (phase_ != phase::stopping)
    begin_stop(code, std::move(reason), s);
  else if (outcome_.code == supervision_errc::none) // the first failure is what the level above should hear of
    outcome_ = {code, std::move(reason)};
}

void supervision::begin_stop(supervision_errc code, std::string reason, step& s) {
  phase_ = phase::stopping;
  outcome_ = {code, std::move(reason)};
  sweep last;
  last.at = sweep::stage::stopping;
  sweep_ = std::move(last);
  for (auto& c : children_) {
    reply_to_start(*c, supervision_errc::shutting_down, outcome_.reason, s);
    if (c->is_alive())
      continue;
    c->timer = 0;
    c->state = child_state::stopped;
  }
}

void supervision::continue_sweep(step& s) {
  if (!sweep_)
    return;
  if (sweep_->at == sweep::stage::stopping) {
    if (!stop_next(s))
      return;
    if (phase_ == phase::stopping) {
      sweep_.reset();
      phase_ = phase::finished;
      s.out.push_back(outcome_);
      return;
    }
    sweep_->at = sweep::stage::waiting;
  }
  if (sweep_->at == sweep::stage::waiting) {
    if (sweep_->timer != 0)
      return;
    sweep_->at = sweep::stage::starting;
  }
  start_next(s);
}

/// Whether all that the sweep stops have ended; tells the next one, or all of them, to.
bool supervision::stop_next(step& s) {
  bool all_ended = true;
  for (auto r = children_.rbegin(); r != children_.rend() && (*r)->where >= sweep_->from; ++r) {
    auto& c = **r;
    if (!c.is_alive())
      continue;
    all_ended = false;
    if (c.state != child_state::stopping)
      tell_to_stop(c, s);
    if (spec_.order == shutdown_order::one_by_one)
      return false;
  }
  return all_ended;
}

void supervision::start_next(step& s) {
  if (const auto* c = by_position(sweep_->current); c != nullptr && c->state == child_state::starting)
    return;
  if (!sweep_->to_start.empty()) {
    sweep_->current = *sweep_->to_start.begin();
    sweep_->to_start.erase(sweep_->to_start.begin());
    start(*by_position(sweep_->current), s);
    return;
  }
  sweep_.reset();
  if (phase_ == phase::starting) {
    phase_ = phase::running;
    s.out.push_back(ready_action{});
  }
}

} // namespace prunella::runtime
