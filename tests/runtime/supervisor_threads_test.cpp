// The supervisor on real threads: what virtual time cannot show.

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>

#include <caf/actor_system.hpp>
#include <caf/actor_system_config.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"
#include "runtime/supervisor.hpp"

using namespace prunella;
using namespace prunella::runtime;
using namespace std::chrono_literals;

namespace {

/// How many live at one path, and whether there ever were two.
struct head_count {
  std::atomic<int> alive{0};
  std::atomic<bool> was_double{false};
};
using head_counts = std::map<std::string, head_count>;

struct counted_state {
  head_count* here = nullptr;
  ~counted_state() {
    if (here)
      --here->alive;
  }
};

using counted_actor = caf::stateful_actor<counted_state, supervised_actor>;

caf::behavior counted(counted_actor* self, head_count* here) {
  self->state.here = here;
  if (++here->alive > 1)
    here->was_double = true;
  return {[](int number) { return number; }};
}

supervision_tree sturdy(std::vector<supervised_child> children, config::restart_strategy strategy) {
  supervision_tree tree;
  tree.spec.strategy = strategy;
  tree.spec.limit = {100'000, 1h};
  tree.children = std::move(children);
  return tree;
}

} // namespace

TEST_CASE(
    "200 bursts of kills anywhere in a tree on two threads: it is whole again, and nobody ever ran twice at a time") {
  const std::uint64_t seed = 42;
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  const std::string top = "host-1/root";
  const std::vector<std::string> workers{top + "/a", top + "/one/b", top + "/one/c", top + "/one/two/d",
                                         top + "/one/two/e"};
  std::vector<std::string> all = workers;
  all.insert(all.end(), {top + "/one", top + "/one/two"});
  head_counts counts;
  for (const auto& path : workers)
    counts[path];
  auto leaf = [&](const char* id) {
    return worker(spec_of(id),
                  [&](const start_context& my) { return caf::actor{my.self->spawn(counted, &counts.at(my.path))}; });
  };
  using config::restart_strategy;
  auto two = sturdy({leaf("d"), leaf("e")}, restart_strategy::rest_for_one);
  auto one = sturdy({leaf("b"), supervisor(spec_of("two"), two), leaf("c")}, restart_strategy::one_for_all);
  auto root_tree = sturdy({leaf("a"), supervisor(spec_of("one"), one)}, restart_strategy::one_for_one);

  std::mutex mutex;
  std::condition_variable changed;
  caf::actor_system_config config;
  config.set("scheduler.max-threads", 2u);
  caf::actor_system system{config};
  supervisor_options options;
  options.path = top;
  options.on_event = [&](const supervision_event&) {
    std::lock_guard guard{mutex};
    changed.notify_all();
  };
  auto root = spawn_supervisor(system, root_tree, options);

  std::map<std::string, caf::actor> killed;
  auto is_whole = [&] {
    for (const auto& row : options.tree->list(system.clock().now(), top))
      if (row.state != "running")
        return false;
    for (const auto& path : all)
      if (auto now = options.tree->find(path); !now || (killed.count(path) && killed.at(path) == now))
        return false;
    return true;
  };
  auto becomes_whole = [&] {
    std::unique_lock guard{mutex};
    return changed.wait_for(guard, 20s, is_whole);
  };
  REQUIRE(becomes_whole());
  for (int burst = 0; burst < 200; ++burst) {
    killed.clear();
    for (int i = 0; i < 3; ++i) {
      const auto& path = all[random() % all.size()];
      if (auto victim = options.tree->find(path)) {
        killed.emplace(path, victim);
        caf::anon_send_exit(victim, caf::exit_reason::kill);
      }
    }
    CAPTURE(burst);
    REQUIRE(becomes_whole());
  }
  caf::scoped_actor self{system};
  for (const auto& path : workers)
    self->request(options.tree->find(path), 10s, 7)
        .receive([](int answer) { CHECK(answer == 7); }, [](caf::error& reason) { FAIL(reason_text(reason)); });
  self->monitor(root);
  self->send_exit(root, caf::exit_reason::user_shutdown);
  root = nullptr;
  self->receive([](const caf::down_msg& down) { CHECK(exit_kind_of(down.reason) == exit_kind::shutdown); });
  for (const auto& [path, count] : counts) {
    const auto& name = path; // clang captures no structured binding
    CAPTURE(name);
    CHECK(count.alive == 0);
    CHECK(!count.was_double);
  }
}
