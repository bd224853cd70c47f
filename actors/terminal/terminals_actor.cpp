#include "actors/terminal/terminals_actor.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <system_error>
#include <vector>

#include <caf/actor_cast.hpp>
#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/response_promise.hpp>
#include <caf/result.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/api/api_call.hpp"
#include "actors/api/api_requests.hpp"
#include "actors/instance/command_runner.hpp"
#include "actors/instance/driver_error.hpp"
#include "actors/messages.hpp"
#include "actors/names.hpp"
#include "actors/site/requests.hpp"
#include "actors/terminal/interactive_command.hpp"
#include "actors/terminal/session_requests.hpp"
#include "actors/terminal/task_run.hpp"
#include "config/json.hpp"
#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

using std::chrono::milliseconds;

/// From the thread of a command.
struct session_changed {
  std::string session;

  PRUNELLA_FIELDS(session_changed, session)
};

struct look_at_sessions {
  std::uint8_t unused = 0;

  PRUNELLA_FIELDS(look_at_sessions, unused)
};

template <class View>
net::http_response json_of(const View& view, unsigned status = 200) {
  return json_response(config::json_text(config::to_json(view)), status);
}

/// Why a host did not do what it was asked.
problem_view problem_of(const caf::error& why, const std::string& host) {
  const auto sentence = runtime::reason_text(why);
  const auto is = [&](driver_errc code) { return is_driver_error(why, code); };
  if (is(driver_errc::not_running))
    return make_problem(409, "the session is not there any more", sentence, "begin another; `prunella get instances` shows what runs");
  if (is(driver_errc::too_many))
    return make_problem(503, host + " runs as many sessions as it takes", sentence, "try again when one has ended");
  if (is(driver_errc::command_not_found) || is(driver_errc::command_not_executable) || is(driver_errc::working_directory_missing))
    return make_problem(422, "the command cannot be run", sentence, "correct the command");
  if (is(driver_errc::invalid_request))
    return make_problem(422, host + " does not take it", sentence, "ask for what the cause says is possible");
  return make_problem(503, host + " does not answer", sentence, "`prunella get hosts` shows which hosts are up");
}

struct terminals_state;
using terminals_self = caf::stateful_actor<terminals_state, runtime::supervised_actor>;

struct terminals_state {
  static inline const char* name = "terminals";

  explicit terminals_state(terminals_self* self) : self_(self) {}
  ~terminals_state() {
    for (auto& [id, one] : sessions_)
      one.command->hang_up(); // all at once; each is then waited for
  }

  caf::behavior start(terminals_options options) {
    options_ = std::move(options);
    return {
      [this](const open_terminal& x) { return on_open(x); },
      [this](const read_terminal& x) { return on_read(x); },
      [this](const write_terminal& x) { return on_write(x); },
      [this](const close_terminal& x) { on_close(x.session); },
      [this](const session_changed& x) { on_changed(x.session); },
      [this](const container_exited& x) { on_exited(x); },
      [this](const look_at_sessions&) { on_look(); },
      [this](api_call& call) { on_call(call); },
    };
  }

private:
  // -- sessions of this host -----------------------------------------------------------------------------------------

  struct waiting_read {
    caf::response_promise promise;
    std::uint64_t after = 0;
    runtime::instant until;
  };

  struct open_session {
    std::unique_ptr<session_source> command;
    task_run* task = nullptr; ///< the same, if it is one
    std::string container;    ///< of the task
    runtime::instant read_at; ///< by its client
    std::optional<waiting_read> waiting;
    bool is_closed = false;   ///< nobody reads it any more: to be forgotten once it has ended
  };

  caf::result<terminal_opened> on_open(const open_terminal& x) {
    if (sessions_.size() + opening_ >= options_.max_sessions)
      return to_error({driver_errc::too_many, std::to_string(sessions_.size()) + " sessions are open on " + options_.host});
    const auto driver = options_.actor_on(options_.host, "driver");
    if (!driver)
      return to_error({driver_errc::runtime_failed, "the driver of " + options_.host + " is starting; try again"});
    auto promise = self_->make_response_promise();
    if (x.is_task)
      return open_task(driver, promise, x);
    ++opening_;
    self_->request(driver, options_.plan_timeout, plan_command{x.container, 0, x.command, x.terminal})
      .then([this, promise, x](command_plan& plan) { on_planned(promise, x, std::move(plan)); },
            [this, promise](caf::error& why) mutable {
              --opening_;
              promise.deliver(std::move(why));
            });
    return caf::delegated<terminal_opened>{};
  }

