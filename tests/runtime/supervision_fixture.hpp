#pragma once

// Plays the shell of a supervision value: children are names, each action becomes a word of a readable trace
// ("start a", "stop b", "kill b", "wait 100ms", …), and children behave as told. No actors, no clock.

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "runtime/supervision.hpp"

namespace prunella::tests {

inline std::string to_word(const runtime::supervision_action& action) {
  using namespace runtime;
  struct {
    std::string operator()(const start_action& a) { return "start " + a.id; }
    std::string operator()(const stop_action& a) { return "stop " + a.id; }
    std::string operator()(const kill_action& a) { return "kill " + a.id; }
    std::string operator()(const timer_action& a) { return "wait " + std::to_string(a.delay.count()) + "ms"; }
    std::string operator()(const reply_action& a) {
      return "reply " + std::to_string(a.request) + (a.code == supervision_errc::none ? " ok" : " refused");
    }
    std::string operator()(const forget_action& a) { return "forget " + a.id; }
    std::string operator()(const report_action& a) {
      return std::string{to_text(a.report.kind)} + " " + a.report.child;
    }
    std::string operator()(const ready_action&) { return "ready"; }
    std::string operator()(const finish_action& a) {
      return a.code == supervision_errc::none ? "finish orderly" : "finish failed";
    }
  } word;
  return std::visit(word, action);
}

class supervised_names {
public:
  explicit supervised_names(runtime::supervisor_spec spec) : core(std::move(spec)) {}

  runtime::supervision core;
  runtime::instant now{std::chrono::hours{1}};

  std::set<std::string> slow_to_start; ///< not ready by themselves
  std::set<std::string> fails_to_start;
  std::set<std::string> stubborn;   ///< do not end when asked
  std::set<std::string> unkillable; ///< do not end when killed
  std::vector<std::string> trace;   ///< start, stop, kill, ready, finish, forget; and waits for restarts
  std::vector<runtime::supervision_report> reports;
  std::map<std::uint64_t, runtime::reply_action> replies;
  runtime::finish_action end;
  bool has_ended = false;

  void begin() { run(core.begin(now)); }
  void stop() { run(core.stop(now)); }

  /// Ends the running actor of `id` from outside.
  void exit(const std::string& id, runtime::exit_kind kind = runtime::exit_kind::abnormal,
            std::string why = "it broke") {
    const auto incarnation = alive.at(id);
    alive.erase(id);
    run(core.child_exited(incarnation, {kind, std::move(why)}, now));
  }

  void say_ready(const std::string& id) { run(core.child_ready(alive.at(id), now)); }

  /// Lets time pass; timers fire in order.
  void advance(std::chrono::milliseconds amount) {
    const auto to = now + amount;
    while (!timers.empty() && timers.begin()->first <= to) {
      now = timers.begin()->first;
      const auto token = timers.begin()->second;
      timers.erase(timers.begin());
      run(core.timer_elapsed(token, now));
    }
    now = to;
  }

  /// The trace since the last call.
  std::vector<std::string> taken() { return std::exchange(trace, {}); }

  std::vector<std::string> running() const {
    std::vector<std::string> ids;
    for (const auto& child : core.which_children())
      if (child.state == runtime::child_state::running)
        ids.push_back(child.id);
    return ids;
  }

  std::size_t count(runtime::report_kind kind) const {
    std::size_t n = 0;
    for (const auto& report : reports)
      n += report.kind == kind ? 1 : 0;
    return n;
  }

  void run(runtime::supervision_actions actions) {
    for (auto& action : actions)
      queue.push_back(std::move(action));
    if (std::exchange(draining, true))
      return;
    while (!queue.empty()) {
      auto action = std::move(queue.front());
      queue.pop_front();
      apply(action);
    }
    draining = false;
  }

  std::map<std::string, std::uint64_t> alive; ///< incarnation of each

private:
  void apply(const runtime::supervision_action& action) {
    using namespace runtime;
    if (auto* report = std::get_if<report_action>(&action)) {
      reports.push_back(report->report);
      return;
    }
    if (auto* reply = std::get_if<reply_action>(&action)) {
      replies[reply->request] = *reply;
      return;
    }
    if (auto* timer = std::get_if<timer_action>(&action)) {
      timers.emplace(now + timer->delay, timer->token);
      return;
    }
    trace.push_back(to_word(action));
    if (auto* start = std::get_if<start_action>(&action))
      on_start(*start);
    else if (auto* stop = std::get_if<stop_action>(&action))
      on_end(stop->id, stop->incarnation, stubborn, exit_kind::shutdown);
    else if (auto* kill = std::get_if<kill_action>(&action))
      on_end(kill->id, kill->incarnation, unkillable, exit_kind::killed);
    else if (auto* finish = std::get_if<finish_action>(&action)) {
      end = *finish;
      has_ended = true;
    }
  }

  void on_start(const runtime::start_action& start) {
    if (fails_to_start.count(start.id)) {
      run(core.child_start_failed(start.incarnation, "no such file", now));
      return;
    }
    alive[start.id] = start.incarnation;
    if (!slow_to_start.count(start.id))
      run(core.child_ready(start.incarnation, now));
  }

  void on_end(const std::string& id, std::uint64_t incarnation, const std::set<std::string>& exceptions,
              runtime::exit_kind kind) {
    if (exceptions.count(id) || !alive.count(id) || alive.at(id) != incarnation)
      return;
    alive.erase(id);
    run(core.child_exited(incarnation, {kind, "as told"}, now));
  }

  std::multimap<runtime::instant, std::uint64_t> timers;
  std::deque<runtime::supervision_action> queue;
  bool draining = false;
};

/// A child spec as OTP's tests have it.
inline runtime::child_spec child(std::string id, config::restart_type restart = config::restart_type::permanent) {
  runtime::child_spec spec;
  spec.id = std::move(id);
  spec.restart = restart;
  return spec;
}

/// A supervisor over children with these ids, all permanent: at most 2 restarts in an hour (OTP's suite uses 2, 3600).
inline runtime::supervisor_spec over(std::vector<std::string> ids,
                                     config::restart_strategy strategy = config::restart_strategy::one_for_one) {
  runtime::supervisor_spec spec;
  spec.strategy = strategy;
  spec.limit = {2, std::chrono::hours{1}};
  for (auto& id : ids)
    spec.children.push_back(child(std::move(id)));
  return spec;
}

} // namespace prunella::tests
