#pragma once

// A supervisor's decisions as a value: events in, ordered actions out; no actor, clock or thread. `supervisor.hpp` is
// the actor around it. The rules are those of Erlang/OTP's supervisor (lib/stdlib/src/supervisor.erl); where CAF
// differs (starting and stopping are asynchronous) the value keeps what OTP's blocking calls guarantee:
//  - children start in order, each when the one before it is ready, and stop in reverse order;
//  - a restart of a group first stops every member, then starts them in order; what ends meanwhile is not counted;
//  - a child whose restart fails counts again and is tried again; one whose first start fails makes the supervisor
//  fail.
// Better than OTP, deliberately: a slow start delays nobody else under one_for_one; a shutdown interrupts starts and
// restarts instead of waiting for them; nothing is waited for without a limit; giving up is an abnormal end with a
// sentence (OTP's is `shutdown`), so a transient supervisor that gave up is restarted by its parent.

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "runtime/instant.hpp"
#include "runtime/supervision_error.hpp"
#include "runtime/supervision_spec.hpp"

namespace prunella::runtime {

/// How an actor ended, as far as restarting goes.
enum class exit_kind : std::uint8_t { normal, shutdown, abnormal, killed };

/// `reason` is what a person reads; not empty.
struct child_exit {
  exit_kind kind = exit_kind::normal;
  std::string reason;

  PRUNELLA_FIELDS(child_exit, kind, reason)
};

enum class child_state : std::uint8_t {
  stopped,    ///< not running and not about to
  starting,   ///< started, not yet ready
  running,    ///< ready
  restarting, ///< ended, will be started again
  stopping,   ///< told to end, has not yet
};

/// "stopped" … "stopping".
std::string_view to_text(child_state state);

struct child_status {
  std::string id;
  child_kind kind = child_kind::worker;
  child_state state = child_state::stopped;
  std::uint64_t incarnation = 0; ///< of its latest start, unique under its supervisor; 0: never started
  std::uint32_t restarts = 0;    ///< by the supervisor, since the spec was added
  instant started_at;            ///< its latest start
  std::string last_reason;       ///< of its latest end; empty: has not ended yet
};

/// As OTP's count_children.
struct child_counts {
  std::size_t specs = 0;
  std::size_t active = 0; ///< with an actor
  std::size_t supervisors = 0;
  std::size_t workers = 0;

  PRUNELLA_FIELDS(child_counts, specs, active, supervisors, workers)
};

enum class report_kind : std::uint8_t {
  started,           ///< the child is ready
  start_failed,      ///< … with `reason`
  exited,            ///< it ended by itself: `end`, `reason`
  stopped,           ///< it ended because the supervisor told it to
  restart_scheduled, ///< it will be started again after `delay`
  gave_up,           ///< the restart that this child needed was one too many
  abandoned,         ///< it was killed and does not end
};

/// "started" … "abandoned".
std::string_view to_text(report_kind kind);

/// What happened to a child, for those who watch.
struct supervision_report {
  report_kind kind = report_kind::started;
  std::string child; ///< its id
  std::uint32_t restarts = 0;
  exit_kind end = exit_kind::normal;  ///< only with `exited` and `stopped`
  std::string reason;                 ///< a sentence; empty with `started`
  std::chrono::milliseconds delay{0}; ///< only with `restart_scheduled`