  void on_planned(caf::response_promise promise, const open_terminal& x, command_plan plan) {
    --opening_;
    const auto id = options_.draw_session();
    const auto self = caf::actor_cast<caf::actor>(self_);
    open_session made;
    const auto files_of = plan;
    try {
      made.command = std::make_unique<interactive_command>(
        std::move(plan), interactive_options{!x.terminal.empty(), x.has_input, x.window},
        [self, id] { caf::anon_send(self, session_changed{id}); });
    } catch (const std::system_error& error) {
      remove_files_of(files_of);
      promise.deliver(to_error({driver_errc::fork_failed, error.what()}));
      return;
    }
    add(id, std::move(made));
    promise.deliver(terminal_opened{id});
  }

  void add(const std::string& id, open_session made) {
    made.read_at = self_->clock().now();
    sessions_.emplace(id, std::move(made));
    if (!std::exchange(is_looking_, true))
      self_->delayed_send(self_, options_.tick, look_at_sessions{});
  }

  // -- tasks -------------------------------------------------------------------------------------------------------------

  caf::result<terminal_opened> open_task(const caf::actor& driver, caf::response_promise promise, const open_terminal& x) {
    const auto id = options_.draw_session();
    const auto state = options_.state->get();
    auto order = task_order(*state, {state->site.name, options_.host, options_.address}, x.container, id.substr(0, 12), x.command, x.has_input);
    if (const auto* failure = std::get_if<driver_failure>(&order)) {
      promise.deliver(to_error(*failure));
      return caf::delegated<terminal_opened>{};
    }
    auto& wanted = std::get<container_order>(order);
    std::shared_ptr<container_input> input; // before the start: a plain process opens it
    if (wanted.has_input)
      input = std::make_shared<container_input>(container_folder_of(wanted.name));
    ++opening_;
    self_->request(driver, options_.plan_timeout, start_container{wanted})
      .then([this, promise, id, wanted, input](const container_started&) mutable { on_task_started(promise, id, wanted, input); },
            [this, promise, wanted](caf::error& why) mutable {
              --opening_;
              if (why == caf::sec::request_timeout)
                stop(wanted.name, wanted.generation); // it may still come up
              promise.deliver(std::move(why));
            });
    return caf::delegated<terminal_opened>{};
  }

  /// Where its log is.
  std::string container_folder_of(const std::string& container) const {
    const auto log = options_.log_path(container);
    return log.substr(0, log.rfind('/'));
  }

  void on_task_started(caf::response_promise promise, const std::string& id, const container_order& order,
                       std::shared_ptr<container_input> input) {
    --opening_;
    auto task = std::make_unique<task_run>(options_.log_path(order.name), std::move(input),
                                           [this, name = order.name, generation = order.generation] { stop(name, generation); });
    open_session made;
    made.task = task.get();
    made.container = order.name;
    made.command = std::move(task);
    add(id, std::move(made));
    promise.deliver(terminal_opened{id});
  }

  void stop(const std::string& container, std::uint64_t generation) {
    if (const auto driver = options_.actor_on(options_.host, "driver"))
      caf::anon_send(driver, stop_container{container, generation, hang_up_grace});
  }

  void on_exited(const container_exited& exited) {
    for (auto& [id, one] : sessions_)
      if (one.task != nullptr && one.container == exited.name) {
        one.task->ended(exited);
        return on_changed(std::string{id});
      }
  }

  // -- reads and writes ------------------------------------------------------------------------------------------------

  open_session* find(const std::string& id) {
    const auto found = sessions_.find(id);
    return found == sessions_.end() || found->second.is_closed ? nullptr : &found->second;
  }

  caf::error no_session() const {
    return to_error({driver_errc::not_running, "there is no such session on " + options_.host
                                                 + ": it ended, or was not read for "
                                                 + std::to_string(options_.client_patience.count()) + " ms"});
  }

