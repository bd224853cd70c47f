#include "actors/api/api_requests.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <string_view>
#include <vector>

#include "actors/host/journal_actor.hpp"
#include "actors/names.hpp"
#include "actors/site/requests.hpp"
#include "config/did_you_mean.hpp"
#include "config/json.hpp"
#include "config/reader.hpp"
#include "config/validate.hpp"

namespace prunella::actors {

namespace {

struct scale_body {
  std::string service;
  std::uint32_t replicas = 0;

  PRUNELLA_FIELDS(scale_body, service, replicas)
};

struct roll_back_body {
  std::uint64_t revision = 0;

  PRUNELLA_FIELDS(roll_back_body, revision)
};

struct restart_service_body {
  std::string service;
  std::uint64_t revision = 0;

  PRUNELLA_FIELDS(restart_service_body, service, revision)
};

struct restart_instance_body {
  std::uint64_t generation = 0;

  PRUNELLA_FIELDS(restart_instance_body, generation)
};

struct kill_body {
  std::string path;

  PRUNELLA_FIELDS(kill_body, path)
};

struct import_fields {
  std::string path;
  std::string name;
  std::string key;

  PRUNELLA_FIELDS(import_fields, path, name, key)
};

struct outcome_body {
  std::string application;
  std::string result;
  std::uint64_t revision = 0;

  PRUNELLA_FIELDS(outcome_body, application, result, revision)
};

struct host_outcome_body {
  std::string host;
  std::string result;

