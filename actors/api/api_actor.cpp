#include "actors/api/api_actor.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/send.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/api/api_call.hpp"
#include "actors/api/api_requests.hpp"
#include "actors/api/image_answers.hpp"
#include "actors/api/use_views.hpp"
#include "actors/door/published_views.hpp"
#include "actors/host/host_actor.hpp"
#include "actors/host/image_keeper.hpp"
#include "actors/host/journal_actor.hpp"
#include "actors/names.hpp"
#include "actors/site/image_views.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/site_command_bytes.hpp"
#include "actors/site/site_difference.hpp"
#include "actors/site/site_errors.hpp"
#include "actors/site/site_views.hpp"
#include "config/json.hpp"
#include "net/link_errors.hpp"
#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

struct retry_writes {
  std::uint64_t call = 0;

  PRUNELLA_FIELDS(retry_writes, call)
};

constexpr const char* without_leader = "what runs keeps running; more than half of the controllers must reach each other "
                                       "again. `prunella get hosts` shows which are up";

/// `status`, with what is this host's own filled in.
net::http_response status_response(status_view status, const api_options& here) {
  const auto leader = here.leader->get();
  const auto prepend = [&](const std::string& why) {
    if (!why.empty())
      status.reason = here.host + ": " + why + (status.reason.empty() ? "" : ". " + status.reason);
  };
  prepend(difference_text(here.document, *here.state->get()));
  const auto trouble = here.trouble->get();
  if (!trouble.empty() && status.quorum)
    status.health = "degraded";
  prepend(trouble);
  status.host = here.host;
  status.role = leader.role;
  status.term = leader.term;
  status.applied = here.state->get()->applied_index;
  status.committed = std::max(status.committed, status.applied);
  status.version = here.version;
  status.started_at = time_text_of(here.started_at);
  return json_response(config::json_text(config::to_json(status)));
}

struct api_state;
using api_self = caf::stateful_actor<api_state, runtime::supervised_actor>;

struct api_state {
  static inline const char* name = "api";

  explicit api_state(api_self* self) : self_(self) {}

  caf::behavior start(api_options options) {
    options_ = std::move(options);
    return {
      [this](api_call& call) { on_call(call); },
      [this](const retry_writes& x) { attempt(x.call); },
    };
  }

private:
  struct write {
    std::string application;
    std::string command;
    net::http_responder respond;
    runtime::instant deadline;
    bool is_delete = false;
    bool may_be_done = false; ///< an attempt ended without an answer: it may have been carried out
    std::optional<runtime::instant> leaderless_since;
  };

  /// Answers of several hosts that become one.
  template <class Row>
  struct gathering {
    std::vector<Row> rows;
    std::size_t waiting = 0;
    std::string unreachable;
  };

  void on_call(api_call& call) {
    if (const auto problem = refuse_request(call.route, call.request))
      return void(call.respond(problem_response(*problem)));
    const auto& query = call.request.query;
    const auto application = query.count("application") != 0 ? application_key_of(query.at("application")) : std::string{};
    switch (call.route) {
    case api_route::ready: return answer_ready(call.respond);
    case api_route::status: return answer_status(call.respond);
    case api_route::hosts: return answer_page(call, "hosts", {});
    case api_route::applications: return answer_page(call, "applications", application);
    case api_route::application: return answer_application(call);
    case api_route::instances: return answer_page(call, "instances", application);
    case api_route::images: return answer_images(call);
    case api_route::import_image: return import(call);
    case api_route::events: return answer_events(call);
    case api_route::services: return answer_services(call.respond);
    case api_route::use_of_hosts:
    case api_route::use_of_containers: return answer_use(call);
    case api_route::logs:
    case api_route::open_session:
    case api_route::read_session:
    case api_route::write_session:
    case api_route::close_session: return; // of other actors: `make_api_router`
    case api_route::actors: return answer_actors(call.respond);
    case api_route::put_application: return begin_write(call, put_command(call.request));
    case api_route::delete_application: return begin_write(call, delete_command(call.request));
    case api_route::scale_service: return begin_write(call, scale_command(call.request));
    case api_route::roll_back: return begin_write(call, roll_back_command(call.request));
    case api_route::kill_actor: return kill_actor(call);
    }
  }

  // -- reads ---------------------------------------------------------------------------------------------------------

  void answer_ready(const net::http_responder& respond) {
    const auto leader = options_.leader->get().leader;
    if (!leader.empty() && !options_.state->get()->site.name.empty())
      return void(respond(json_response(R"({"ready": true})")));
    respond(problem_response(make_problem(503, "the site cannot decide now", "the site has no leader yet", without_leader)));
  }

