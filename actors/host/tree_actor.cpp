#include "actors/host/tree_actor.hpp"

#include <algorithm>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/messages.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

struct tree_state {
  static inline const char* name = "tree";
};

using tree_self = caf::stateful_actor<tree_state, runtime::supervised_actor>;

actors_answer list(const runtime::actor_tree& tree, std::size_t limit, runtime::instant now) {
  actors_answer answer;
  auto rows = tree.list(now);
  rows.resize(std::min(rows.size(), limit));
  for (auto& row : rows)
    answer.actors.push_back({std::move(row.path), std::move(row.kind), std::move(row.state), row.restarts, row.mailbox,
                             row.age_ms, std::move(row.last_reason), std::move(row.strategy)});
  return answer;
}

} // namespace

caf::actor spawn_tree(caf::local_actor* parent, std::shared_ptr<runtime::actor_tree> tree) {
  return parent->spawn(
    [](tree_self* self, std::shared_ptr<runtime::actor_tree> table) -> caf::behavior {
      return {
        [self, table](const actors_request& x) {
          return list(*table, std::clamp<std::size_t>(x.limit, 1, 10'000), self->clock().now());
        },
        [table](const kill_request& x) { return kill_answer{table->kill(x.path)}; },
      };
    },
    std::move(tree));
}

} // namespace prunella::actors
