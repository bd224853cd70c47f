#include "runtime/actor_tree.hpp"

#include <algorithm>
#include <chrono>
#include <mutex>

#include <caf/actor_cast.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include "runtime/supervised_actor.hpp"

namespace prunella::runtime {

namespace {

std::int64_t mailbox_of(const caf::actor& actor) {
  const auto* meter =
      actor ? dynamic_cast<const mailbox_meter*>(caf::actor_cast<caf::abstract_actor*>(actor)) : nullptr;
  return meter ? meter->waiting_messages() : -1;
}

/// Splits the first part off `path`.
std::string_view take_part(std::string_view& path) {
  const auto part = path.substr(0, path.find('/'));
  path.remove_prefix(std::min(path.size(), part.size() + 1));
  return part;
}

std::string joined_path(const std::string& above, const std::string& id) {
  return above.empty() ? id : above + '/' + id;
}

} // namespace

/// A row as it was under the lock.
struct actor_tree::seen {
  std::string path;
  caf::actor actor;
  actor_row row;
  instant started_at;
};

actor_tree::level::iterator actor_tree::place_of(level& siblings, std::string_view id) {
  return std::lower_bound(siblings.begin(), siblings.end(), id, [](const auto& x, auto wanted) { return x->id < wanted; });
}

actor_tree::node* actor_tree::walk(std::string_view path) const {
  auto* at = top_.get();
  while (!path.empty()) {
    const auto id = take_part(path);
    if (!at->below)
      return nullptr;
    const auto found = place_of(*at->below, id);
    if (found == at->below->end() || (*found)->id != id)
      return nullptr;
    at = found->get();
  }
  return at;
}

actor_tree::node& actor_tree::make(std::string_view path) {
  auto* at = top_.get();
  while (!path.empty()) {
    const auto id = take_part(path);
    if (!at->below)
      at->below = std::make_unique<level>();
    auto found = place_of(*at->below, id);
    if (found == at->below->end() || (*found)->id != id) {
      auto made = std::make_unique<node>();
      made->id = id;
      found = at->below->insert(found, std::move(made));
    }
    at = found->get();
  }
  return *at;
}

/// Makes `path` no row any more, and goes up as long as nodes have no meaning left.
void actor_tree::drop(std::string_view path) {
  if (auto* x = walk(path)) {
    auto below = std::move(x->below);
    auto id = std::move(x->id);
    *x = node{};
    x->below = std::move(below);
    x->id = std::move(id);
  }
  while (!path.empty()) {
    const auto slash = path.rfind('/');
    const auto above = slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
    const auto id = slash == std::string_view::npos ? path : path.substr(slash + 1);
    const auto* x = walk(path);
    if (x != nullptr && (x->is_row || (x->below && !x->below->empty())))
      return;
    if (auto* parent = walk(above); x != nullptr && parent != nullptr)
      parent->below->erase(place_of(*parent->below, id));
    path = above;
  }
}

void actor_tree::put(const std::string& path, actor_entry entry) {
  std::unique_lock guard{mutex_};
  auto& x = make(path);
  x.is_row = true;
  x.actor = std::move(entry.actor);
  x.started_at = entry.started_at;
  x.restarts = entry.restarts;
  x.kind = entry.kind;
  x.state = entry.state;
  x.strategy = entry.strategy;
  if (x.last_reason)
    *x.last_reason = std::move(entry.last_reason);
  else if (!entry.last_reason.empty())
    x.last_reason = std::make_unique<std::string>(std::move(entry.last_reason));
}

void actor_tree::remove(const std::string& path) {
  std::unique_lock guard{mutex_};
  drop(path);
}

void actor_tree::remove(const std::string& path, const caf::actor_addr& actor) {
  std::unique_lock guard{mutex_};
  if (const auto* x = walk(path); x != nullptr && x->is_row && x->actor == actor)
    drop(path);
}

void actor_tree::remove_below(const std::string& path) {
  std::unique_lock guard{mutex_};
  if (auto* x = walk(path))
    x->below.reset();
}

void actor_tree::collect(const node& top, const std::string& path, std::vector<seen>& all) {
  if (top.is_row)
    all.push_back({path, caf::actor_cast<caf::actor>(top.actor),
                   {path, top.kind == child_kind::supervisor ? "supervisor" : "worker", std::string{to_text(top.state)},
                    top.restarts, 0, 0, top.last_reason ? *top.last_reason : std::string{},
                    top.strategy ? std::string{config::to_text(*top.strategy)} : std::string{}},
                   top.started_at});
  if (top.below)
    for (const auto& x : *top.below)
      collect(*x, joined_path(path, x->id), all);
}

std::vector<actor_row> actor_tree::list(instant now, std::string_view path) const {
  std::vector<seen> all;
  {
    std::shared_lock guard{mutex_};
    if (const auto* x = walk(path))
      collect(*x, std::string{path}, all);
  }
  // Outside the lock: a handle taken above can turn out to be the last one, and an actor's destructor may come back
  // here.
  std::vector<actor_row> rows;
  rows.reserve(all.size());
  for (auto& one : all) {
    one.row.mailbox = mailbox_of(one.actor);
    if (one.started_at != instant{})
      one.row.age_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now - one.started_at).count();
    rows.push_back(std::move(one.row));
  }
  return rows;
}

caf::actor actor_tree::find(std::string_view path) const {
  std::shared_lock guard{mutex_};
  const auto* x = walk(path);
  return x == nullptr ? caf::actor{} : caf::actor_cast<caf::actor>(x->actor);
}

bool actor_tree::kill(std::string_view path) const {
  const auto actor = find(path);
  if (actor)
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  return static_cast<bool>(actor);
}

void actor_tree::collect_actors(const node& top, const std::string& path,
                                std::vector<std::pair<std::string, caf::actor_addr>>& found) {
  if (!top.below)
    return;
  for (const auto& x : *top.below) {
    const auto its_path = joined_path(path, x->id);
    if (x->actor)
      found.emplace_back(its_path, x->actor);
    collect_actors(*x, its_path, found);
  }
}

std::vector<std::pair<std::string, caf::actor_addr>> actor_tree::actors_below(std::string_view path) const {
  std::shared_lock guard{mutex_};
  std::vector<std::pair<std::string, caf::actor_addr>> found;
  if (const auto* x = walk(path))
    collect_actors(*x, std::string{path}, found);
  return found;
}

} // namespace prunella::runtime