  /// Asks the leader; `alone` is called with the reason when none answers.
  template <class Request, class OnAnswer, class OnAlone>
  void ask_leader(Request request, OnAnswer on_answer, OnAlone on_alone) {
    const auto leader = options_.leader->get().leader;
    const auto site = leader.empty() ? caf::actor{} : options_.actor_on(leader, "site");
    if (!site)
      return on_alone(leader.empty() ? std::string{"no leader is known"} : leader + " is taking up leadership");
    self_->request(site, options_.read_timeout, std::move(request))
      .then(on_answer, [on_alone, leader](const caf::error& reason) {
        on_alone("the leader " + leader + " does not answer: " + runtime::reason_text(reason));
      });
  }

  void answer_page(const api_call& call, const char* view, const std::string& application) {
    auto query = page_query(call.request);
    if (auto* problem = std::get_if<problem_view>(&query))
      return void(call.respond(problem_response(*problem)));
    auto& [after, limit] = std::get<row_page>(query);
    const view_request request{view, application, after, limit};
    const auto finish = [respond = call.respond, asked = call.request](const view_answer& x) {
      respond(page_response(x, asked));
    };
    ask_leader(request, finish, [this, request, finish](const std::string&) {
      with_own_reports([this, request, finish](const observations& own) {
        finish(view_page(request, {*options_.state->get(), own, {}, options_.host}));
      });
    });
  }

  /// Alone, this host knows of its own images.
  void answer_images(const api_call& call) {
    auto query = page_query(call.request);
    if (auto* problem = std::get_if<problem_view>(&query))
      return void(call.respond(problem_response(*problem)));
    auto& [after, limit] = std::get<row_page>(query);
    const view_request request{"images", {}, after, limit};
    const auto finish = [respond = call.respond, asked = call.request](const view_answer& x) {
      respond(page_response(x, asked));
    };
    ask_leader(request, finish, [this, request, finish](const std::string&) {
      const auto keeper = options_.actor_on(options_.host, "images");
      const auto alone = [this, request, finish](const image_reports& own) {
        finish(image_page(request, *options_.state->get(), own));
      };
      if (!keeper)
        return alone({});
      self_->request(keeper, options_.read_timeout, get_image_report{})
        .then([this, alone](const image_report& x) { alone({{options_.host, x}}); }, [alone](const caf::error&) { alone({}); });
    });
  }

  void import(const api_call& call) {
    auto query = import_body(call.request);
    if (auto* problem = std::get_if<problem_view>(&query))
      return void(call.respond(problem_response(*problem)));
    const auto x = std::get<import_query>(std::move(query));
    const auto keeper = options_.actor_on(options_.host, "images");
    if (!keeper)
      return void(call.respond(problem_response(make_problem(503, options_.host + " cannot take images now",
                                                             "its image keeper is not running at this moment",
                                                             "ask again in a moment"))));
    self_->request(keeper, options_.import_patience, import_image{x.name, x.path, x.key})
      .then([this, respond = call.respond](const image_imported& done) { respond(imported_response(options_.host, &done)); },
            [this, respond = call.respond, x](const caf::error& reason) {
              if (reason == caf::sec::request_timeout)
                respond(imported_response(options_.host, nullptr));
              else
                respond(problem_response(image_problem(reason, "cannot import " + x.path)));
            });
  }

  /// Of the leader: this host's copy may lag behind what was just acknowledged.
  void answer_application(const api_call& call) {
    const auto asked = call.request.path.at("name");
    const auto answer = [respond = call.respond, asked](const view_answer& x) {
      if (x.json.empty())
        respond(problem_response(answer_of({command_result::not_found, 0, "application " + asked}).problem));
      else
        respond(json_response(x.json));
    };
    const view_request request{"spec", application_key_of(asked), {}, 1};
    ask_leader(request, answer, [this, answer, request](const std::string&) {
      answer(view_page(request, {*options_.state->get(), {}, {}, options_.host}));
    });
  }

  void answer_status(const net::http_responder& respond) {
    ask_leader(
      status_request{}, [this, respond](status_view& status) { respond(status_response(std::move(status), options_)); },
      [this, respond](const std::string& why) {
        with_own_reports([this, respond, why](const observations& own) {
          status_view status;
          fill_status(status, {*options_.state->get(), own, {}, options_.host});
          status.reason = why + ". " + status.reason;
          if (status.site.empty())
            status.reason = "this host has heard nothing of its site " + options_.document.name
                            + " yet: it is new, or none of the hosts that the site was founded with (`prunella get hosts` on "
                              "another host shows those)";
          respond(status_response(std::move(status), options_));
        });
      });
  }

