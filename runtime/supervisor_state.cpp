#include "runtime/supervisor_state.hpp"

#include <algorithm>
#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/send.hpp>

#include "runtime/exit_reason.hpp"
#include "runtime/first_cause.hpp"

namespace prunella::runtime {

// -- life -------------------------------------------------------------------------------------------------------------

supervisor_state::~supervisor_state() {
  // After an orderly end nobody is left. Otherwise the supervisor was killed or threw, nobody will wait for its
  // children any more, and an untrappable end is the only one that is certain. Rows stay for the parent to see who is
  // still there.
  for (auto& child : children.all())
    if (child.actor)
      caf::anon_send_exit(child.actor, caf::exit_reason::kill);
  for (auto& [request, pending] : replies)
    pending.promise.deliver(to_error(supervision_errc::shutting_down, "supervisor '" + options.path + "' ended"));
}

caf::behavior supervisor_state::make_behavior(supervision_tree tree, supervisor_options options_, parent_link parent_) {
  options = std::move(options_);
  parent = std::move(parent_);
  random.seed(options.jitter_seed);
  core.emplace(spec_with_children(tree));
  children.reserve(tree.children.size());
  for (const auto& child : tree.children) {
    children.add(core->key_of(child.spec.id), child);
    changed(core->key_of(child.spec.id));
  }
  self->set_down_handler([this](caf::down_msg& down) { on_down(down); });
  self->set_exit_handler([this](caf::exit_msg& exit) {
    if (exit.reason == caf::exit_reason::kill)
      self->quit(exit.reason);
    else
      apply(core->stop(now()));
  });
  apply(core->begin(now()));
  return {[this](const child_ready& message) { on_ready(message.incarnation); },
          [this](const timer_due& message) { on_timer(message.epoch); },
          [this](const orphans_due& message) { on_orphans_due(message.incarnation); },
          [this](const start_child& request) { return on_start_child(request); },
          [this](const restart_child& request) { return on_restart_child(request.id); },
          [this](const terminate_child& request) { return on_terminate_child(request); },
          [this](const delete_child& request) { return on_delete_child(request.id); },
          [this](const which_children&) { return on_which_children(); },
          [this](const count_children&) { return core->count_children(); },
          [this](const list_tree&) { return actor_rows{options.tree->list(self->clock().now(), options.path)}; },
          [this](const kill_actor& request) { return on_kill_actor(request.path); }};
}

// -- ends of children -------------------------------------------------------------------------------------------------

void supervisor_state::on_down(const caf::down_msg& down) {
  const auto id = down.source.id();
  if (const auto* child = children.take_actor(id)) {
    const auto status = core->find_child(child->key);
    const auto incarnation = status ? status->incarnation : 0;
    if (!child->is_supervisor)
      return apply(core->child_exited(incarnation, child_exit_of(down.reason), now()));
    changed(child->key);
    write_rows(); // nobody shall find it any more, however long those below it take
    ended.emplace(incarnation, ended_child{status ? path_of(status->id) : std::string{}, down.reason, {}});
    await_orphans(incarnation);
    if (ended.count(incarnation) > 0)
      self->delayed_send(self, options.orphan_timeout, orphans_due{incarnation});
    return;
  }
  for (auto& [incarnation, child] : ended) {
    auto orphan = child.orphans.find(id);
    if (orphan == child.orphans.end())
      continue;
    options.tree->remove(orphan->second, down.source);
    child.orphans.erase(orphan);
    await_orphans(incarnation); // which may have started another before it ended
    return;
  }
}

/// Goes on when nothing below the ended child is left running, and watches what is.
void supervisor_state::await_orphans(std::uint64_t incarnation) {
  auto& child = ended.at(incarnation);
  for (const auto& [path, address] : options.tree->actors_below(child.path)) {
    if (!child.orphans.emplace(address.id(), path).second)
      continue;
    if (auto actor = caf::actor_cast<caf::actor>(address)) {
      self->monitor(actor);
    } else {
      child.orphans.erase(address.id());
      options.tree->remove(path, address);
    }
  }
  if (child.orphans.empty())
    on_child_gone(incarnation);
}

void supervisor_state::on_orphans_due(std::uint64_t incarnation) {
  auto found = ended.find(incarnation);
  if (found == ended.end())
    return;
  const auto& path = found->second.path;
  const auto reason = "child '" + path.substr(options.path.size() + 1) + "' left '" + found->second.orphans.begin()->second +
                      "' running, which did not end within " + std::to_string(options.orphan_timeout.count()) + " ms";
  leaves_actors_behind = true;
  apply(core->fail(supervision_errc::unkillable, reason, now()));
  on_child_gone(incarnation);
}

void supervisor_state::on_child_gone(std::uint64_t incarnation) {
  const auto gone = std::move(ended.extract(incarnation).mapped());
  if (gone.orphans.empty())
    options.tree->remove_below(gone.path);
  apply(core->child_exited(incarnation, child_exit_of(gone.reason), now()));
}

// -- requests ---------------------------------------------------------------------------------------------------------

std::uint64_t supervisor_state::promise(bool wants_actor) {
  replies.emplace(next_reply, pending_reply{self->make_response_promise(), wants_actor});
  return next_reply++;
}

caf::result<child_started> supervisor_state::on_start_child(const start_child& request) {
  const auto& child = request.child;
  if (!child.start)
    return to_error(supervision_errc::invalid_spec, "child '" + child.spec.id + "' has no start function; give it one");
  const bool is_new = core->key_of(child.spec.id) == 0;
  auto actions = core->start_child(promise(true), child.spec, now());
  if (const auto key = core->key_of(child.spec.id); is_new && key != 0) {
    children.add(key, child);
    changed(key);
  }
  apply(std::move(actions));
  return caf::delegated<child_started>{};
}

caf::result<child_started> supervisor_state::on_restart_child(const std::string& id) {
  apply(core->restart_child(promise(true), id, now()));
  return caf::delegated<child_started>{};
}

caf::result<child_done> supervisor_state::on_terminate_child(const terminate_child& request) {
  apply(core->terminate_child(promise(false), request.id, now(), request.brutal));
  return caf::delegated<child_done>{};
}

caf::result<child_done> supervisor_state::on_delete_child(const std::string& id) {
  apply(core->delete_child(promise(false), id, now()));
  return caf::delegated<child_done>{};
}

actor_rows supervisor_state::on_which_children() const {
  std::unordered_map<std::string, actor_row> by_path;
  for (auto& row : options.tree->list(self->clock().now(), options.path))
    by_path.emplace(row.path, std::move(row));
  actor_rows answer;
  for (const auto& child : core->which_children())
    if (auto found = by_path.find(path_of(child.id)); found != by_path.end())
      answer.rows.push_back(std::move(found->second));
  return answer;
}

caf::result<child_done> supervisor_state::on_kill_actor(const std::string& path) const {
  const bool is_mine = path == options.path || path.rfind(options.path + "/", 0) == 0;
  if (!is_mine || !options.tree->kill(path))
    return to_error(supervision_errc::not_found, "no actor at '" + path + "'; list the tree for those there are");
  return child_done{path};
}

// -- actions ----------------------------------------------------------------------------------------------------------

void supervisor_state::apply(supervision_actions actions) {
  for (auto& action : actions)
    queue.push_back(std::move(action));
  // Acting can bring further actions; they come after those that are already decided.
  if (std::exchange(is_applying, true))
    return;
  while (!queue.empty()) {
    const auto action = std::move(queue.front());
    queue.pop_front();
    std::visit([this](const auto& a) { act(a); }, action);
  }
  is_applying = false;
  write_rows();
  for (const auto& event : std::exchange(events, {}))
    options.on_event(event);
}

void supervisor_state::act(const start_action& action) {
  const auto key = supervision::key_of_incarnation(action.incarnation);
  const auto* child = children.find(key);
  if (child == nullptr)
    return; // removed by what was decided before this
  caf::actor actor;
  changed(key);
  try {
    actor = child->start(
        start_context{self, path_of(action.id), {caf::actor_cast<caf::actor>(self), action.incarnation}, options});
  } catch (const std::exception& e) {
    apply(core->child_start_failed(action.incarnation, std::string{start_threw} + e.what(), now()));
    return;
  }
  if (actor)
    on_spawned(action, actor);
  else
    apply(core->child_ignored(action.incarnation, now()));
}

void supervisor_state::on_spawned(const start_action& action, const caf::actor& actor) {
  auto& child = *children.find(supervision::key_of_incarnation(action.incarnation));
  children.set_actor(child, actor);
  self->monitor(actor);
  if (!child.says_ready)
    apply(core->child_ready(action.incarnation, now()));
}

void supervisor_state::act(const stop_action& action) {
  const auto key = supervision::key_of_incarnation(action.incarnation);
  changed(key);
  if (const auto* child = children.find(key); child != nullptr && child->actor)
    self->send_exit(child->actor, caf::exit_reason::user_shutdown);
}

void supervisor_state::act(const kill_action& action) {
  const auto key = supervision::key_of_incarnation(action.incarnation);
  changed(key);
  if (const auto* child = children.find(key); child != nullptr && child->actor)
    self->send_exit(child->actor, caf::exit_reason::kill);
}

void supervisor_state::act(const timer_action& action) {
  const auto is_awaited = [this](std::uint64_t token) { return core->awaits(token); };
  if (!is_awaited(action.token))
    return; // a child that was ready at once
  timers.keep_below(2 * children.all().size() + 64, is_awaited);
  timers.add(self->clock().now() + action.delay, action.token);
  arm_timer();
}

void supervisor_state::arm_timer() {
  const auto next = timers.next([this](std::uint64_t token) { return core->awaits(token); });
  if (!next || (timer_armed_for && *timer_armed_for <= *next))
    return;
  timer_armed_for = next;
  const auto wait = std::max<instant::duration>(*next - self->clock().now(), instant::duration::zero());
  self->delayed_send(self, wait, timer_due{++timer_epoch});
}

void supervisor_state::on_timer(std::uint64_t epoch) {
  if (epoch != timer_epoch)
    return;
  timer_armed_for.reset();
  while (const auto token = timers.take_due(self->clock().now()))
    apply(core->timer_elapsed(*token, now()));
  arm_timer();
}

void supervisor_state::act(const reply_action& action) {
  auto node = replies.extract(action.request);
  if (node.empty())
    return;
  const auto key = core->key_of(action.id);
  changed(key);
  write_rows(); // who is told looks there next
  auto& [answer, wants_actor] = node.mapped();
  const auto path = path_of(action.id);
  const auto* child = children.find(key);
  if (action.code != supervision_errc::none)
    answer.deliver(to_error(action.code, "'" + path + "'" + (action.text.empty() ? "" : ": " + action.text)));
  else if (wants_actor)
    answer.deliver(child_started{path, child == nullptr ? caf::actor{} : child->actor});
  else
    answer.deliver(child_done{path});
}

void supervisor_state::act(const forget_action& action) {
  options.tree->remove(path_of(action.id));
  children.remove(action.key);
}

void supervisor_state::act(const report_action& action) {
  changed(core->key_of(action.report.child));
  if (options.on_event)
    events.push_back({path_of(action.report.child), action.report});
}

void supervisor_state::act(const ready_action&) {
  write_rows();
  parent.say_ready();
}

void supervisor_state::act(const finish_action& action) {
  write_rows();
  // Who still has an actor was abandoned.
  if (!children.has_actors() && !leaves_actors_behind)
    options.tree->remove_below(options.path);
  if (action.code != supervision_errc::none)
    self->quit(to_error(action.code, action.reason));
  else
    self->quit(caf::error{static_cast<std::uint8_t>(caf::exit_reason::user_shutdown), caf::atom("exit"),
                          caf::make_message(action.reason)});
}

/// The child's row of the tree is to be written: once for all that happens to it at a time.
void supervisor_state::changed(std::uint64_t key) {
  if (rows_to_write.empty() || rows_to_write.back() != key)
    rows_to_write.push_back(key);
}

void supervisor_state::write_rows() {
  for (const auto key : std::exchange(rows_to_write, {})) {
    auto status = core->find_child(key);
    const auto* child = children.find(key);
    if (!status || child == nullptr)
      continue;
    actor_entry entry;
    if (child->actor)
      entry.actor = child->actor.address();
    entry.kind = status->kind;
    entry.state = status->state;
    entry.restarts = status->restarts;
    entry.started_at = status->started_at;
    entry.last_reason = std::move(status->last_reason);
    entry.strategy = child->strategy;
    options.tree->put(path_of(status->id), std::move(entry));
  }
}

} // namespace prunella::runtime
