#include "actors/api/api_requests.hpp"

#include <algorithm>
#include <charconv>

#include "actors/host/journal_actor.hpp"
#include "actors/names.hpp"
#include "actors/site/requests.hpp"
#include "config/json.hpp"
#include "config/reader.hpp"

namespace prunella::actors {

namespace {

struct scale_body {
  std::string service;
  std::uint32_t replicas = 0;

  PRUNELLA_FIELDS(scale_body, service, replicas)
};

struct kill_body {
  std::string path;

  PRUNELLA_FIELDS(kill_body, path)
};

struct outcome_body {
  std::string application;
  std::string result;
  std::uint64_t revision = 0;

  PRUNELLA_FIELDS(outcome_body, application, result, revision)
};

/// Key of the application in the path; empty if it is not a name.
std::string path_key(const net::routed_request& request) {
  const auto it = request.path.find("name");
  return it == request.path.end() ? std::string{} : application_key_of(it->second);
}

problem_view bad_name() {
  return make_problem(400, "the path does not name an application",
                      "names are 1 to 63 of a-z, 0-9 and `-`, optionally behind a tenant and a dot",
                      "use /v1/applications/NAME or /v1/applications/TENANT.NAME");
}

/// Reads a JSON body of which every member in `required` has to be there.
template <class Body>
or_problem<Body> read_body(const std::string& text, const std::vector<const char*>& required, const char* example) {
  auto parsed = config::parse_json(text);
  std::vector<std::string> errors;
  Body body;
  if (!parsed.error.empty()) {
    errors.push_back(parsed.error);
  } else {
    for (const auto* key : required)
      if (!parsed.value.is_object() || parsed.value.get_object().if_contains(key) == nullptr)
        errors.push_back(std::string{key} + ": is missing");
    if (errors.empty())
      errors = config::from_json(parsed.value, body);
  }
  if (errors.empty())
    return body;
  auto problem = make_problem(400, "the body is not what this request takes", errors.front(),
                              std::string{"send JSON such as "} + example);
  problem.errors = std::move(errors);
  return problem;
}

} // namespace

or_problem<site_command> put_command(const net::routed_request& request) {
  const auto key = path_key(request);
  if (key.empty())
    return bad_name();
  auto read = config::read_documents(request.request.body, "", config::document_kind::application);
  if (!read.problems.empty()) {
    auto problem = make_problem(422, "the application document is not valid", "it breaks the rules listed in `errors`",
                                "correct them; `prunella config validate FILE` shows line and column");
    for (const auto& x : read.problems)
      problem.errors.push_back(config::problem_summary(x));
    return problem;
  }
  if (read.documents.size() != 1 || read.documents[0].kind != config::document_kind::application)
    return make_problem(422, "the body is not one application document",
                        read.documents.empty() ? "it is empty" : "it holds other or more documents",
                        "send one document of `kind: application`; hosts of a running site cannot be changed this way");
  const auto& spec = read.documents[0].application;
  const auto own = application_key(spec.tenant, spec.name);
  if (own != key)
    return make_problem(422, "the document is of " + own + ", the path is of " + key, "path and document must agree",
                        "send it to /v1/applications/" + own);
  return site_command{0, put_application{spec}};
}

or_problem<site_command> delete_command(const net::routed_request& request) {
  const auto key = path_key(request);
  if (key.empty())
    return bad_name();
  return site_command{0, delete_application{key}};
}

or_problem<site_command> scale_command(const net::routed_request& request) {
  const auto key = path_key(request);
  if (key.empty())
    return bad_name();
  auto body = read_body<scale_body>(request.request.body, {"service", "replicas"}, R"({"service": "web", "replicas": 3})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  const auto& x = std::get<scale_body>(body);
  return site_command{0, scale_service{key, x.service, x.replicas}};
}

or_problem<events_request> events_query(const net::routed_request& request) {
  auto page = page_query(request);
  if (auto* problem = std::get_if<problem_view>(&page))
    return std::move(*problem);
  const auto& [after, limit] = std::get<row_page>(page);
  storage::journal_position position;
  if (!after.empty() && !parse_event_id(after, position))
    return make_problem(400, "after is `" + after + "`", "that is not the id of an event",
                        "use the `id` of an event, as `prunella get events -o json` shows it");
  return events_request{after, request.query.count("limit") == 0 ? 100 : limit};
}

or_problem<row_page> page_query(const net::routed_request& request) {
  row_page page{{}, max_page_rows};
  if (const auto it = request.query.find("after"); it != request.query.end())
    page.after = it->second;
  if (const auto it = request.query.find("limit"); it != request.query.end()) {
    const auto& text = it->second;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), page.limit);
    if (error != std::errc{} || end != text.data() + text.size() || page.limit < 1 || page.limit > max_page_rows)
      return make_problem(400, "limit is `" + text + "`", "it is a whole number from 1 to 1000", "use limit=100");
  }
  return page;
}

or_problem<kill_target> kill_query(const net::routed_request& request) {
  auto body = read_body<kill_body>(request.request.body, {"path"}, R"({"path": "host-1/root/api"})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  const auto& path = std::get<kill_body>(body).path;
  const auto slash = path.find('/');
  if (slash == std::string::npos || slash == 0)
    return make_problem(400, "`" + path + "` is not the path of an actor", "a path starts with the host",
                        "`prunella tree --actors` lists the paths");
  return kill_target{path.substr(0, slash), path};
}

net::http_response json_response(std::string json, unsigned status) {
  net::http_response response;
  response.status = status;
  response.body = std::move(json);
  response.body += '\n';
  return response;
}

net::http_response problem_response(const problem_view& problem) {
  auto response = json_response(config::json_text(config::to_json(problem)), problem.status);
  response.content_type = "application/problem+json";
  return response;
}

net::http_response page_response(const view_answer& page, const net::routed_request& request) {
  auto response = json_response(page.json);
  if (page.next.empty())
    return response;
  const auto& target = request.request.target;
  auto next = target.substr(0, target.find('?')) + "?after=" + net::percent_encode(page.next);
  for (const auto& [key, value] : request.query)
    if (key != "after")
      next += '&' + key + '=' + net::percent_encode(value);
  response.headers.push_back({"Link", '<' + next + ">; rel=\"next\""});
  return response;
}

net::http_response outcome_response(const std::string& application, const command_outcome& outcome) {
  const outcome_body body{application, to_text(outcome.result), outcome.revision};
  return json_response(config::json_text(config::to_json(body)), outcome.result == command_result::created ? 201 : 200);
}

} // namespace prunella::actors