  PRUNELLA_FIELDS(supervision_report, kind, child, restarts, end, reason, delay)
};

// What the shell has to do, in order.

/// Start the child's actor; then say child_ready, child_ignored or child_start_failed.
struct start_action {
  std::string id;
  std::uint64_t incarnation = 0;
};
/// Ask this child to end (exit reason: shutdown); then say child_exited.
struct stop_action {
  std::string id;
  std::uint64_t incarnation = 0;
};
/// End this child whatever it does; then say child_exited.
struct kill_action {
  std::string id;
  std::uint64_t incarnation = 0;
};
/// Say timer_elapsed(token) after `delay`. Timers are never cancelled; late ones are ignored.
struct timer_action {
  std::uint64_t token = 0;
  std::chrono::milliseconds delay{0};
};
/// Answer the request; `code` none: it was done. `text` says what and why otherwise.
struct reply_action {
  std::uint64_t request = 0;
  supervision_errc code = supervision_errc::none;
  std::string id;
  std::string text;
};
/// The spec is gone: drop what belongs to it.
struct forget_action {
  std::string id;
  std::uint64_t key = 0; ///< as `supervision::key_of`
};
struct report_action {
  supervision_report report;
};
/// All children of the spec are up: the supervisor is ready.
struct ready_action {};
/// All children have ended: end. `code` none: orderly.
struct finish_action {
  supervision_errc code = supervision_errc::none;
  std::string reason;
};

using supervision_action = std::variant<start_action, stop_action, kill_action, timer_action, reply_action,
                                        forget_action, report_action, ready_action, finish_action>;
using supervision_actions = std::vector<supervision_action>;

/// When something is decided, and the luck of that moment (for jittered delays; in [0, 1)).
struct moment {
  moment(instant now_, double uniform_ = 0) : now(now_), uniform(uniform_) {} // NOLINT: an instant is a moment
  instant now;
  double uniform;
};

class supervision {
public:
  enum class phase : std::uint8_t { idle, starting, running, stopping, finished };

  /// `spec` has no problems (problems_of(spec) is empty).
  explicit supervision(supervisor_spec spec);

  /// Starts the children of the spec. Call once, first.
  supervision_actions begin(moment at);

  // What happened to the child of that incarnation. Of an incarnation that is no more: ignored.
  supervision_actions child_ready(std::uint64_t incarnation, moment at);
  /// Its start function says there is nothing to run (OTP's `ignore`).
  supervision_actions child_ignored(std::uint64_t incarnation, moment at);
  supervision_actions child_start_failed(std::uint64_t incarnation, std::string reason, moment at);
  supervision_actions child_exited(std::uint64_t incarnation, child_exit how, moment at);
  supervision_actions timer_elapsed(std::uint64_t token, moment at);
  /// Whether that timer still means anything: who keeps timers may forget the others.
  bool awaits(std::uint64_t token) const;

  /// Ends all children and then the supervisor. Idempotent.
  supervision_actions stop(moment at);
  /// The same, as a failure that the level above has to decide on.
  supervision_actions fail(supervision_errc code, std::string reason, moment at);

  // Requests; each is answered by exactly one reply_action with its number, not necessarily at once. As in OTP:
  /// Adds a child and starts it; replied to when it is ready. If its start fails it is not kept.
  supervision_actions start_child(std::uint64_t request, child_spec spec, moment at);
  /// Ends the child; replied to when it has ended. Its spec is kept, unless temporary. Also ends a row of restarts.
  supervision_actions terminate_child(std::uint64_t request, const std::string& id, moment at, bool brutal = false);
  /// Starts a stopped child again; replied to when it is ready.
  supervision_actions restart_child(std::uint64_t request, const std::string& id, moment at);
  /// Removes the spec of a stopped child.
  supervision_actions delete_child(std::uint64_t request, const std::string& id, moment at);

  /// In order of start.
  std::vector<child_status> which_children() const;
  child_counts count_children() const;
  std::optional<child_status> find_child(const std::string& id) const;
  /// The number of a child: its rank in the order of start, and the upper half of its incarnations. 0: there is none.
  std::uint64_t key_of(const std::string& id) const;
  /// By key; none: it is gone.
  std::optional<child_status> find_child(std::uint64_t key) const;
  static std::uint64_t key_of_incarnation(std::uint64_t incarnation) { return incarnation >> 32; }
  phase current_phase() const { return phase_; }
  const supervisor_spec& spec() const { return spec_; }

private:
  using position = std::uint64_t; ///< rank in the order of start; never reused; below 2^32

  /// What most children do not have most of the time.
  struct child_past {
    std::string last_reason;
    std::string start_problem; ///< why a starting child was killed
    std::optional<restart_backoff> backoff;
    std::uint64_t start_request = 0; ///< 0: none
    std::vector<std::uint64_t> stop_requests;
  };