  PRUNELLA_FIELDS(host_outcome_body, host, result)
};

/// Key of the application in the path; empty if it is not a name.
std::string path_key(const net::routed_request& request) {
  const auto it = request.path.find("name");
  return it == request.path.end() ? std::string{} : application_key_of(it->second);
}

problem_view bad_name(const std::string& name) {
  return make_problem(400, '`' + name + "` is not the name of an application",
                      "names are 1 to 63 of a-z, 0-9 and `-`, optionally behind a tenant and a dot",
                      "`prunella get applications` lists what there is");
}

problem_view bad_name(const net::routed_request& request) {
  const auto it = request.path.find("name");
  return bad_name(it == request.path.end() ? std::string{} : it->second);
}

/// The parameters that `route` reads.
std::vector<std::string> parameters_of(api_route route) {
  switch (route) {
  case api_route::applications:
  case api_route::instances: return {"application", "after", "limit"};
  case api_route::hosts:
  case api_route::images:
  case api_route::events: return {"after", "limit"};
  case api_route::logs: return {"of", "all-replicas", "all-hosts", "tail", "since", "after", "wait"};
  case api_route::read_session: return {"after", "wait"};
  default: return {};
  }
}

/// A parameter that nobody reads would widen the answer in silence.
std::optional<problem_view> refuse_parameters(api_route route, const net::http_parameters& query) {
  const auto known = parameters_of(route);
  for (const auto& [key, value] : query) {
    if (std::find(known.begin(), known.end(), key) != known.end())
      continue;
    const auto near = config::did_you_mean(key, known);
    std::string list;
    for (const auto& name : known)
      list += (list.empty() ? "" : ", ") + name;
    return make_problem(400, '`' + key + "` is not a parameter of this request",
                        known.empty() ? "it takes none" : "it takes " + list,
                        near.empty() ? "leave it out" : "did you mean `" + near + "`?");
  }
  return std::nullopt;
}

/// What clients say of a body that they do not describe passes: curl calls every body a form.
std::optional<problem_view> refuse_body_type(const net::http_request& request) {
  constexpr std::string_view text_types[] = {"application/json",         "application/yaml", "application/x-yaml",
                                             "application/octet-stream", "text/yaml",        "text/x-yaml",
                                             "text/plain",               "application/x-www-form-urlencoded"};
  if (request.body.empty())
    return std::nullopt;
  const auto encoding = request.header("Content-Encoding");
  if (!encoding.empty() && !net::equal_ignoring_case(encoding, "identity"))
    return make_problem(415, "the body is encoded as `" + std::string{encoding} + '`', "no content encoding is undone here",
                        "send it as it is");
  auto type = request.header("Content-Type");
  type = type.substr(0, type.find(';'));
  type = type.substr(0, type.find_last_not_of(" \t") + 1);
  const auto fits = [&](std::string_view known) { return net::equal_ignoring_case(known, type); };
  if (type.empty() || std::any_of(std::begin(text_types), std::end(text_types), fits))
    return std::nullopt;
  return make_problem(415, "a body of type `" + std::string{type} + "` is not taken", "documents are JSON or YAML",
                      "send it with `Content-Type: application/json` or `application/yaml`");
}

/// Reads a JSON body that has every member in `required` and no other.
template <class Body>
or_problem<Body> read_body(const std::string& text, const std::vector<std::string_view>& required, const char* example) {
  auto parsed = config::parse_json(text);
  std::vector<std::string> errors;
  Body body;
  if (!parsed.error.empty()) {
    errors.push_back(parsed.error);
  } else {
    for (const auto key : required)
      if (!parsed.value.is_object() || parsed.value.get_object().if_contains(key) == nullptr)
        errors.push_back(std::string{key} + ": is missing");
    if (errors.empty())
      errors = config::from_json(parsed.value, body);
  }
  if (parsed.value.is_object())
    for (const auto& member : parsed.value.get_object())
      if (std::find(required.begin(), required.end(), std::string_view{member.key()}) == required.end())
        errors.push_back(std::string{member.key()} + ": is not a known key");
  if (errors.empty())
    return body;
  return wrong_body(std::move(errors), example);
}

} // namespace

std::optional<problem_view> refuse_request(api_route route, const net::routed_request& request) {
  if (const auto it = request.path.find("name"); it != request.path.end() && application_key_of(it->second).empty())
    return bad_name(it->second);
  if (auto problem = refuse_parameters(route, request.query))
    return problem;
  if (const auto it = request.query.find("application"); it != request.query.end() && application_key_of(it->second).empty())
    return bad_name(it->second);
  return refuse_body_type(request.request);
}

or_problem<site_command> put_command(const net::routed_request& request) {
  const auto key = path_key(request);
  if (key.empty())
    return bad_name(request);
  auto read = config::read_documents(request.request.body, "", config::document_kind::application);
  if (!read.problems.empty()) {
    auto problem = make_problem(422, "the application document is not valid", "it breaks the rules listed in `errors`",
                                "correct them; each begins with its line and column, where that is known");
    for (const auto& x : read.problems)
      problem.errors.push_back(config::problem_text(x));
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
    return bad_name(request);
  return site_command{0, delete_application{key}};
}

or_problem<site_command> scale_command(const net::routed_request& request) {
  const auto key = path_key(request);
  if (key.empty())
    return bad_name(request);
  auto body = read_body<scale_body>(request.request.body, {"service", "replicas"}, R"({"service": "web", "replicas": 3})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  const auto& x = std::get<scale_body>(body);
  return site_command{0, scale_service{key, x.service, x.replicas}};
}

or_problem<site_command> roll_back_command(const net::routed_request& request) {
  const auto key = path_key(request);
  if (key.empty())
    return bad_name(request);
  auto body = read_body<roll_back_body>(request.request.body, {"revision"}, R"({"revision": 7})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  return site_command{0, roll_back{key, std::get<roll_back_body>(body).revision, {}}};
}

or_problem<site_command> restart_service_command(const net::routed_request& request) {
  const auto key = path_key(request);
  if (key.empty())
    return bad_name(request);
  auto body = read_body<restart_service_body>(request.request.body, {"service", "revision"}, R"({"service": "web", "revision": 7})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  const auto& x = std::get<restart_service_body>(body);
  return site_command{0, restart_instances{key, x.service, x.revision, {}, 0}};
}

or_problem<site_command> restart_instance_command(const net::routed_request& request) {
  auto body = read_body<restart_instance_body>(request.request.body, {"generation"}, R"({"generation": 3})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  return site_command{0, restart_instances{{}, {}, 0, request.path.at("instance"), std::get<restart_instance_body>(body).generation}};
}

or_problem<site_command> drain_command(api_route route, const net::routed_request& request) {
  const auto name = request.path.find("name");
  if (name == request.path.end() || !config::is_name(name->second))
    return make_problem(400, '`' + (name == request.path.end() ? std::string{} : name->second) + "` is not the name of a host",
                        "names are 1 to 63 of a-z, 0-9 and `-`", "`prunella get hosts` lists what there is");
  return site_command{0, drain_host{name->second, route == api_route::drain_host}};
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

or_problem<import_query> import_body(const net::routed_request& request) {
  auto body = read_body<import_fields>(request.request.body, {"path", "name", "key"},
                                       R"({"path": "/media/web.tar", "name": "registry.example/shop/web:1.2", "key": "7431"})");
  if (auto* problem = std::get_if<problem_view>(&body))
    return std::move(*problem);
  auto& x = std::get<import_fields>(body);
  constexpr std::size_t most = 4'096;
  if (x.path.empty() || x.key.empty() || x.path.size() > most || x.name.size() > most || x.key.size() > most)
    return make_problem(400, "path and key must be texts of 1 to 4096 characters, and name of at most that", "one is not",
                        "choose any key; with the same one the same import is asked about");
  return import_query{std::move(x.path), std::move(x.name), std::move(x.key)};
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

net::http_response outcome_response(const changed_subject& subject, const command_outcome& outcome) {
  if (!subject.host.empty())
    return json_response(config::json_text(config::to_json(host_outcome_body{subject.host, to_text(outcome.result)})));
  const outcome_body body{subject.application, to_text(outcome.result), outcome.revision};
  return json_response(config::json_text(config::to_json(body)), outcome.result == command_result::created ? 201 : 200);
}

} // namespace prunella::actors
