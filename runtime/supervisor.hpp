#pragma once

// The supervisor actor: `supervision` (the decisions) between CAF's messages. Everything an agent runs hangs under one.
//
//   auto tree = supervision_tree{};
//   tree.spec.strategy = config::restart_strategy::rest_for_one;
//   tree.children = {worker(spec_of("log"), [](const start_context& my) { return spawn_log(*my.self, my.parent); }),
//                    supervisor(spec_of("core"), core_tree())};
//   auto root = spawn_supervisor(system, std::move(tree), options);
//
// Children are monitored, never linked: a linked child killed with exit_reason::kill takes its supervisor along, which
// not even trapping exits prevents (CAF.md §12). Three things OTP gets from links are done here instead:
//  - a supervisor that ends in whatever way takes its children down (kill, as nobody is left to wait for them);
//  - its parent waits until the whole subtree has ended before it starts it again, so that two generations of a child
//    never run beside each other (OTP does not promise that for a killed supervisor);
//  - an exit message with any reason but kill is an orderly shutdown of the supervisor.
// Restart type of a supervisor: its parent's choice. Lost when it crashes: the specs of children added by start_child.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/fwd.hpp>

#include "runtime/actor_tree.hpp"
#include "runtime/supervision.hpp"

namespace prunella::runtime {

/// What a child has of its parent.
struct parent_link {
  caf::actor supervisor;
  std::uint64_t incarnation = 0;

  /// The child is up. Only for a child whose spec says that it says so; once; harmless otherwise.
  void say_ready() const;
};

/// What happened to the actor at `path`; told to `supervisor_options::on_event`.
struct supervision_event {
  std::string path;
  supervision_report report;

  PRUNELLA_FIELDS(supervision_event, path, report)
};

/// What a supervisor shares with those below it.
struct supervisor_options {
  std::string path; ///< of the supervisor itself, e.g. `host-1/root`; not empty
  std::shared_ptr<actor_tree> tree = std::make_shared<actor_tree>();
  /// Called in the supervisor's thread for each event of its children. Must be quick and must not throw.
  std::function<void(const supervision_event&)> on_event;
  std::uint64_t jitter_seed = 0; ///< 0: delays are exact
  /// How long a supervisor waits for what an ended child left running below it, before it gives up; > 0.
  std::chrono::milliseconds orphan_timeout{10'000};
};

/// Handed to a start function.
struct start_context {
  caf::event_based_actor* self = nullptr; ///< the supervisor: spawn from it, do not keep it
  std::string path;                       ///< of the child
  parent_link parent;                     ///< keep it, if the child says when it is ready
  const supervisor_options& options;      ///< of the supervisor
};

/// Spawns the child (plain `spawn`: the supervisor monitors it) and returns it; an invalid handle means that there is
/// nothing to run (OTP's `ignore`); an exception means that the start failed, for the reason in its text.
using start_function = std::function<caf::actor(const start_context&)>;

struct supervised_child {
  child_spec spec;
  start_function start;
  /// False: ready as soon as it is spawned. True: ready when it calls `parent.say_ready()`.
  bool says_ready = false;
  std::optional<config::restart_strategy> strategy; ///< shown in the tree; of a supervisor
};

struct supervision_tree {
  supervisor_spec spec; ///< its `children` stay empty: they are below, with how they start
  std::vector<supervised_child> children;
};

/// A child that is an ordinary actor.
supervised_child worker(child_spec spec, start_function start);
/// A worker that is ready only when it says so.
supervised_child worker_that_says_ready(child_spec spec, start_function start);
/// A child that is a supervisor over `tree`; ready when all children of its spec are.
supervised_child supervisor(child_spec spec, supervision_tree tree);

/// A child spec with this id and OTP's defaults otherwise.
child_spec spec_of(std::string id, config::restart_type restart = config::restart_type::permanent);

// Messages to a supervisor. Each request is answered as described in supervision.hpp, refusals as caf::error of
// supervision_errc; give requests a timeout above the child's start_timeout or shutdown grace.

/// → child_started when it is ready.
struct start_child {
  supervised_child child;
};
/// → child_done when it has ended.
struct terminate_child {
  std::string id;
  bool brutal = false; ///< killed at once whatever its shutdown policy, and all below it
  PRUNELLA_FIELDS(terminate_child, id, brutal)
};
/// → child_started when it is ready.
struct restart_child {
  std::string id;
  PRUNELLA_FIELDS(restart_child, id)
};
/// → child_done
struct delete_child {
  std::string id;
  PRUNELLA_FIELDS(delete_child, id)
};
/// → actor_rows: its children in order of start, those without an actor included.
struct which_children {
  std::uint8_t unused = 0;
  PRUNELLA_FIELDS(which_children, unused)
};
/// → child_counts
struct count_children {
  std::uint8_t unused = 0;
  PRUNELLA_FIELDS(count_children, unused)
};
/// → actor_rows: the supervisor and everything below it, in tree order. The same as `options.tree->list()`, which also
/// answers when the supervisor does not.
struct list_tree {
  std::uint8_t unused = 0;
  PRUNELLA_FIELDS(list_tree, unused)
};
/// → child_done: the actor at `path`, at or below the supervisor, was sent a kill. For fault injection.
struct kill_actor {
  std::string path;
  PRUNELLA_FIELDS(kill_actor, path)
};

struct child_started {
  std::string path;
  caf::actor actor; ///< invalid: there was nothing to run
  PRUNELLA_FIELDS(child_started, path, actor)
};
struct child_done {
  std::string path;
  PRUNELLA_FIELDS(child_done, path)
};
struct actor_rows {
  std::vector<actor_row> rows;
  PRUNELLA_FIELDS(actor_rows, rows)
};

/// Everything wrong with `tree` (of this level), each `what; what would be right`.
std::vector<std::string> problems_of(const supervision_tree& tree);

/// Starts a root supervisor. It ends orderly on exit_reason::user_shutdown (anon_send_exit) and, when it gives up, with
/// an error of supervision_errc: monitor it, and end the process. Throws std::invalid_argument with problems_of(tree).
caf::actor spawn_supervisor(caf::actor_system& system, supervision_tree tree, supervisor_options options);

/// An observer for supervisor_options::on_event that sends each event on as a message.
std::function<void(const supervision_event&)> tell(const caf::actor& observer);

} // namespace prunella::runtime

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(prunella::runtime::start_child)