  /// Small: there may be very many.
  struct child {
    std::string id;
    std::shared_ptr<const child_spec> spec; ///< shared with the child before, if equal but for the id, which is `id`
    std::unique_ptr<child_past> past_;      ///< null: as default-constructed
    position where = 0;
    instant started_at{};
    std::uint32_t incarnation = 0; ///< counts up; 0: never started
    std::uint32_t timer = 0;       ///< the one that is awaited: start, restart delay or shutdown, by state; 0: none
    std::uint32_t restarts = 0;
    child_state state = child_state::stopped;
    bool killed = false; ///< this incarnation was told so
    bool is_new = false; ///< by start_child and not yet ready: not kept if it fails

    bool is_alive() const {
      return state == child_state::starting || state == child_state::running || state == child_state::stopping;
    }
    child_past& past() {
      if (!past_)
        past_ = std::make_unique<child_past>();
      return *past_;
    }
    const std::string& last_reason() const;
    /// Drops the past if it says nothing.
    void tidy();
    /// For the outside: unique among all children and timers of this supervisor.
    std::uint64_t ref(std::uint32_t number) const { return where << 32 | number; }
  };

  /// A walk over several children: first stop those from `from` on, then wait, then start `to_start`, one by one.
  struct sweep {
    enum class stage : std::uint8_t { stopping, waiting, starting };
    stage at = stage::starting;
    position from = 0;
    std::set<position> to_start;
    position current = 0;    ///< started by this sweep last; 0: none
    std::uint64_t timer = 0; ///< of the restart delay; 0: none or over
  };

  /// One event: when it is decided, and the actions so far.
  struct step {
    moment at;
    supervision_actions out;
  };

  static child_status status_of(const child& c);
  child& add(child_spec spec);
  void remove(child& c, step& s);
  child* by_position(position where) const;
  child* by_id(const std::string& id) const;
  child* by_incarnation(std::uint64_t ref) const;
  child* by_timer(std::uint64_t token) const;
  std::uint32_t next_number();
  void arm(child& c, std::chrono::milliseconds delay, step& s);
  bool is_to_start(position at) const { return sweep_ && sweep_->to_start.count(at) > 0; }
  supervision_errc why_not_at_rest(const child* c) const;

  void start(child& c, step& s);
  void tell_to_stop(child& c, step& s);
  void kill(child& c, step& s);
  void abandon(child& c, step& s);
  void on_stopped(child& c, step& s);
  void on_start_failed(child& c, const std::string& reason, step& s);
  void on_ended_by_itself(child& c, const child_exit& how, step& s);
  void settle_without_restart(child& c, step& s);
  void schedule_restart(child& c, step& s);
  void restart_group(child& trigger, std::chrono::milliseconds delay, step& s);
  void auto_shutdown_after(const child_spec& ended, const std::string& id, step& s);
  void fail_with(supervision_errc code, std::string reason, step& s);
  void begin_stop(supervision_errc code, std::string reason, step& s);
  void continue_sweep(step& s);
  bool stop_next(step& s);
  void start_next(step& s);

  void reply(std::uint64_t request, supervision_errc code, const std::string& id, std::string text, step& s);
  void reply_to_start(child& c, supervision_errc code, std::string text, step& s);
  void reply_to_stops(child& c, supervision_errc code, step& s);
  void report(report_kind kind, const child& c, std::string reason, step& s);

  supervisor_spec spec_; ///< without `children`, which are in children_
  phase phase_ = phase::idle;
  restart_intensity intensity_;
  std::vector<std::unique_ptr<child>> children_; ///< in order of start
  std::vector<child*> by_id_;                    ///< sorted by id
  std::shared_ptr<const child_spec> last_spec_;  ///< for those to come that are equal
  position next_position_ = 1;
  std::uint32_t last_number_ = 0; ///< of incarnations and timers
  std::optional<sweep> sweep_;
  finish_action outcome_;
};

} // namespace prunella::runtime
