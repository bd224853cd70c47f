#pragma once

// Bodies and parameters of API requests as commands and queries, and answers as bodies. Pure.

#include <optional>
#include <string>
#include <variant>

#include "actors/api/api_route.hpp"
#include "actors/messages.hpp"
#include "net/http_router.hpp"

namespace prunella::actors {

/// A value, or the problem that the client gets instead.
template <class T>
using or_problem = std::variant<T, problem_view>;

/// What is wrong with a request before its route looks at it: a name that is none, a parameter that the route does not
/// read, a body that is neither JSON nor YAML.
std::optional<problem_view> refuse_request(api_route route, const net::routed_request& request);

/// `PUT /v1/applications/{name}`: the body is an application document in JSON or YAML whose name must be the path's.
or_problem<site_command> put_command(const net::routed_request& request);

/// `DELETE /v1/applications/{name}`
or_problem<site_command> delete_command(const net::routed_request& request);

/// `POST /v1/applications/{name}/scale` with `{"service": "web", "replicas": 3}`
or_problem<site_command> scale_command(const net::routed_request& request);

/// `POST /v1/applications/{name}/rollback` with `{"revision": 7}`: the one that is to be left, so that a repeated request
/// goes back once.
or_problem<site_command> roll_back_command(const net::routed_request& request);

/// `POST /v1/applications/{name}/restart` with `{"service": "web", "revision": 7}`: the revision as it was seen, so that a repeated
/// request restarts once.
or_problem<site_command> restart_service_command(const net::routed_request& request);

/// `POST /v1/instances/{instance}/restart` with `{"generation": 3}`, likewise.
or_problem<site_command> restart_instance_command(const net::routed_request& request);

/// `POST /v1/hosts/{name}/drain` and `…/undrain`, without a body.
or_problem<site_command> drain_command(api_route route, const net::routed_request& request);

/// `GET /v1/events?after=ID&limit=N`; limit 100 unless told.
or_problem<events_request> events_query(const net::routed_request& request);

/// Which rows of a list.
struct row_page {
  std::string after;       ///< key; empty: from the first
  std::uint32_t limit = 0; ///< 1 … max_page_rows
};

/// `?after=KEY&limit=N` of hosts, applications and instances; limit 1000 unless told.
or_problem<row_page> page_query(const net::routed_request& request);

struct kill_target {
  std::string host;
  std::string path; ///< of the actor, with the host
};

/// `POST /v1/actors/kill` with `{"path": "host-1/…"}`
or_problem<kill_target> kill_query(const net::routed_request& request);

struct import_query {
  std::string path;
  std::string name;
  std::string key; ///< the same request again is the same import
};

/// `POST /v1/images` with `{"path": "/media/web.tar", "name": "registry.example/shop/web:1.2", "key": "7431"}`; an empty
/// name is the file's own.
or_problem<import_query> import_body(const net::routed_request& request);

net::http_response json_response(std::string json, unsigned status = 200);
net::http_response problem_response(const problem_view& problem);

/// The answer to `request`. If there are more rows, its header `Link` (RFC 8288) leads to them:
/// `</v1/instances?after=KEY>; rel="next"`, with the other parameters of the request.
net::http_response page_response(const view_answer& page, const net::routed_request& request);

/// What a change was asked of: an application, or else a host.
struct changed_subject {
  std::string application; ///< tenant.name
  std::string host;
};

/// `{"application", "result", "revision"}`, 201 for a created one; `{"host", "result"}`.
net::http_response outcome_response(const changed_subject& subject, const command_outcome& outcome);

} // namespace prunella::actors
