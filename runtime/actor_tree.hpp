#pragma once

// The browsable tree of the agent's actors. A shared table that supervisors keep up to date, not a question passed down
// the tree: so it also answers while an actor hangs, a supervisor is restarting or every mailbox is full, which is when
// somebody looks. Its price is one short critical section per start and end of a child.

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>

#include "config/fields.hpp"
#include "runtime/instant.hpp"

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
  std::string kind;
  std::string state;
  std::uint32_t restarts = 0;
  instant started_at{};
  std::string last_reason;
  std::string strategy;
};

/// Thread-safe. Bounded by the number of supervised children.
class actor_tree {
public:
  /// Writes the row of `path`, new or not.
  void put(const std::string& path, actor_entry entry);

  /// Removes the row of `path`.
  void remove(const std::string& path);

  /// Removes the row of `path` if it is about `actor`.
  void remove(const std::string& path, const caf::actor_addr& actor);

  /// Removes all rows below `path`, not its own.
  void remove_below(const std::string& path);

  /// All rows at and below `path` (empty: all), parents before children, siblings by name.
  std::vector<actor_row> list(instant now, std::string_view path = {}) const;

  /// The actor at `path`; an invalid handle if there is none.
  caf::actor find(std::string_view path) const;

  /// Ends the actor at `path` as no handler can prevent (exit_reason::kill), to watch its supervisor work.
  /// False: there is none.
  bool kill(std::string_view path) const;

  /// Paths and actors below `path`, not itself, that have an actor.
  std::vector<std::pair<std::string, caf::actor_addr>> actors_below(std::string_view path) const;

private:
  /// Sorts '/' before every other character, so that a subtree is one stretch of the map.
  struct path_less {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const;
  };

  mutable std::mutex mutex_;
  std::map<std::string, actor_entry, path_less> rows_;
};

} // namespace prunella::runtime
