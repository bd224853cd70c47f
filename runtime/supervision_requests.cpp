// The requests to a supervisor (OTP's start_child and friends), their answers, and what it tells about itself.

#include "runtime/supervision.hpp"

#include <utility>

namespace prunella::runtime {

namespace {

/// Requests that may wait for one child to end; whoever asks more often than this does not need the answer.
constexpr std::size_t max_waiting = 16;

} // namespace

// -- requests ---------------------------------------------------------------------------------------------------------

supervision_actions supervision::start_child(std::uint64_t request, child_spec spec, moment at) {
  step s{at, {}};
  const auto id = spec.id;
  auto refuse = [&](supervision_errc code, std::string text = {}) {
    reply(request, code, id, std::move(text), s);
    return std::move(s.out);
  };
  if (phase_ == phase::stopping || phase_ == phase::finished)
    return refuse(supervision_errc::shutting_down);
  if (auto problems = problems_of(spec, spec_.auto_shutdown); !problems.empty())
    return refuse(supervision_errc::invalid_spec, joined(problems));
  if (const auto* present = by_id(id))
    return refuse(present->is_alive() ? supervision_errc::already_started : supervision_errc::already_present);
  if (children_.size() >= spec_.max_children)
    return refuse(supervision_errc::too_many_children, "at most " + std::to_string(spec_.max_children));
  auto& c = add(std::move(spec));
  c.is_new = true;
  c.past().start_request = request;
  if (sweep_ || phase_ == phase::idle) {
    // It has the last place in the order of start, and those before it are not up yet.
    if (sweep_)
      sweep_->to_start.insert(c.where);
    return std::move(s.out);
  }
  start(c, s);
  return std::move(s.out);
}

supervision_actions supervision::terminate_child(std::uint64_t request, const std::string& id, moment at, bool brutal) {
  step s{at, {}};
  auto* found = by_id(id);
  if (found == nullptr || phase_ == phase::stopping || phase_ == phase::finished) {
    reply(request, found == nullptr ? supervision_errc::not_found : supervision_errc::shutting_down, id, {}, s);
    return std::move(s.out);
  }
  auto& c = *found;
  if (sweep_)
    sweep_->to_start.erase(c.where);
  auto& stop_requests = c.past().stop_requests;
  if (stop_requests.size() >= max_waiting) {
    reply(request, supervision_errc::too_many_waiting, id, {}, s);
    return std::move(s.out);
  }
  stop_requests.push_back(request);
  reply_to_start(c, supervision_errc::terminated, {}, s);
  if (c.is_alive()) {
    if (brutal && !c.killed) {
      c.state = child_state::stopping;
      kill(c, s);
    } else if (c.state != child_state::stopping) {
      tell_to_stop(c, s);
    }
  } else {
    c.timer = 0;
    c.state = child_state::stopped;
    on_stopped(c, s);
  }
  continue_sweep(s);
  return std::move(s.out);
}

/// What forbids to start a child again or to forget it: only one that is stopped, and stays so, is at rest.
supervision_errc supervision::why_not_at_rest(const child* c) const {
  if (phase_ == phase::stopping || phase_ == phase::finished)
    return supervision_errc::shutting_down;
  if (c == nullptr)
    return supervision_errc::not_found;
  if (c->is_alive())
    return supervision_errc::running;
  if (c->state == child_state::restarting || is_to_start(c->where))
    return supervision_errc::restarting;
  return supervision_errc::none;
}

supervision_actions supervision::restart_child(std::uint64_t request, const std::string& id, moment at) {
  step s{at, {}};
  auto* c = by_id(id);
  const auto code = why_not_at_rest(c);
  if (code != supervision_errc::none) {
    reply(request, code, id, {}, s);
    return std::move(s.out);
  }
  c->past().start_request = request;
  if (sweep_)
    sweep_->to_start.insert(c->where); // a group is being stopped or started: it takes its place in the order
  else
    start(*c, s);
  return std::move(s.out);
}

supervision_actions supervision::delete_child(std::uint64_t request, const std::string& id, moment at) {
  step s{at, {}};
  auto* c = by_id(id);
  const auto code = why_not_at_rest(c);
  if (code == supervision_errc::none)
    remove(*c, s);
  reply(request, code, id, {}, s);
  return std::move(s.out);
}

// -- introspection ----------------------------------------------------------------------------------------------------

child_status supervision::status_of(const child& c) {
  return {c.id,        c.spec->kind, c.state, c.incarnation == 0 ? 0 : c.ref(c.incarnation), c.restarts, c.started_at,
          c.last_reason()};
}

std::vector<child_status> supervision::which_children() const {
  std::vector<child_status> all;
  all.reserve(children_.size());
  for (const auto& c : children_)
    all.push_back(status_of(*c));
  return all;
}

child_counts supervision::count_children() const {
  child_counts counts;
  for (const auto& c : children_) {
    ++counts.specs;
    counts.active += c->is_alive() ? 1 : 0;
    ++(c->spec->kind == child_kind::supervisor ? counts.supervisors : counts.workers);
  }
  return counts;
}

std::optional<child_status> supervision::find_child(const std::string& id) const {
  const auto* c = by_id(id);
  return c == nullptr ? std::nullopt : std::optional{status_of(*c)};
}

std::optional<child_status> supervision::find_child(std::uint64_t key) const {
  const auto* c = by_position(key);
  return c == nullptr ? std::nullopt : std::optional{status_of(*c)};
}

// -- answers ----------------------------------------------------------------------------------------------------------

void supervision::reply(std::uint64_t request, supervision_errc code, const std::string& id, std::string text,
                        step& s) {
  s.out.push_back(reply_action{request, code, id, std::move(text)});
}

void supervision::reply_to_start(child& c, supervision_errc code, std::string text, step& s) {
  if (c.past_ && c.past_->start_request != 0)
    reply(std::exchange(c.past_->start_request, 0), code, c.id, std::move(text), s);
}

void supervision::reply_to_stops(child& c, supervision_errc code, step& s) {
  if (!c.past_)
    return;
  for (auto request : std::exchange(c.past_->stop_requests, {}))
    reply(request, code, c.id, {}, s);
}

void supervision::report(report_kind kind, const child& c, std::string reason, step& s) {
  supervision_report report;
  report.kind = kind;
  report.child = c.id;
  report.restarts = c.restarts;
  report.reason = std::move(reason);
  s.out.push_back(report_action{std::move(report)});
}

} // namespace prunella::runtime
