#pragma once

// A supervisor under test on virtual time, with workers that do as they are told.

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <caf/behavior.hpp>
#include <caf/response_promise.hpp>
#include <caf/stateful_actor.hpp>

#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"
#include "runtime/supervisor.hpp"
#include "tests/runtime/virtual_time.hpp"

namespace prunella::tests {

/// A command to a test worker.
struct do_end {
  runtime::exit_kind how = runtime::exit_kind::normal;
  PRUNELLA_FIELDS(do_end, how)
};
struct do_throw {
  std::string text;
  PRUNELLA_FIELDS(do_throw, text)
};
struct do_say_ready {
  std::uint8_t unused = 0;
  PRUNELLA_FIELDS(do_say_ready, unused)
};

/// What the workers of a test did, in order: "a up", "a down". Shared by all of them.
struct worker_log {
  std::vector<std::string> lines;
  std::map<std::string, int> alive;     ///< by path
  std::map<std::string, int> max_alive; ///< most at a time
  std::vector<std::string> taken() { return std::exchange(lines, {}); }
};

/// Counts itself in the log as long as it lives.
struct worker_state {
  std::shared_ptr<worker_log> log;
  std::string path;
  std::string id;
  runtime::parent_link parent;

  void come_up(std::shared_ptr<worker_log> log_, const std::string& path_, runtime::parent_link parent_) {
    log = std::move(log_);
    path = path_;
    id = path.substr(path.rfind('/') + 1);
    parent = std::move(parent_);
    log->lines.push_back(id + " up");
    log->max_alive[path] = std::max(log->max_alive[path], ++log->alive[path]);
  }
  ~worker_state() {
    if (!log)
      return;
    log->lines.push_back(id + " down");
    --log->alive[path];
  }
};

using worker_actor = caf::stateful_actor<worker_state, runtime::supervised_actor>;

inline caf::behavior obedient_worker(worker_actor* self, std::shared_ptr<worker_log> log, std::string path,
                                     runtime::parent_link parent) {
  self->state.come_up(std::move(log), path, std::move(parent));
  return {[self](const do_end& command) {
            switch (command.how) {
            case runtime::exit_kind::normal:
              return self->quit();
            case runtime::exit_kind::shutdown:
              return self->quit(caf::exit_reason::user_shutdown);
            case runtime::exit_kind::killed:
              return self->quit(caf::exit_reason::kill);
            case runtime::exit_kind::abnormal:
              return self->quit(runtime::to_error(runtime::supervision_errc::exception, "it broke"));
            }
          },
          [](const do_throw& command) { throw std::runtime_error(command.text); },
          [self](const do_say_ready&) { self->state.parent.say_ready(); }, [](int number) { return number; }};
}

/// Does not end when asked.
inline caf::behavior stubborn_worker(worker_actor* self, std::shared_ptr<worker_log> log, std::string path,
                                     runtime::parent_link parent) {
  self->set_exit_handler([](caf::exit_msg&) {});
  return obedient_worker(self, std::move(log), std::move(path), std::move(parent));
}

class supervised_world : public virtual_time {
public:
  explicit supervised_world(std::uint64_t seed = 0) : virtual_time(options_for(seed)) {
    options.path = "host-1/root";
    options.on_event = [this](const runtime::supervision_event& event) { events.push_back(event); };
  }

  runtime::supervisor_options options;
  std::shared_ptr<worker_log> log = std::make_shared<worker_log>();
  std::vector<runtime::supervision_event> events;
  caf::actor root;

  runtime::start_function start(caf::behavior (*behavior)(worker_actor*, std::shared_ptr<worker_log>, std::string,
                                                          runtime::parent_link) = obedient_worker) {
    return [behavior, shared = log](const runtime::start_context& my) {
      return caf::actor{my.self->spawn(behavior, shared, my.path, my.parent)};
    };
  }

  runtime::supervised_child obedient(const std::string& id,
                                     config::restart_type restart = config::restart_type::permanent) {
    return runtime::worker(runtime::spec_of(id, restart), start());
  }

  void begin(runtime::supervision_tree tree) {
    root = own(runtime::spawn_supervisor(system(), std::move(tree), options));
    settle();
  }

  /// The actor at `host-1/root/<below>`.
  caf::actor at(const std::string& below) { return options.tree->find(options.path + "/" + below); }

  template <class Message>
  void tell(const std::string& below, Message message) {
    caf::anon_send(at(below), std::move(message));
    settle();
  }

  runtime::actor_row row(const std::string& below) {
    for (auto& found : options.tree->list(now(), options.path))
      if (found.path == options.path + "/" + below)
        return found;
    return {};
  }

  std::vector<std::string> paths() {
    std::vector<std::string> all;
    for (auto& found : options.tree->list(now()))
      all.push_back(found.path);
    return all;
  }

private:
  static virtual_time_options options_for(std::uint64_t seed) {
    virtual_time_options made;
    made.seed = seed;
    made.configure = runtime::add_supervision_errors;
    return made;
  }
};

/// At most two restarts in an hour, like OTP's tests.
inline runtime::supervision_tree tree_of(std::vector<runtime::supervised_child> children,
                                         config::restart_strategy strategy = config::restart_strategy::one_for_one) {
  runtime::supervision_tree tree;
  tree.spec.strategy = strategy;
  tree.spec.limit = {2, std::chrono::hours{1}};
  tree.children = std::move(children);
  return tree;
}

} // namespace prunella::tests
