#pragma once

// Inside of supervisor.cpp and supervisor_state.cpp only: the supervisor actor's state.

#include <cstdint>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include <caf/behavior.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/system_messages.hpp>

#include "runtime/child_records.hpp"
#include "runtime/deadlines.hpp"
#include "runtime/supervised_actor.hpp"
#include "runtime/supervisor.hpp"

namespace prunella::runtime {

/// The value's spec: the tree's without how children start.
supervisor_spec spec_with_children(const supervision_tree& tree);

// A supervisor's messages to itself, and a child's to it.
struct child_ready {
  std::uint64_t incarnation = 0;
  PRUNELLA_FIELDS(child_ready, incarnation)
};
struct timer_due {
  std::uint64_t epoch = 0;
  PRUNELLA_FIELDS(timer_due, epoch)
};
struct orphans_due {
  std::uint64_t incarnation = 0;
  PRUNELLA_FIELDS(orphans_due, incarnation)
};

struct supervisor_state {
  using self_pointer = caf::stateful_actor<supervisor_state, supervised_actor>*;

  explicit supervisor_state(self_pointer self_) : self(self_) {}
  ~supervisor_state();

  caf::behavior make_behavior(supervision_tree tree, supervisor_options options_, parent_link parent_);

  // Translates, decides, applies.
  void on_ready(std::uint64_t incarnation) { apply(core->child_ready(incarnation, now())); }
  void on_timer(std::uint64_t epoch);
  void on_down(const caf::down_msg& down);
  void on_orphans_due(std::uint64_t incarnation);
  caf::result<child_started> on_start_child(const start_child& request);
  caf::result<child_started> on_restart_child(const std::string& id);
  caf::result<child_done> on_terminate_child(const terminate_child& request);
  caf::result<child_done> on_delete_child(const std::string& id);
  actor_rows on_which_children() const;
  caf::result<child_done> on_kill_actor(const std::string& path) const;

  moment now() { return {self->clock().now(), options.jitter_seed == 0 ? 0 : uniform(random)}; }
  std::string path_of(const std::string& id) const { return options.path + "/" + id; }

  void apply(supervision_actions actions);
  void act(const start_action& action);
  void act(const stop_action& action);
  void act(const kill_action& action);
  void act(const timer_action& action);
  void act(const reply_action& action);
  void act(const forget_action& action);
  void act(const report_action& action);
  void act(const ready_action& action);
  void act(const finish_action& action);

  void on_spawned(const start_action& action, const caf::actor& actor);
  void arm_timer();
  void await_orphans(std::uint64_t incarnation);
  void on_child_gone(std::uint64_t incarnation);
  void changed(std::uint64_t key);
  void write_rows();
  std::uint64_t promise(bool wants_actor);

  struct pending_reply {
    caf::response_promise promise;
    bool wants_actor = false; ///< child_started, not child_done
  };
  /// A child that has ended while actors below it have not.
  struct ended_child {
    std::string path;
    caf::error reason;
    std::unordered_map<caf::actor_id, std::string> orphans; ///< paths
  };

  self_pointer self;
  supervisor_options options;
  parent_link parent;
  std::optional<supervision> core;
  child_records children;
  std::unordered_map<std::uint64_t, ended_child> ended;          ///< by incarnation
  std::unordered_map<std::uint64_t, pending_reply> replies;      ///< bounded by `supervision`
  std::uint64_t next_reply = 1;
  std::deque<supervision_action> queue;
  bool is_applying = false;
  std::vector<std::uint64_t> rows_to_write; ///< keys of children that changed since the tree was written
  std::vector<supervision_event> events;    ///< to be told when it is
  deadlines timers;
  std::optional<instant> timer_armed_for;
  std::uint64_t timer_epoch = 0;
  bool leaves_actors_behind = false; ///< ones that do not end though killed; the parent must not start beside them
  std::mt19937_64 random;
  std::uniform_real_distribution<double> uniform{0, 1};
  const char* name = "supervisor";
};

using supervisor_actor = caf::stateful_actor<supervisor_state, supervised_actor>;

} // namespace prunella::runtime
