#include "runtime/actor_tree.hpp"

#include <algorithm>
#include <chrono>

#include <caf/actor_cast.hpp>
#include <caf/exit_reason.hpp>
#include <caf/send.hpp>

#include "runtime/supervised_actor.hpp"

namespace prunella::runtime {

namespace {

bool is_below(std::string_view path, std::string_view top) {
  return path.size() > top.size() && path.substr(0, top.size()) == top && path[top.size()] == '/';
}

std::int64_t mailbox_of(const caf::actor& actor) {
  const auto* meter =
      actor ? dynamic_cast<const mailbox_meter*>(caf::actor_cast<caf::abstract_actor*>(actor)) : nullptr;
  return meter ? meter->waiting_messages() : -1;
}

actor_row to_row(const std::string& path, const actor_entry& entry, const caf::actor& actor, instant now) {
  const bool has_run = entry.started_at != instant{};
  const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - entry.started_at);
  return {path,
          entry.kind,
          entry.state,
          entry.restarts,
          mailbox_of(actor),
          has_run ? static_cast<std::int64_t>(age.count()) : 0,
          entry.last_reason,
          entry.strategy};
}

} // namespace

bool actor_tree::path_less::operator()(std::string_view a, std::string_view b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    const auto rank = [](char c) { return c == '/' ? 0 : static_cast<unsigned char>(c) + 1; };
    return rank(x) < rank(y);
  });
}

void actor_tree::put(const std::string& path, actor_entry entry) {
  std::lock_guard guard{mutex_};
  rows_.insert_or_assign(path, std::move(entry));
}

void actor_tree::remove(const std::string& path) {
  std::lock_guard guard{mutex_};
  rows_.erase(path);
}

void actor_tree::remove(const std::string& path, const caf::actor_addr& actor) {
  std::lock_guard guard{mutex_};
  if (auto found = rows_.find(path); found != rows_.end() && found->second.actor == actor)
    rows_.erase(found);
}

void actor_tree::remove_below(const std::string& path) {
  std::lock_guard guard{mutex_};
  auto i = rows_.upper_bound(path);
  while (i != rows_.end() && is_below(i->first, path))
    i = rows_.erase(i);
}

std::vector<actor_row> actor_tree::list(instant now, std::string_view path) const {
  struct seen {
    std::string path;
    actor_entry entry;
    caf::actor actor;
  };
  std::vector<seen> all;
  {
    std::lock_guard guard{mutex_};
    for (auto i = path.empty() ? rows_.begin() : rows_.lower_bound(path);
         i != rows_.end() && (path.empty() || i->first == path || is_below(i->first, path)); ++i)
      all.push_back({i->first, i->second, caf::actor_cast<caf::actor>(i->second.actor)});
  }
  // Outside the lock: a handle taken above can turn out to be the last one, and an actor's destructor may come back
  // here.
  std::vector<actor_row> rows;
  rows.reserve(all.size());
  for (const auto& one : all)
    rows.push_back(to_row(one.path, one.entry, one.actor, now));
  return rows;
}

caf::actor actor_tree::find(std::string_view path) const {
  std::lock_guard guard{mutex_};
  auto found = rows_.find(path);
  return found == rows_.end() ? caf::actor{} : caf::actor_cast<caf::actor>(found->second.actor);
}

bool actor_tree::kill(std::string_view path) const {
  const auto actor = find(path);
  if (actor)
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  return static_cast<bool>(actor);
}

std::vector<std::pair<std::string, caf::actor_addr>> actor_tree::actors_below(std::string_view path) const {
  std::lock_guard guard{mutex_};
  std::vector<std::pair<std::string, caf::actor_addr>> found;
  for (auto i = rows_.upper_bound(path); i != rows_.end() && is_below(i->first, path); ++i)
    if (i->second.actor)
      found.emplace_back(i->first, i->second.actor);
  return found;
}

} // namespace prunella::runtime
