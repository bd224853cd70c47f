#pragma once

// The tree of the agent's actors by path: to look at, and to find one another. A shared table that supervisors keep up to
// date, not a question passed down the tree: so it also answers while an actor hangs, a supervisor is restarting or every
// mailbox is full, which is when somebody looks. Its price is one short critical section per change of a child.
//
// Who wants to talk to another part of the agent looks it up when it needs it (`find`) and does not keep the handle: after a
// restart the path leads to the new actor.

#include <cstdint>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>

#include "config/fields.hpp"
#include "config/spec.hpp"
#include "runtime/instant.hpp"
#include "runtime/supervision.hpp"

namespace prunella::runtime {

/// One actor, as shown. The fields of the API's actor_view.
struct actor_row {
  std::string path;  ///< host-1/root/core/consensus
  std::string kind;  ///< supervisor | worker
  std::string state; ///< starting | running | restarting | stopping | stopped
  std::uint32_t restarts = 0;
  std::int64_t mailbox = 0; ///< waiting messages; -1: it is no supervised_actor or does not run
  std::int64_t age_ms = 0;  ///< since its latest start
  std::string last_reason;  ///< of its latest end
  std::string strategy;     ///< of a supervisor

  PRUNELLA_FIELDS(actor_row, path, kind, state, restarts, mailbox, age_ms, last_reason, strategy)
};

/// What a supervisor writes about a child.
struct actor_entry {
  caf::actor_addr actor; ///< null: no actor at the moment. Weak: the table keeps nobody alive.
  instant started_at{};
  std::uint32_t restarts = 0;
  child_kind kind = child_kind::worker;
  child_state state = child_state::stopped;
  std::optional<config::restart_strategy> strategy; ///< of a supervisor
  std::string last_reason;
};

/// Thread-safe. Bounded by the number of supervised children.
class actor_tree {
public:
  /// Writes the row of `path`, new or not.
  void put(const std::string& path, actor_entry entry);

  /// Removes the row of `path`.
  void remove(const std::string& path);

  /// Removes the row of `path` if it is about `actor`: a late end of an old actor must not hide its successor.
  void remove(const std::string& path, const caf::actor_addr& actor);

  /// Removes all rows below `path`, not its own.
  void remove_below(const std::string& path);

  /// All rows at and below `path` (empty: all), parents before children, siblings by name.
  std::vector<actor_row> list(instant now, std::string_view path = {}) const;

  /// The actor at `path`; an invalid handle if there is none. It may have ended a moment ago: a request to it then fails
  /// at once with caf::sec::request_receiver_down. Lookups run in parallel.
  caf::actor find(std::string_view path) const;

  /// Ends the actor at `path` as no handler can prevent (exit_reason::kill), to watch its supervisor work.
  /// False: there is none.
  bool kill(std::string_view path) const;

  /// Paths and actors below `path`, not itself, that have an actor.
  std::vector<std::pair<std::string, caf::actor_addr>> actors_below(std::string_view path) const;

private:
  struct node;
  using level = std::vector<std::unique_ptr<node>>; ///< sorted by id

  /// One part of a path. Small: there may be very many.
  struct node {
    std::string id;
    std::unique_ptr<level> below;
    std::unique_ptr<std::string> last_reason;
    caf::actor_addr actor;
    instant started_at{};
    std::uint32_t restarts = 0;
    child_kind kind = child_kind::worker;
    child_state state = child_state::stopped;
    std::optional<config::restart_strategy> strategy;
    bool is_row = false; ///< false: only there for what is below
  };
  struct seen;

  static level::iterator place_of(level& siblings, std::string_view id);
  node* walk(std::string_view path) const;
  node& make(std::string_view path);
  void drop(std::string_view path);
  static void collect(const node& top, const std::string& path, std::vector<seen>& all);
  static void collect_actors(const node& top, const std::string& path,
                             std::vector<std::pair<std::string, caf::actor_addr>>& found);

  mutable std::shared_mutex mutex_;
  std::unique_ptr<node> top_ = std::make_unique<node>(); ///< of the empty path
};

} // namespace prunella::runtime