  caf::result<terminal_output> on_read(const read_terminal& x) {
    auto* found = find(x.session);
    if (found == nullptr)
      return no_session();
    found->read_at = self_->clock().now();
    if (found->waiting) // a client reads once at a time; that one has given up
      std::exchange(found->waiting, std::nullopt)->promise.deliver(terminal_output{});
    auto output = output_of(*found, x.after);
    if (has_news(output) || x.wait_ms == 0)
      return output;
    const auto wait = milliseconds{std::min(x.wait_ms, max_terminal_wait_ms)};
    found->waiting = waiting_read{self_->make_response_promise(), x.after, self_->clock().now() + wait};
    return caf::delegated<terminal_output>{};
  }

  static terminal_output output_of(open_session& one, std::uint64_t after) {
    terminal_output output;
    output.chunks = one.command->read(after);
    if (const auto end = one.command->end(after)) {
      output.is_over = true;
      output.exit_code = end->exit_code;
      output.failure = end->failure ? end->failure->message : std::string{};
    }
    return output;
  }

  static bool has_news(const terminal_output& x) { return !x.chunks.empty() || x.is_over; }

  caf::result<terminal_written> on_write(const write_terminal& x) {
    auto* found = find(x.session);
    if (found == nullptr)
      return no_session();
    if (x.window.rows > 0)
      found->command->resize(x.window);
    const auto taken = found->command->write(x.from, x.bytes);
    if (x.is_end && taken == x.from + x.bytes.size())
      found->command->end_input();
    return terminal_written{taken};
  }