  /// What this host reports itself, for answers without a leader.
  template <class Then>
  void with_own_reports(Then then) {
    const auto host = options_.actor_on(options_.host, "host");
    if (!host)
      return then(observations{});
    self_->request(host, options_.read_timeout, get_reports{})
      .then(
        [this, then](const own_reports& x) {
          observations own;
          own.replace(options_.host, x.reports, self_->clock().now());
          then(own);
        },
        [then](const caf::error&) { then(observations{}); });
  }

  // -- questions to every host ---------------------------------------------------------------------------------------

  /// Sends `request` to actor `name` of every host and calls `done(rows, unreachable)` when each has answered or failed.
  template <class Row, class Answer, class Request, class Take, class Done>
  void gather(const std::string& actor_name, const Request& request, Take take, Done done) {
    auto all = std::make_shared<gathering<Row>>();
    const auto state = options_.state->get();
    std::vector<std::string> hosts{options_.host};
    for (const auto& [id, record] : state->hosts)
      if (id != options_.host)
        hosts.push_back(id);
    all->waiting = hosts.size();
    const auto finish_one = [all, done] {
      if (--all->waiting == 0)
        done(std::move(all->rows), all->unreachable);
    };
    for (const auto& host : hosts) {
      const auto fail = [all, host, finish_one](const caf::error&) {
        all->unreachable += (all->unreachable.empty() ? "" : ", ") + host;
        finish_one();
      };
      const auto target = options_.actor_on(host, actor_name);
      if (!target) {
        fail({});
        continue;
      }
      self_->request(target, options_.read_timeout, request)
        .then(
          [all, host, take, finish_one](Answer& answer) {
            take(host, answer, all->rows);
            finish_one();
          },
          fail);
    }
  }

  static net::http_response with_partial(net::http_response response, const std::string& unreachable) {
    if (!unreachable.empty())
      response.headers.push_back({"Prunella-Unreachable", unreachable});
    return response;
  }

  void answer_events(const api_call& call) {
    auto query = events_query(call.request);
    if (auto* problem = std::get_if<problem_view>(&query))
      return void(call.respond(problem_response(*problem)));
    const auto request = std::get<events_request>(query);
    gather<event_view, events_answer>(
      "journal", request,
      [](const std::string&, events_answer& answer, std::vector<event_view>& rows) {
        rows.insert(rows.end(), std::make_move_iterator(answer.events.begin()), std::make_move_iterator(answer.events.end()));
      },
      [respond = call.respond, request](std::vector<event_view> rows, const std::string& unreachable) {
        const auto merged = merge_events(std::move(rows), request.after, request.limit);
        respond(with_partial(json_response(config::json_text(config::to_json(merged))), unreachable));
      });
  }

  void answer_services(const net::http_responder& respond) {
    gather<door_status_answer, door_status_answer>(
      "door", door_status_request{},
      [](const std::string&, door_status_answer& answer, std::vector<door_status_answer>& all) { all.push_back(std::move(answer)); },
      [this, respond](std::vector<door_status_answer> doors, const std::string& unreachable) {
        std::sort(doors.begin(), doors.end(), [](const auto& a, const auto& b) { return a.host < b.host; });
        const auto rows = published_views(*options_.state->get(), doors);
        respond(with_partial(json_response(config::json_text(config::to_json(rows))), unreachable));
      });
  }

  void answer_use(const api_call& call) {
    gather<std::pair<std::string, use_answer>, use_answer>(
      "use", use_request{},
      [](const std::string& host, use_answer& answer, std::vector<std::pair<std::string, use_answer>>& all) {
        all.emplace_back(host, std::move(answer));
      },
      [this, call](const std::vector<std::pair<std::string, use_answer>>& answers, const std::string& unreachable) {
        const auto state = options_.state->get();
        const auto rows = call.route == api_route::use_of_hosts ? config::to_json(host_use_views(*state, answers))
                                                                : config::to_json(container_use_views(*state, answers));
        call.respond(with_partial(json_response(config::json_text(rows)), unreachable));
      });
  }

