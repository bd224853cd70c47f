#pragma once

// What the supervisor actor keeps of each child beside the decisions: how it starts, and its actor. Found by the child's key
// (`supervision::key_of`) and by its actor. Flat and sorted: there may be very many children, and few come or go.

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include <caf/actor.hpp>

#include "runtime/supervisor.hpp"

namespace prunella::runtime {

struct child_record {
  std::uint64_t key = 0;
  start_function start;
  caf::actor actor; ///< invalid: does not run
  std::optional<config::restart_strategy> strategy;
  bool says_ready = false;
  bool is_supervisor = false;
};

class child_records {
public:
  void reserve(std::size_t children) {
    records_.reserve(children);
    keys_.reserve(children);
  }

  void add(std::uint64_t key, const supervised_child& child) {
    child_record made{key, child.start, {}, child.strategy, child.says_ready, child.spec.kind == child_kind::supervisor};
    records_.insert(place(key), std::move(made));
  }

  void remove(std::uint64_t key) {
    if (const auto found = place(key); found != records_.end() && found->key == key)
      records_.erase(found);
  }

  /// Null: there is none. Valid until the next `add` or `remove`.
  child_record* find(std::uint64_t key) {
    const auto found = place(key);
    return found != records_.end() && found->key == key ? &*found : nullptr;
  }

  void set_actor(child_record& x, caf::actor actor) {
    keys_.insert(key_place(actor.id()), {actor.id(), x.key});
    x.actor = std::move(actor);
  }

  /// The child whose actor ended, which has none from here on; null: it was no child's.
  child_record* take_actor(caf::actor_id actor) {
    const auto found = key_place(actor);
    if (found == keys_.end() || found->first != actor || found->second == 0)
      return nullptr;
    auto* x = find(std::exchange(found->second, 0));
    if (++gone_ * 2 > keys_.size()) {
      keys_.erase(std::remove_if(keys_.begin(), keys_.end(), [](const auto& y) { return y.second == 0; }), keys_.end());
      gone_ = 0;
    }
    if (x != nullptr)
      x->actor = nullptr;
    return x;
  }

  bool has_actors() const {
    return std::any_of(records_.begin(), records_.end(), [](const auto& x) { return static_cast<bool>(x.actor); });
  }

  std::vector<child_record>& all() { return records_; }

private:
  std::vector<child_record>::iterator place(std::uint64_t key) {
    return std::lower_bound(records_.begin(), records_.end(), key, [](const auto& x, auto wanted) { return x.key < wanted; });
  }
  std::vector<std::pair<caf::actor_id, std::uint64_t>>::iterator key_place(caf::actor_id actor) {
    return std::lower_bound(keys_.begin(), keys_.end(), actor, [](const auto& x, auto wanted) { return x.first < wanted; });
  }

  std::vector<child_record> records_;                             ///< by key
  std::vector<std::pair<caf::actor_id, std::uint64_t>> keys_;     ///< of running children, by actor; key 0: gone
  std::size_t gone_ = 0;                                          ///< of `keys_`
};

} // namespace prunella::runtime
