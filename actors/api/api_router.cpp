#include <caf/actor.hpp>
#include <caf/send.hpp>

#include "actors/api/api_actor.hpp"
#include "actors/api/api_call.hpp"
#include "actors/api/api_requests.hpp"
#include "actors/api/status_answer.hpp"
#include "actors/site/requests.hpp"

namespace prunella::actors {

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
  router.add("POST", "/v1/hosts/{name}/drain", to(api_route::drain_host));
  router.add("POST", "/v1/hosts/{name}/undrain", to(api_route::undrain_host));
  router.add("GET", "/v1/applications", to(api_route::applications));
  router.add("GET", "/v1/applications/{name}", to(api_route::application));
  router.add("PUT", "/v1/applications/{name}", to(api_route::put_application));
  router.add("DELETE", "/v1/applications/{name}", to(api_route::delete_application));
  router.add("POST", "/v1/applications/{name}/scale", to(api_route::scale_service));
  router.add("POST", "/v1/applications/{name}/rollback", to(api_route::roll_back));
  router.add("POST", "/v1/applications/{name}/restart", to(api_route::restart_service));
  router.add("POST", "/v1/instances/{instance}/restart", to(api_route::restart_instance));
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
