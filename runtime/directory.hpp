#pragma once

// Names for actors. Who wants to talk to another part of the agent looks its name up when it needs it and does not keep
// the handle: after a restart the name leads to the new actor. One table per agent, shared by all threads.

#include <map>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>

#include <caf/actor.hpp>
#include <caf/actor_addr.hpp>
#include <caf/actor_cast.hpp>

namespace prunella::runtime {

/// Thread-safe; lookups run in parallel. Does not keep actors alive. Bounded by the number of supervised children.
class directory {
public:
  /// `name` leads to `actor` from now on, whoever it led to before.
  void put(std::string name, const caf::actor& actor) {
    std::unique_lock guard{mutex_};
    names_.insert_or_assign(std::move(name), caf::actor_cast<caf::actor_addr>(actor));
  }

  /// Removes `name` if it still leads to `actor`: a late end of an old actor must not hide its successor.
  void remove(std::string_view name, const caf::actor_addr& actor) {
    std::unique_lock guard{mutex_};
    if (auto found = names_.find(name); found != names_.end() && found->second == actor)
      names_.erase(found);
  }

  /// The actor of that name; an invalid handle if there is none. It may have ended a moment ago: a request to it then
  /// fails at once with caf::sec::request_receiver_down.
  caf::actor lookup(std::string_view name) const {
    std::shared_lock guard{mutex_};
    auto found = names_.find(name);
    return found == names_.end() ? caf::actor{} : caf::actor_cast<caf::actor>(found->second);
  }

private:
  mutable std::shared_mutex mutex_;
  std::map<std::string, caf::actor_addr, std::less<>> names_;
};

} // namespace prunella::runtime
