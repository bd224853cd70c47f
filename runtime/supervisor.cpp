#include "runtime/supervisor.hpp"

#include <stdexcept>
#include <utility>

#include <caf/actor_system.hpp>
#include <caf/send.hpp>

#include "runtime/supervisor_state.hpp"

namespace prunella::runtime {

namespace {

caf::behavior supervisor_behavior(supervisor_actor* self, supervision_tree tree, supervisor_options options,
                                  parent_link parent) {
  return self->state.make_behavior(std::move(tree), std::move(options), std::move(parent));
}

void must_be_valid(const supervision_tree& tree) {
  if (auto problems = problems_of(tree); !problems.empty())
    throw std::invalid_argument("invalid supervision tree: " + joined(problems));
}

} // namespace

supervisor_spec spec_with_children(const supervision_tree& tree) {
  auto spec = tree.spec;
  for (const auto& child : tree.children)
    spec.children.push_back(child.spec);
  return spec;
}

void parent_link::say_ready() const {
  // As urgent as the message that it has ended, which it must not overtake.
  if (supervisor)
    caf::anon_send<caf::message_priority::high>(supervisor, child_ready{incarnation});
}

child_spec spec_of(std::string id, config::restart_type restart) {
  child_spec spec;
  spec.id = std::move(id);
  spec.restart = restart;
  return spec;
}

supervised_child worker(child_spec spec, start_function start) {
  return {std::move(spec), std::move(start), false, {}};
}

supervised_child worker_that_says_ready(child_spec spec, start_function start) {
  return {std::move(spec), std::move(start), true, {}};
}

supervised_child supervisor(child_spec spec, supervision_tree tree) {
  spec.kind = child_kind::supervisor;
  const auto strategy = tree.spec.strategy;
  auto start = [tree = std::move(tree)](const start_context& my) -> caf::actor {
    must_be_valid(tree);
    auto options = my.options;
    options.path = my.path;
    return my.self->spawn(supervisor_behavior, tree, std::move(options), my.parent);
  };
  return {std::move(spec), std::move(start), true, strategy};
}

std::vector<std::string> problems_of(const supervision_tree& tree) {
  auto problems = problems_of(spec_with_children(tree));
  if (!tree.spec.children.empty())
    problems.push_back("spec.children is not empty; children are given with how they start, in the tree");
  for (const auto& child : tree.children)
    if (!child.start)
      problems.push_back("child '" + child.spec.id + "' has no start function; give it one");
  return problems;
}

caf::actor spawn_supervisor(caf::actor_system& system, supervision_tree tree, supervisor_options options) {
  must_be_valid(tree);
  if (options.path.empty() || !options.tree)
    throw std::invalid_argument("a root supervisor needs a path and a tree");
  actor_entry entry;
  entry.kind = child_kind::supervisor;
  entry.state = child_state::running;
  entry.started_at = system.clock().now();
  entry.strategy = tree.spec.strategy;
  const auto shared_tree = options.tree;
  const auto path = options.path;
  auto root = system.spawn(supervisor_behavior, std::move(tree), std::move(options), parent_link{});
  entry.actor = root.address();
  shared_tree->put(path, std::move(entry));
  return root;
}

std::function<void(const supervision_event&)> tell(const caf::actor& observer) {
  return [observer](const supervision_event& event) { caf::anon_send(observer, event); };
}

} // namespace prunella::runtime