  void answer_actors(const net::http_responder& respond) {
    gather<std::pair<std::string, actor_view>, actors_answer>(
      "tree", actors_request{10'000},
      [](const std::string& host, actors_answer& answer, std::vector<std::pair<std::string, actor_view>>& rows) {
        for (auto& row : answer.actors)
          rows.emplace_back(host, std::move(row));
      },
      [respond](std::vector<std::pair<std::string, actor_view>> rows, const std::string& unreachable) {
        std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
        std::vector<actor_view> result;
        result.reserve(rows.size());
        for (auto& [host, row] : rows)
          result.push_back(std::move(row));
        respond(with_partial(json_response(config::json_text(config::to_json(result))), unreachable));
      });
  }

  void kill_actor(const api_call& call) {
    auto query = kill_query(call.request);
    if (auto* problem = std::get_if<problem_view>(&query))
      return void(call.respond(problem_response(*problem)));
    const auto x = std::get<kill_target>(query);
    const auto known = x.host == options_.host || options_.state->get()->hosts.count(x.host) != 0;
    const auto tree = known ? options_.actor_on(x.host, "tree") : caf::actor{};
    const auto missing = make_problem(404, "there is no actor " + x.path, "no host of the site has an actor of that path",
                                      "`prunella tree --actors` lists the paths");
    if (!tree)
      return void(call.respond(problem_response(missing)));
    self_->request(tree, options_.read_timeout, kill_request{x.path})
      .then(
        [respond = call.respond, missing](const kill_answer& answer) {
          if (answer.found)
            respond(json_response(R"({"killed": true})"));
          else
            respond(problem_response(missing));
        },
        [respond = call.respond, x](const caf::error& reason) {
          respond(problem_response(make_problem(503, x.host + " does not answer", runtime::reason_text(reason),
                                                "`prunella get hosts` shows which hosts are up")));
        });
  }

  // -- writes --------------------------------------------------------------------------------------------------------

  void begin_write(const api_call& call, or_problem<site_command> command) {
    if (auto* problem = std::get_if<problem_view>(&command))
      return void(call.respond(problem_response(*problem)));
    if (writes_.size() >= options_.max_calls)
      return void(call.respond(problem_response(
        make_problem(503, "too many unfinished requests", "this host takes " + std::to_string(options_.max_calls),
                     "nothing was changed; ask again in a moment"))));
    const auto id = ++last_write_;
    const auto key = application_key_of(call.request.path.at("name"));
    writes_.emplace(id, write{key, encode(std::get<site_command>(command)), call.respond,
                              self_->clock().now() + options_.write_deadline,
                              call.route == api_route::delete_application, false, std::nullopt});
    attempt(id);
  }

  void attempt(std::uint64_t id) {
    const auto it = writes_.find(id);
    if (it == writes_.end())
      return;
    const auto leader = options_.leader->get().leader;
    auto& since = it->second.leaderless_since;
    if (!leader.empty())
      since.reset();
    else if (!since)
      since = self_->clock().now();
    const auto site = leader.empty() ? caf::actor{} : options_.actor_on(leader, "site");
    if (!site)
      return retry(id, leader.empty() ? "no leader is known" : leader + " is taking up leadership");
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(it->second.deadline - self_->clock().now());
    // Not all of what is left: a leader that is silently gone has a successor long before.
    const auto limit = std::clamp(left, std::chrono::milliseconds{1}, options_.attempt_timeout);
    self_->request(site, limit, site_request{it->second.command})
      .then([this, id](const site_answer& answer) { finish(id, answer); },
            [this, id, leader](const caf::error& reason) { on_failed(id, leader, reason); });
  }

  void on_failed(std::uint64_t id, const std::string& leader, const caf::error& reason) {
    const auto it = writes_.find(id);
    if (it == writes_.end())
      return;
    if (is_passing(reason)) {
      it->second.may_be_done = it->second.may_be_done || may_be_done(reason);
      return retry(id, leader + ": " + runtime::reason_text(reason));
    }
    it->second.respond(problem_response(make_problem(422, "the site cannot take this request", runtime::reason_text(reason),
                                                     "make the document smaller, or split the application")));
    writes_.erase(it);
  }

  void finish(std::uint64_t id, const site_answer& answer) {
    const auto it = writes_.find(id);
    if (it == writes_.end())
      return;
    const auto x = std::move(it->second);
    writes_.erase(it);
    if (x.is_delete && x.may_be_done && answer.outcome.result == command_result::not_found)
      x.respond(outcome_response(x.application, {command_result::deleted, 0, {}})); // by an earlier attempt
    else if (answer.problem.status != 0)
      x.respond(problem_response(answer.problem));
    else
      x.respond(outcome_response(x.application, answer.outcome));
  }

  void retry(std::uint64_t id, std::string why) {
    if (const auto trouble = options_.trouble->get(); !trouble.empty())
      why = options_.host + ": " + trouble + ". " + why;
    const auto it = writes_.find(id);
    if (it == writes_.end())
      return;
    auto& x = it->second;
    const auto give_up_at = x.leaderless_since ? std::min(x.deadline, *x.leaderless_since + options_.leader_patience) : x.deadline;
    if (self_->clock().now() + options_.retry_after < give_up_at)
      return self_->delayed_send(self_, options_.retry_after, retry_writes{id});
    x.respond(problem_response(x.may_be_done ? unconfirmed(why) : refused(why)));
    writes_.erase(it);
  }

  static problem_view refused(const std::string& why) {
    return make_problem(503, "the site cannot decide now", why, std::string{"nothing was changed; "} + without_leader);
  }

  static problem_view unconfirmed(const std::string& why) {
    return make_problem(503, "the site did not confirm the change", why,
                        "it may still be carried out when more than half of the controllers reach each other again; then "
                        "look with `prunella get applications`, and send it once more, which is harmless");
  }

  api_self* self_;
  api_options options_;
  std::map<std::uint64_t, write> writes_;
  std::uint64_t last_write_ = 0;
};

} // namespace

