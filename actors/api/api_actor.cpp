#include "actors/api/api_actor.hpp"

#include <caf/event_based_actor.hpp>
#include <caf/local_actor.hpp>
#include <caf/stateful_actor.hpp>

#include "actors/api/api_call.hpp"
#include "actors/api/api_requests.hpp"
#include "actors/api/api_writes.hpp"
#include "actors/api/every_host.hpp"
#include "actors/api/image_answers.hpp"
#include "actors/api/status_answer.hpp"
#include "actors/host/host_actor.hpp"
#include "actors/host/image_keeper.hpp"
#include "actors/names.hpp"
#include "actors/site/image_views.hpp"
#include "actors/site/requests.hpp"
#include "actors/site/site_errors.hpp"
#include "actors/site/site_views.hpp"
#include "runtime/exit_reason.hpp"
#include "runtime/supervised_actor.hpp"

namespace prunella::actors {

namespace {

struct api_state;
using api_self = caf::stateful_actor<api_state, runtime::supervised_actor>;

struct api_state {
  static inline const char* name = "api";

  explicit api_state(api_self* self) : self_(self) {}

  caf::behavior start(api_options options) {
    options_ = std::move(options);
    return {
      [this](api_call& call) { on_call(call); },
      [this](const retry_write& x) { writes_.attempt(x.call); },
    };
  }

private:
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
    case api_route::events: return every_host_.answer_events(call);
    case api_route::services: return every_host_.answer_services(call.respond);
    case api_route::use_of_hosts:
    case api_route::use_of_containers: return every_host_.answer_use(call);
    case api_route::logs:
    case api_route::open_session:
    case api_route::read_session:
    case api_route::write_session:
    case api_route::close_session: return; // of other actors: `make_api_router`
    case api_route::actors: return every_host_.answer_actors(call.respond);
    case api_route::put_application: return writes_.begin(call, put_command(call.request));
    case api_route::delete_application: return writes_.begin(call, delete_command(call.request));
    case api_route::scale_service: return writes_.begin(call, scale_command(call.request));
    case api_route::roll_back: return writes_.begin(call, roll_back_command(call.request));
    case api_route::restart_service: return writes_.begin(call, restart_service_command(call.request));
    case api_route::restart_instance: return writes_.begin(call, restart_instance_command(call.request));
    case api_route::drain_host:
    case api_route::undrain_host: return writes_.begin(call, drain_command(call.route, call.request));
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
        on_alone(silence_text(leader, reason));
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

  api_self* self_;
  api_options options_;
  every_host every_host_{self_, options_};
  api_writes writes_{self_, options_};
};

} // namespace

caf::actor spawn_api(caf::local_actor* parent, api_options options) {
  return parent->spawn([](api_self* self, api_options x) { return self->state.start(std::move(x)); }, std::move(options));
}

} // namespace prunella::actors
