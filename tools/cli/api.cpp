#include "tools/cli/api.hpp"

#include <variant>

#include "net/http_client.hpp"
#include "net/http_router.hpp"

namespace prunella::tools {

namespace {

using kind = net::http_failure::kind;

std::string failure_text(const net::http_failure& failure) {
  std::string text = "prunella: " + failure.sentence + '\n';
  switch (failure.reason) {
  case kind::refused:
    return text + "  fix: is an agent running? `prunella site up -f site.yaml` starts a site; `--endpoint` or "
                  "PRUNELLA_ENDPOINT say where it is\n";
  case kind::timeout:
  case kind::broken:
    return text + "  fix: the request may have taken effect; look with `prunella get`, or ask another host with "
                  "`--endpoint`\n";
  case kind::bad_endpoint:
    return text;
  case kind::bad_answer:
    return text + "  fix: check that `--endpoint` or PRUNELLA_ENDPOINT name an agent's API\n";
  }
  return text;
}

/// The text of an answer that is not 2xx; also of one that some other program gave.
std::string refusal_text(const net::http_answer& answer, std::string_view method, std::string_view target) {
  const auto parsed = config::parse_json(answer.body);
  actors::problem_view problem;
  if (parsed.error.empty() && config::from_json(parsed.value, problem).empty() && !problem.detail.empty())
    return problem_text(problem);
  return "prunella: " + answer.endpoint + " answered " + std::string(method) + ' ' + std::string(target) + " with " +
         std::to_string(answer.status) + ' ' + std::string(net::http_reason(answer.status)) +
         "\n  fix: check that `--endpoint` or PRUNELLA_ENDPOINT name an agent's API\n";
}

/// The target of `<TARGET>; rel="next"`; empty if it is none of this host.
std::string next_of(std::string_view link) {
  constexpr std::string_view end = ">; rel=\"next\"";
  if (link.size() < end.size() + 2 || link.substr(0, 2) != "</" || link.substr(link.size() - end.size()) != end)
    return {};
  return std::string(link.substr(1, link.size() - end.size() - 1));
}

} // namespace

api_result call_api(const connection_options& connection, std::string_view method, std::string_view target,
                    const std::string& body, bool repeatable) {
  net::http_call_options options;
  options.timeout = connection.timeout;
  options.token = connection.token;
  const auto outcome = net::http_call_any(connection.endpoints, method, target, body, repeatable, options);
  if (const auto* failure = std::get_if<net::http_failure>(&outcome))
    return {nullptr, 0, failure_text(*failure), {}};
  const auto& answer = std::get<net::http_answer>(outcome);
  if (answer.status < 200 || answer.status > 299)
    return {nullptr, answer.status, refusal_text(answer, method, target), {}};
  if (answer.body.empty())
    return {nullptr, answer.status, {}, {}};
  auto parsed = config::parse_json(answer.body);
  if (!parsed.error.empty())
    return {nullptr, answer.status,
            "prunella: the answer of " + answer.endpoint + " to " + std::string(method) + ' ' + std::string(target) +
                " is not JSON: " + parsed.error +
                "\n  fix: check that `--endpoint` or PRUNELLA_ENDPOINT name an agent's API\n",
            {}};
  return {std::move(parsed.value), answer.status, {}, next_of(answer.link)};
}

api_result get_all(const connection_options& connection, std::string_view target) {
  auto all = call_api(connection, "GET", target);
  for (std::size_t page = 1; !all.next.empty() && all.value.is_array(); ++page) {
    if (page == max_pages)
      return {nullptr, all.status, "prunella: the answer to GET " + std::string(target) + " has no end\n", {}};
    auto more = call_api(connection, "GET", all.next);
    if (!more.error.empty() || !more.value.is_array())
      return more;
    auto& rows = all.value.get_array();
    for (auto& row : more.value.get_array())
      rows.push_back(std::move(row));
    all.next = std::move(more.next);
  }
  return all;
}

std::string problem_text(const actors::problem_view& problem) {
  std::string text = "prunella: " + printable(problem.detail) + '\n';
  if (!problem.cause.empty())
    text += "  cause: " + printable(problem.cause) + '\n';
  if (!problem.errors.empty())
    text += "  errors:\n";
  for (const auto& error : problem.errors)
    text += "    - " + printable(error) + '\n';
  if (!problem.fix.empty())
    text += "  fix: " + printable(problem.fix) + '\n';
  return text;
}

std::string application_path(std::string_view name) {
  return "/v1/applications/" + net::percent_encode(name);
}

} // namespace prunella::tools