caf::actor spawn_api(caf::local_actor* parent, api_options options) {
  return parent->spawn([](api_self* self, api_options x) { return self->state.start(std::move(x)); }, std::move(options));
}

net::http_router make_api_router(std::function<caf::actor()> api, const api_options& options) {
  const auto to_actor = [](std::function<caf::actor()> find, api_route route) {
    return [find, route](net::routed_request request, net::http_responder respond) {
      if (const auto target = find())
        caf::anon_send(target, api_call{route, std::move(request), std::move(respond)});
      else
        respond(problem_response(make_problem(503, "the API is starting", "its actor is not running at this moment",
                                              "nothing was changed; ask again in a moment")));
    };
  };
  const auto to = [&](api_route route) { return to_actor(api, route); };
  const auto to_other = [&](const char* name, api_route route) {
    return to_actor([name, actor_on = options.actor_on, host = options.host] { return actor_on(host, name); }, route);
  };
  net::http_router router;
  router.add("GET", "/healthz", [](net::routed_request, net::http_responder respond) {
    respond(json_response(R"({"healthy": true})"));
  });
  router.add("GET", "/readyz", to(api_route::ready));
  router.add("GET", "/status", [options, ask = to(api_route::status)](net::routed_request request, net::http_responder respond) {
    if (const auto status = options.status->get(options.state->get(), options.now() - options.status_age);
        status && request.query.empty())
      respond(status_response(*status, options));
    else
      ask(std::move(request), std::move(respond));
  });
  router.add("GET", "/v1/hosts", to(api_route::hosts));
  router.add("GET", "/v1/applications", to(api_route::applications));
  router.add("GET", "/v1/applications/{name}", to(api_route::application));
  router.add("PUT", "/v1/applications/{name}", to(api_route::put_application));
  router.add("DELETE", "/v1/applications/{name}", to(api_route::delete_application));
  router.add("POST", "/v1/applications/{name}/scale", to(api_route::scale_service));
  router.add("POST", "/v1/applications/{name}/rollback", to(api_route::roll_back));
  router.add("GET", "/v1/instances", to(api_route::instances));
  router.add("GET", "/v1/images", to(api_route::images));
  router.add("POST", "/v1/images", to(api_route::import_image));
  router.add("GET", "/v1/events", to(api_route::events));
  router.add("GET", "/v1/services", to(api_route::services));
  router.add("GET", "/v1/use/hosts", to(api_route::use_of_hosts));
  router.add("GET", "/v1/use/containers", to(api_route::use_of_containers));
  router.add("GET", "/v1/logs", to_other("logs", api_route::logs));
  router.add("POST", "/v1/sessions", to_other("terminals", api_route::open_session));
  router.add("GET", "/v1/sessions/{session}", to_other("terminals", api_route::read_session));
  router.add("POST", "/v1/sessions/{session}/input", to_other("terminals", api_route::write_session));
  router.add("DELETE", "/v1/sessions/{session}", to_other("terminals", api_route::close_session));
  router.add("GET", "/v1/actors", to(api_route::actors));
  router.add("POST", "/v1/actors/kill", to(api_route::kill_actor));
  return router;
}

} // namespace prunella::actors