  void on_close(const std::string& id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end())
      return;
    found->second.is_closed = true;
    found->second.command->hang_up();
    on_changed(id); // it may have ended before
  }

  void on_changed(const std::string& id) {
    const auto found = sessions_.find(id);
    if (found == sessions_.end())
      return;
    auto& one = found->second;
    constexpr auto everything = std::numeric_limits<std::uint64_t>::max();
    if (one.is_closed) {
      if (one.command->end(everything))
        sessions_.erase(found);
      return;
    }
    if (!one.waiting)
      return;
    auto output = output_of(one, one.waiting->after);
    if (has_news(output))
      std::exchange(one.waiting, std::nullopt)->promise.deliver(std::move(output));
  }

  void on_look() {
    const auto now = self_->clock().now();
    std::vector<std::string> unread;
    std::vector<std::string> news;
    for (auto& [id, one] : sessions_) {
      if (one.task != nullptr && one.task->look())
        news.push_back(id);
      if (one.waiting && now >= one.waiting->until) {
        std::exchange(one.waiting, std::nullopt)->promise.deliver(terminal_output{});
        one.read_at = now;
      }
      if (!one.waiting && now - one.read_at >= options_.client_patience)
        unread.push_back(id);
    }
    for (const auto& id : news)
      on_changed(id);
    for (const auto& id : unread)
      on_close(id);
    is_looking_ = !sessions_.empty();
    if (is_looking_)
      self_->delayed_send(self_, options_.tick, look_at_sessions{});
  }

  // -- the site's, for the API -----------------------------------------------------------------------------------------

  void on_call(api_call& call) {
    if (const auto problem = refuse_request(call.route, call.request))
      return void(call.respond(problem_response(*problem)));
    if (call.route == api_route::open_session)
      return open(call);
    auto place = parse_session(call.request);
    if (const auto* problem = std::get_if<problem_view>(&place))
      return void(call.respond(problem_response(*problem)));
    const auto& [host, session] = std::get<session_place>(place);
    if (call.route == api_route::read_session)
      return read(call, host, session);
    if (call.route == api_route::write_session)
      return write(call, host, session);
    close(call, host, session);
  }

  /// Invalid for what is no host of the site.
  caf::actor terminals_on(const std::string& host) const {
    const bool is_known = host == options_.host || options_.state->get()->hosts.count(host) != 0;
    return is_known ? options_.actor_on(host, "terminals") : caf::actor{};
  }

  /// Passes `request` on to the actor of this kind on `host`.
  template <class Answer, class Request, class OnAnswer, class OnError>
  void ask(const net::http_responder& respond, const std::string& host, Request request, milliseconds wait, OnAnswer on_answer,
           OnError on_error) {
    const auto there = terminals_on(host);
    if (!there)
      return void(respond(problem_response(make_problem(404, "there is no session on " + host, "the site has no such host",
                                                        "`prunella get hosts` lists them"))));
    self_->request(there, options_.host_timeout + wait, std::move(request))
      .then([on_answer](Answer& answer) { on_answer(answer); }, on_error);
  }

  template <class Answer, class Request, class OnAnswer>
  void ask(const net::http_responder& respond, const std::string& host, Request request, milliseconds wait, OnAnswer on_answer) {
    ask<Answer>(respond, host, std::move(request), wait, on_answer,
                [respond, host](const caf::error& why) { respond(problem_response(problem_of(why, host))); });
  }

  /// The leader knows what keeps it from running; the host only that it does not.
  void say_why_not(const net::http_responder& respond, const std::string& container, const std::string& why) {
    const auto say = [respond, container, why](const std::vector<instance_view>& instances) {
      respond(problem_response(not_running_problem(container, instances, why)));
    };
    const auto site = options_.site();
    if (!site)
      return say({});
    const auto parts = parse_instance_name(container.substr(0, container.rfind('.')));
    view_request request;
    request.view = "instances";
    request.application = application_key(parts.tenant, parts.application);
    request.limit = max_page_rows;
    self_->request(site, options_.host_timeout, std::move(request))
      .then(
        [say](const view_answer& x) {
          std::vector<instance_view> instances;
          if (!config::from_json(config::parse_json(x.json).value, instances).empty())
            instances.clear();
          say(instances);
        },
        [say](const caf::error&) { say({}); });
  }

  void open(const api_call& call) {
    auto target = open_request(call.request, *options_.state->get());
    if (const auto* problem = std::get_if<problem_view>(&target))
      return void(call.respond(problem_response(*problem)));
    auto& [host, request] = std::get<session_target>(target);
    const auto container = request.container;
    ask<terminal_opened>(call.respond, host, std::move(request), options_.plan_timeout,
                         [respond = call.respond, place = host, container](const terminal_opened& opened) {
                           respond(json_of(session_opened_view{session_text({place, opened.session}), container, place}, 201));
                         },
                         [this, respond = call.respond, place = host, container](const caf::error& why) {
                           if (is_driver_error(why, driver_errc::not_running))
                             return say_why_not(respond, container, runtime::reason_text(why));
                           respond(problem_response(problem_of(why, place)));
                         });
  }

  void read(const api_call& call, const std::string& host, const std::string& session) {
    auto request = read_request(call.request, session);
    if (const auto* problem = std::get_if<problem_view>(&request))
      return void(call.respond(problem_response(*problem)));
    const auto wait = milliseconds{std::get<read_terminal>(request).wait_ms};
    ask<terminal_output>(call.respond, host, std::get<read_terminal>(request), wait,
                         [respond = call.respond](const terminal_output& output) { respond(json_of(view_of(output))); });
  }

  void write(const api_call& call, const std::string& host, const std::string& session) {
    auto request = write_request(call.request, session);
    if (const auto* problem = std::get_if<problem_view>(&request))
      return void(call.respond(problem_response(*problem)));
    ask<terminal_written>(
      call.respond, host, std::get<write_terminal>(std::move(request)), milliseconds{0},
      [respond = call.respond](const terminal_written& done) { respond(json_of(session_taken_view{done.taken})); });
  }

  void close(const api_call& call, const std::string& host, const std::string& session) {
    if (const auto there = terminals_on(host))
      caf::anon_send(there, close_terminal{session});
    net::http_response done;
    done.status = 204;
    call.respond(done);
  }

  terminals_self* self_;
  terminals_options options_;
  std::size_t opening_ = 0; ///< sessions whose plan is waited for
  bool is_looking_ = false;   ///< the tick is armed
  std::map<std::string, open_session> sessions_;
};

} // namespace

caf::actor spawn_terminals(caf::local_actor* parent, terminals_options options) {
  return parent->spawn([](terminals_self* self, terminals_options x) { return self->state.start(std::move(x)); },
                       std::move(options));
}

} // namespace prunella::actors
