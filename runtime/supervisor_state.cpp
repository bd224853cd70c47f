#include "runtime/supervisor_state.hpp"

#include <utility>

#include <caf/actor_cast.hpp>
#include <caf/exit_reason.hpp>
#include <caf/make_message.hpp>
#include <caf/send.hpp>

#include "runtime/exit_reason.hpp"

namespace prunella::runtime {

// -- life -------------------------------------------------------------------------------------------------------------

supervisor_state::~supervisor_state() {
  // After an orderly end nobody is left. Otherwise the supervisor was killed or threw, nobody will wait for its
  // children any more, and an untrappable end is the only one that is certain. Rows stay for the parent to see who is
  // still there.
  for (auto& [incarnation, child] : running) {
    options.names->remove(path_of(child.id), child.actor.address());
    caf::anon_send_exit(child.actor, caf::exit_reason::kill);
  }
  for (auto& [request, pending] : replies)
    pending.promise.deliver(to_error(supervision_errc::shutting_down, "supervisor '" + options.path + "' ended"));
}

caf::behavior supervisor_state::make_behavior(supervision_tree tree, supervisor_options options_, parent_link parent_) {
  options = std::move(options_);
  parent = std::move(parent_);
  random.seed(options.jitter_seed);
  core.emplace(spec_with_children(tree));
  for (auto& child : tree.children)
    specs.emplace(child.spec.id, std::move(child));
  for (const auto& child : core->which_children())
    show(child.id);
  self->set_down_handler([this](caf::down_msg& down) { on_down(down); });
  self->set_exit_handler([this](caf::exit_msg& exit) {
    if (exit.reason == caf::exit_reason::kill)
      self->quit(exit.reason);
    else
      apply(core->stop(now()));
  });
  apply(core->begin(now()));
  return {[this](const child_ready& message) { on_ready(message.incarnation); },
          [this](const timer_due& message) { on_timer(message.token); },
          [this](const orphans_due& message) { on_orphans_due(message.incarnation); },
          [this](const start_child& request) { return on_start_child(request); },
          [this](const restart_child& request) { return on_restart_child(request.id); },
          [this](const terminate_child& request) { return on_terminate_child(request.id); },
          [this](const delete_child& request) { return on_delete_child(request.id); },
          [this](const which_children&) { return on_which_children(); },
          [this](const count_children&) { return core->count_children(); },
          [this](const list_tree&) { return actor_rows{options.tree->list(self->clock().now(), options.path)}; },
          [this](const kill_actor& request) { return on_kill_actor(request.path); }};
}

// -- ends of children -------------------------------------------------------------------------------------------------

void supervisor_state::on_down(const caf::down_msg& down) {
  const auto id = down.source.id();
  if (auto found = incarnations.find(id); found != incarnations.end()) {
    const auto incarnation = found->second;
    incarnations.erase(found);
    ended.emplace(incarnation, ended_child{down.reason, {}});
    const auto& child = running.at(incarnation);
    options.names->remove(path_of(child.id), down.source);
    await_orphans(incarnation);
    if (auto i = ended.find(incarnation); i != ended.end())
      self->delayed_send(self, options.orphan_timeout, orphans_due{incarnation});
    return;
  }
  for (auto& [incarnation, child] : ended) {
    auto orphan = child.orphans.find(id);
    if (orphan == child.orphans.end())
      continue;
    options.tree->remove(orphan->second, down.source);
    options.names->remove(orphan->second, down.source);
    child.orphans.erase(orphan);
    await_orphans(incarnation); // which may have started another before it ended
    return;
  }
}

/// Goes on when nothing below the ended child is left running, and watches what is.
void supervisor_state::await_orphans(std::uint64_t incarnation) {
  auto& child = ended.at(incarnation);
  for (const auto& [path, address] : options.tree->actors_below(path_of(running.at(incarnation).id))) {
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
  const auto reason = "child '" + running.at(incarnation).id + "' left '" + found->second.orphans.begin()->second +
                      "' running, which did not end within " + std::to_string(options.orphan_timeout.count()) + " ms";
  leaves_actors_behind = true;
  apply(core->fail(supervision_errc::unkillable, reason, now()));
  on_child_gone(incarnation);
}

void supervisor_state::on_child_gone(std::uint64_t incarnation) {
  const auto reason = std::move(ended.at(incarnation).reason);
  if (ended.at(incarnation).orphans.empty())
    options.tree->remove_below(path_of(running.at(incarnation).id));
  ended.erase(incarnation);
  running.erase(incarnation);
  apply(core->child_exited(incarnation, child_exit_of(reason), now()));
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
  if (!core->find_child(child.spec.id))
    specs.insert_or_assign(child.spec.id, child);
  apply(core->start_child(promise(true), child.spec, now()));
  if (core->find_child(child.spec.id))
    show(child.spec.id);
  else
    specs.erase(child.spec.id); // refused
  return caf::delegated<child_started>{};
}

caf::result<child_started> supervisor_state::on_restart_child(const std::string& id) {
  apply(core->restart_child(promise(true), id, now()));
  return caf::delegated<child_started>{};
}

caf::result<child_done> supervisor_state::on_terminate_child(const std::string& id) {
  apply(core->terminate_child(promise(false), id, now()));
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
  actor_rows children;
  for (const auto& child : core->which_children())
    if (auto found = by_path.find(path_of(child.id)); found != by_path.end())
      children.rows.push_back(std::move(found->second));
  return children;
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
}

void supervisor_state::act(const start_action& action) {
  const auto& child = specs.at(action.id);
  caf::actor actor;
  show(action.id);
  try {
    actor = child.start(
        start_context{self, path_of(action.id), {caf::actor_cast<caf::actor>(self), action.incarnation}, options});
  } catch (const std::exception& e) {
    apply(core->child_start_failed(action.incarnation, std::string{"its start function threw: "} + e.what(), now()));
    return;
  }
  if (!actor) {
    apply(core->child_ignored(action.incarnation, now()));
    show(action.id);
    return;
  }
  on_spawned(action, actor);
}

void supervisor_state::on_spawned(const start_action& action, const caf::actor& actor) {
  running.emplace(action.incarnation, running_child{action.id, actor});
  incarnations.emplace(actor.id(), action.incarnation);
  options.names->put(path_of(action.id), actor);
  show(action.id);
  self->monitor(actor);
  if (!specs.at(action.id).says_ready)
    apply(core->child_ready(action.incarnation, now()));
}

void supervisor_state::act(const stop_action& action) {
  if (auto child = running.find(action.incarnation); child != running.end())
    self->send_exit(child->second.actor, caf::exit_reason::user_shutdown);
  show(action.id);
}

void supervisor_state::act(const kill_action& action) {
  if (auto child = running.find(action.incarnation); child != running.end())
    self->send_exit(child->second.actor, caf::exit_reason::kill);
  show(action.id);
}

void supervisor_state::act(const timer_action& action) {
  self->delayed_send(self, action.delay, timer_due{action.token});
}

void supervisor_state::act(const reply_action& action) {
  show(action.id);
  auto node = replies.extract(action.request);
  if (node.empty())
    return;
  auto& [answer, wants_actor] = node.mapped();
  const auto path = path_of(action.id);
  if (action.code != supervision_errc::none)
    answer.deliver(to_error(action.code, "'" + path + "'" + (action.text.empty() ? "" : ": " + action.text)));
  else if (wants_actor)
    answer.deliver(child_started{path, options.names->lookup(path)});
  else
    answer.deliver(child_done{path});
}

void supervisor_state::act(const forget_action& action) {
  options.tree->remove(path_of(action.id));
  specs.erase(action.id);
}

void supervisor_state::act(const report_action& action) {
  show(action.report.child);
  if (options.on_event)
    options.on_event({path_of(action.report.child), action.report});
}

void supervisor_state::act(const ready_action&) {
  parent.say_ready();
}

void supervisor_state::act(const finish_action& action) {
  // What is still in `running` was abandoned.
  if (running.empty() && !leaves_actors_behind)
    options.tree->remove_below(options.path);
  if (action.code != supervision_errc::none)
    self->quit(to_error(action.code, action.reason));
  else
    self->quit(caf::error{static_cast<std::uint8_t>(caf::exit_reason::user_shutdown), caf::atom("exit"),
                          caf::make_message(action.reason)});
}

/// Writes the child's row of the tree as it is now.
void supervisor_state::show(const std::string& id) {
  const auto child = core->find_child(id);
  const auto spec = specs.find(id);
  if (!child || spec == specs.end())
    return;
  actor_entry entry;
  if (auto i = running.find(child->incarnation); i != running.end())
    entry.actor = i->second.actor.address();
  entry.kind = child->kind == child_kind::supervisor ? "supervisor" : "worker";
  entry.state = std::string{to_text(child->state)};
  entry.restarts = child->restarts;
  entry.started_at = child->started_at;
  entry.last_reason = child->last_reason;
  entry.strategy = spec->second.strategy;
  options.tree->put(path_of(id), std::move(entry));
}

} // namespace prunella::runtime
